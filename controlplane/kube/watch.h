// watch.h -- list and watch of one kind: an ObjectSink hears of every object, then of every change, without a gap.
//
//   LIST ------200------> on_replace, WATCH from the list's version
//   LIST ------404------> the kind does not exist: on_replace of nothing, LIST again after 30 s, quietly
//   LIST --410, 504-----> LIST of the newest version (the cache of the server does not have ours)
//   LIST ---anything----> LIST after a back-off
//   WATCH ---its end----> WATCH from the last version; after a back-off when it ended within a second
//   WATCH --410 (also as an event)--> LIST of the newest version
//   WATCH --429, 5xx, no connection--> WATCH after a back-off: relisting would make it worse
//   WATCH ------404-----> LIST, after 30 s
//   WATCH ---anything---> LIST after a back-off
//
// Versions are opaque: kept, compared for nothing. Spec: Kubernetes API concepts, "Efficient detection of changes".
// Thread: one of its own; the sink is called there. start(), stop() that of the owner; counts() any.
#pragma once

#include <atomic>
#include <cstdint>
#include <stop_token>
#include <string>

#include "controlplane/kube/backoff.h"
#include "controlplane/kube/codec.h"
#include "controlplane/kube/kinds.h"
#include "controlplane/kube/status.h"
#include "controlplane/kube/thread.h"
#include "controlplane/kube/transport.h"

namespace headgate::kube {

struct WatchOptions {
  ObjectKind kind = ObjectKind::kIngress;
  std::string name_space;      // empty: every one
  std::string label_selector;  // "app=web,tier in (a,b)"; empty: all
  std::string field_selector;  // "type=kubernetes.io/tls"
  BackoffLimits backoff;
  Duration absent = std::chrono::seconds(30);       // between lists of a kind that does not exist
  Duration short_watch = std::chrono::seconds(1);   // one that ends earlier costs a back-off
  Duration session = std::chrono::seconds(300);     // asked of the server: this to twice this
  Duration silence = std::chrono::seconds(150);     // bookmarks come each minute: the connection is dead
  Duration list_limit = std::chrono::minutes(5);
};

struct WatchCounts {
  uint64_t lists = 0;
  uint64_t watches = 0;
  uint64_t events = 0;       // of objects
  uint64_t bookmarks = 0;
  uint64_t failures = 0;     // each cost a back-off
  uint64_t undecodable = 0;  // objects left out
  bool synced = false;       // on_replace was called
};

class Watch {
 public:
  // All of them outlive the Watch.
  Watch(Transport& transport, ObjectSink& sink, WatchOptions options);
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() { stop(); }

  Result<void> start();
  // Returns when the thread has: as soon as the sink lets go. The sink is not called afterwards.
  void stop();
  [[nodiscard]] WatchCounts counts() const;
  [[nodiscard]] ObjectKind kind() const { return options_.kind; }

 private:
  enum class Next : uint8_t { kList, kListNewest, kListLater, kWatch, kWatchLater, kAbsent };

  void run();
  Next list();
  Next watch();
  Next after_list_failure(const Result<HttpResponse>& response);
  Next after_watch(const Result<HttpResponse>& response, Duration lasted);
  Result<void> on_line(std::string_view line);
  void on_object(const WatchEvent& event);
  void on_error_event(std::string_view object);
  [[nodiscard]] ObjectPtr decoded(std::string_view json);
  [[nodiscard]] std::string target(const std::string& query) const;
  void log_failure(const char* what, const std::string& why);

  Transport& transport_;
  ObjectSink& sink_;
  const WatchOptions options_;
  const KindRow& row_;
  const Codec codec_;
  Backoff backoff_;
  Random random_;
  std::stop_source stop_;
  Thread thread_;

  std::string version_;              // of the last list or event
  std::string list_version_ = "0";   // asked of the next list: 0 whatever the server has in its cache, empty the newest
  bool exists_ = true;
  Status error_event_;               // what ended the watch; code 0: nothing did

  struct {
    std::atomic<uint64_t> lists = 0, watches = 0, events = 0, bookmarks = 0, failures = 0, undecodable = 0;
    std::atomic<bool> synced = false;
  } counts_;
};

}  // namespace headgate::kube
