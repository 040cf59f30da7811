// events.h -- Kubernetes Events: what `kubectl describe` shows about an object. Repeats become one Event that counts.
// record() never waits: what does not fit into the queue is dropped and counted. Nothing but a log line comes of an
// Event that the API server refuses.
// Spec: events.k8s.io/v1.   Thread: record() any; one of its own writes.   Owner: the controller.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>

#include "controlplane/kube/rest.h"
#include "controlplane/kube/thread.h"

namespace headgate::kube {

struct ObjectReference {
  std::string api_version;  // "networking.k8s.io/v1"
  std::string kind;
  std::string name_space;   // empty for what has none: its Events are in "default"
  std::string name;
  std::string uid;

  auto operator<=>(const ObjectReference&) const = default;
};

struct Event {
  ObjectReference regarding;
  bool warning = false;
  std::string reason;  // CamelCase, for programs: "AnnotationNotSupported"
  std::string action;  // what we did: "Translate"
  std::string note;    // for people, up to 1,000 bytes are kept

  auto operator<=>(const Event&) const = default;
};

struct EventOptions {
  std::string controller;  // "headgate.dev/ingress-controller"
  std::string instance;    // the Pod's name
  size_t queue = 1000;
  Duration refresh = std::chrono::seconds(30);  // between writes of one series
  Duration series = std::chrono::minutes(6);    // without a repeat: the next one is a new Event
  uint32_t burst = 25;                          // of one object, then one every five minutes
};

struct EventCounts {
  uint64_t written = 0;
  uint64_t dropped = 0;  // the queue was full
  uint64_t limited = 0;  // too many of one object
  uint64_t failed = 0;   // refused by the API server
};

class EventRecorder {
 public:
  EventRecorder(Transport& transport, EventOptions options, const Clock& clock = system_clock());
  EventRecorder(const EventRecorder&) = delete;
  EventRecorder& operator=(const EventRecorder&) = delete;
  ~EventRecorder() { stop(); }

  Result<void> start();
  // What waits is not written any more.
  void stop();
  void record(Event event);
  // How many more the queue takes now.
  [[nodiscard]] size_t room() const;
  [[nodiscard]] EventCounts counts() const;

 private:
  struct Series {
    std::string path;  // empty: the API server has none
    uint64_t count = 0;
    uint64_t written = 0;
    MonotonicTime seen_at{};
    MonotonicTime written_at{};
    WallTime last{};
  };
  struct Allowance {
    double left = 0;
    MonotonicTime at{};
  };

  void run();
  void take(const Event& event);
  void create(const Event& event, Series& series);
  void write_series(const Event& event, Series& series);
  void refresh();
  bool allow(const ObjectReference& object);

  const EventOptions options_;
  const Clock& clock_;
  std::stop_source stop_;
  const Rest rest_;
  Thread thread_;

  // Of the thread.
  std::map<Event, Series> series_;
  std::map<ObjectReference, Allowance> allowances_;
  MonotonicTime refreshed_at_{};

  mutable std::mutex mutex_;
  std::condition_variable_any more_;
  std::deque<Event> queue_;
  EventCounts counts_;
};

}  // namespace headgate::kube
