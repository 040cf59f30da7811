// writer.h -- tells Kubernetes what became of its objects: addresses in the status of Ingresses, Events on the rest.
//
// Every controller keeps the books, only the leader writes. Fed by the watches of Ingresses, Services, Nodes and Pods
// (as an ObjectSink), by each translation and by what dataplanes refuse. Writes are for one object at a time, at a
// limited rate, each after a look at the newest object; one that fails is tried again after a back-off of its own.
// Thread: one of its own writes; everything else any.   Owner: the controller.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "controlplane/kube/events.h"
#include "controlplane/kube/object_sink.h"
#include "controlplane/kube/rest.h"
#include "controlplane/kube/thread.h"
#include "controlplane/status/ledger.h"
#include "controlplane/status/notices.h"
#include "controlplane/translate/output.h"

namespace headgate::status {

// Where our addresses come from; the first that is set. None: statuses are left alone.
struct WriterOptions {
  std::vector<std::string> addresses;  // given: addresses and host names
  Key service;                         // namespace and name of the Service in front of the dataplanes
  bool nodes = false;                  // those of the nodes that ready dataplanes run on
  double writes_per_second = 20;
  kube::BackoffLimits backoff{.first = std::chrono::seconds(1), .most = std::chrono::minutes(5)};  // of one object
};

struct WriterCounts {
  uint64_t written = 0;
  uint64_t skipped = 0;  // the newest object was right already
  uint64_t failed = 0;
};

class Writer final : public kube::ObjectSink {
 public:
  // `leads` is asked before each write; it and the others outlive the Writer.
  Writer(kube::Transport& transport, kube::EventRecorder& events, WriterOptions options, std::function<bool()> leads,
         const Clock& clock = system_clock());
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() override { stop(); }

  Result<void> start();
  void stop();
  // Leadership changed: what waits is looked at.
  void on_leadership();

  // Of each translation: all Ingresses we serve, all notes.
  void set_admitted(const translate::Admitted& admitted);
  void set_notes(const std::vector<translate::Note>& notes);
  // All that some dataplane cannot use at present; the same of several counts once.
  void set_rejects(const std::vector<control::v1::Reject>& rejects);

  [[nodiscard]] WriterCounts counts() const;

  void on_replace(kube::ObjectKind kind, std::vector<kube::ObjectPtr> objects) override;
  void on_upsert(kube::ObjectKind kind, kube::ObjectPtr object) override;
  void on_delete(kube::ObjectKind kind, std::string_view name_space, std::string_view name) override;

 private:
  struct Delayed {
    kube::Backoff backoff;
    MonotonicTime until{};
  };

  void run();
  void tell(std::vector<kube::Event> events);
  void tell_due();
  void write(const Key& key);
  void enqueue(const std::vector<Key>& keys);
  void refresh_addresses();
  [[nodiscard]] Addresses addresses_of_nodes() const;
  void see_object(kube::ObjectKind kind, const kube::ObjectPtr& object);
  std::optional<Key> next_key(MonotonicTime now, Duration& pause);

  const WriterOptions options_;
  const std::function<bool()> leads_;
  const Clock& clock_;
  kube::EventRecorder& events_;
  std::stop_source stop_;
  const kube::Rest rest_;
  kube::Thread thread_;

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  translate::Admitted admitted_;
  Ledger ledger_;
  Notices notes_{"Translate"};
  Notices rejects_{"Configure"};
  std::set<Key> queue_;
  bool woken_ = false;
  std::map<Key, Delayed> delayed_;  // failed before
  WriterCounts counts_;
  // What the addresses are made of.
  std::optional<Addresses> service_addresses_;  // nullopt: not seen yet
  std::map<std::string, Addresses> nodes_;
  std::map<Key, std::string> ready_pods_;       // to the node's name
  bool nodes_seen_ = false;
  bool pods_seen_ = false;
};

}  // namespace headgate::status
