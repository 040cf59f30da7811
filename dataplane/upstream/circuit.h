// circuit.h -- this worker's part in the CircuitLimits of one Upstream: who may open a connection, and who waits for room.
//
// The counts are process cells, so the limits hold over all workers. A pool that may not open a connection for its
// requests is starved: it is offered room when a connection of this worker is gone, and looks again every kPoll for what
// other workers gave back. So that connections that nobody uses do not keep others from theirs, an idle one of another
// endpoint is closed for a starved pool, and under a limit each worker keeps no more idle than its share.
// Thread: worker.   Owner: its pools, by shared_ptr.
#pragma once

#include <memory>

#include "dataplane/base/intrusive_list.h"
#include "dataplane/event/timer_wheel.h"
#include "dataplane/event/loop.h"
#include "dataplane/event/worker_context.h"
#include "dataplane/upstream/upstream.h"

namespace headgate::upstream {

struct StarvedTag;

// The connections to one endpoint of the Upstream.
class CircuitMember : public ListNode<>, public ListNode<StarvedTag> {
 public:
  // Closes the idle connection that was used least recently, and gives it back. False: there is none.
  virtual bool close_idle() = 0;
  // There may be room now: open connections for those who wait, or let go of those who waited too long. Calls
  // Circuit::starve() again when that was not enough.
  virtual void on_room() = 0;
  // Of the request that has waited longest; max() when none waits.
  [[nodiscard]] virtual MonotonicTime waiting_since() = 0;

 protected:
  ~CircuitMember() = default;
};

class Circuit {
 public:
  static constexpr Duration kPoll = std::chrono::milliseconds(20);
  // How long another endpoint's request waits before a connection that became idle is closed in its favour.
  static constexpr Duration kPatience = std::chrono::milliseconds(50);

  Circuit(WorkerContext& worker, std::shared_ptr<const UpstreamSettings> settings, std::shared_ptr<UpstreamCell> cell);
  Circuit(const Circuit&) = delete;
  Circuit& operator=(const Circuit&) = delete;

  void join(CircuitMember& member) { members_.push_back(member); }
  // May one more connection to the endpoint be opened? True: it is counted until give_back().
  bool take(CircuitMember& member, EndpointCell& endpoint);
  void give_back(EndpointCell& endpoint);
  void starve(CircuitMember& member);
  // A connection of `member` became idle: may it be kept when nobody waits for it, `open` being those of the endpoint on
  // this worker? More than the worker's share of a limit would keep other workers from theirs.
  [[nodiscard]] bool may_rest(size_t open) const;
  // Has a request to another endpoint waited so much longer that the connection is better closed?
  [[nodiscard]] bool others_first(CircuitMember& member) { return !starved_.empty() && longer_starved(member); }

  // One more request waits for a connection. False: too many do. Until leave_queue().
  bool enter_queue() { return cell_->pending.try_add(limits().pending); }
  void leave_queue() { cell_->pending.subtract(); }

  [[nodiscard]] const std::shared_ptr<UpstreamCell>& cell() const { return cell_; }
  [[nodiscard]] const std::shared_ptr<const UpstreamSettings>& settings() const { return settings_; }

 private:
  using Starved = IntrusiveList<CircuitMember, StarvedTag>;
  [[nodiscard]] const CircuitLimits& limits() const { return settings_->circuit; }
  [[nodiscard]] bool longer_starved(CircuitMember& member);
  bool close_idle_of_others(const CircuitMember& member);
  void offer_room();

  WorkerContext& worker_;
  std::shared_ptr<const UpstreamSettings> settings_;
  std::shared_ptr<UpstreamCell> cell_;
  IntrusiveList<CircuitMember> members_;
  Starved starved_;  // longest first
  size_t held_ = 0;  // connections counted by this worker
  event::Timer poll_;
  event::DeferredCall offer_;
};

}  // namespace headgate::upstream
