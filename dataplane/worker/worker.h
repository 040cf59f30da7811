// worker.h -- one thread with everything it needs: loop, counters, pools, open listeners, the current Snapshot.
//
// Others reach a worker only through post(); the functions marked "on the worker" run there.
// Thread: see each function.   Owner: control::Supervisor, embed::Server.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/base/counters.h"
#include "dataplane/base/overload.h"
#include "dataplane/base/random.h"
#include "dataplane/event/loop.h"
#include "dataplane/event/worker_context.h"
#include "dataplane/http/date.h"
#include "dataplane/snapshot/snapshot.h"
#include "dataplane/tls/ticket_keys.h"
#include "dataplane/upstream/pool_set.h"
#include "dataplane/worker/open_listener.h"
#include "dataplane/worker/snapshot_ref.h"

namespace headgate::worker {

struct WorkerOptions {
  uint32_t index = 0;
  uint32_t count = 1;
  int cpu = -1;  // pinned there; -1: not pinned
};

// A listening socket for a listener that this worker does not have open yet.
struct ListenerSocket {
  std::string listener;
  UniqueFd fd;
  // Sockets of the same listener that workers of the process before us had, and we have not: emptied and closed.
  std::vector<UniqueFd> left_over{};
};

class Worker {
 public:
  // `retire` gets Snapshots that nobody on this worker needs any more; called on the worker.
  Worker(const WorkerOptions& options, SnapshotRef::Retire retire);
  ~Worker();

  // Any thread.
  void start();
  void join();
  template <typename Fn>
  void post(Fn&& fn) {
    loop_.mailbox().post_fn(std::forward<Fn>(fn));
  }
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] const event::Loop& loop() const { return loop_; }
  // What control says about this worker's situation.
  [[nodiscard]] Overload& overload() { return overload_; }
  void set_memory_pressure(MemoryPressure pressure);
  [[nodiscard]] uint32_t index() const { return context_.worker_index; }

  // On the worker. Takes over a Snapshot: opens, updates and drains listeners. Problems of single listeners are
  // returned, the rest is in force.
  std::vector<std::string> apply(std::shared_ptr<const snapshot::Snapshot> snapshot, std::vector<ListenerSocket> sockets);
  void set_ticket_keys(std::shared_ptr<const tls::TicketKeys> keys);
  // Everything finishes until `deadline`; then `done` is called once.
  void drain(MonotonicTime deadline, std::function<void()> done);
  void stop() { loop_.stop(); }
  [[nodiscard]] WorkerContext& context() { return context_; }

 private:
  void run();
  void close_listener(size_t index, MonotonicTime deadline);
  void check_drained();
  void on_drain_tick();

  event::Loop loop_;
  Counters counters_;
  Random random_;
  http::DateCache date_;
  Overload overload_;
  WorkerContext context_;
  upstream::PoolSet pools_;
  SnapshotRef::Retire retire_;
  SnapshotRef* current_ = nullptr;
  std::vector<std::unique_ptr<OpenListener>> listeners_;
  std::vector<std::unique_ptr<OpenListener>> leaving_;
  std::shared_ptr<const tls::TicketKeys> ticket_keys_;
  event::Timer drain_tick_;
  MonotonicTime drain_deadline_{};
  std::function<void()> drained_;
  bool accepting_ = true;
  WorkerOptions options_;
  std::thread thread_;
};

}  // namespace headgate::worker
