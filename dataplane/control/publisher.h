// publisher.h -- from checked resources to Snapshots in force on all workers.
//
// publish(): build -> sockets for new listeners -> one task in every worker's mailbox -> when all have applied it, what
// only older Snapshots used is let go. A failure before the mailboxes changes nothing: the old configuration serves on.
// Thread: control.   Owner: Supervisor.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/control/listening_sockets.h"
#include "dataplane/event/loop.h"
#include "dataplane/snapshot/build.h"
#include "dataplane/worker/worker.h"

namespace headgate::control {

struct PublishOutcome {
  bool ok = false;
  bool in_force = false;  // the workers use it, also when some failed to open a listener (then !ok)
  std::vector<check::Problem> problems;  // of the build, warnings too
  std::vector<std::string> failures;     // sockets, workers: "web: bind: Address already in use"
  std::vector<std::string> unbound;      // names of the listeners behind `failures`, in their order; only when !in_force
};

class Publisher {
 public:
  using Done = std::function<void(const PublishOutcome&)>;

  Publisher(event::Loop& loop, SocketBroker& broker, std::vector<std::unique_ptr<worker::Worker>>& workers,
            snapshot::EndpointResolver resolver);

  // `done` is called once, on this thread: at once after a failure, later otherwise. One at a time: busy() tells.
  void publish(const snapshot::ResourceView& resources, Done done);
  void publish(const config::v1::ResourceSet& resources, Done done);
  // At once, for what serves now and for what is published later.
  void cap_dns_ttls(uint32_t seconds) { builder_.cap_dns_ttls(seconds); }
  [[nodiscard]] bool busy() const { return waiting_ > 0; }
  // Null before the first success.
  [[nodiscard]] const std::shared_ptr<const snapshot::Snapshot>& current() const { return current_; }

 private:
  struct Opened {
    std::string listener;
    std::vector<UniqueFd> sockets;  // one per worker
    std::vector<UniqueFd> left_over{};
  };
  void publish(snapshot::BuildOutcome built, Done done);
  Result<Opened> open(const snapshot::Listener& listener, std::string& failure);
  void take_left_over(const snapshot::Listener& listener, const std::vector<SocketKey>& held, Opened& opened);
  void on_applied(std::vector<std::string> problems);
  void finish();
  static std::vector<SocketKey> keys_of(const snapshot::Listener& listener, size_t workers);

  event::Loop& loop_;
  SocketBroker& broker_;
  std::vector<std::unique_ptr<worker::Worker>>& workers_;
  snapshot::Builder builder_;
  std::shared_ptr<const snapshot::Snapshot> current_;
  std::shared_ptr<const snapshot::Snapshot> next_;
  size_t waiting_ = 0;
  PublishOutcome outcome_;
  Done done_;
};

}  // namespace headgate::control
