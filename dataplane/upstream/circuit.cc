#include "dataplane/upstream/circuit.h"

#include <algorithm>

namespace headgate::upstream {

Circuit::Circuit(WorkerContext& worker, std::shared_ptr<const UpstreamSettings> settings,
                 std::shared_ptr<UpstreamCell> cell)
    : worker_(worker),
      settings_(std::move(settings)),
      cell_(std::move(cell)),
      poll_(worker.loop.timers(), event::Timer::call<&Circuit::offer_room>, this),
      offer_(worker.loop, event::Timer::call<&Circuit::offer_room>, this) {}

bool Circuit::take(CircuitMember& member, EndpointCell& endpoint) {
  if (!endpoint.connections.try_add(limits().connections_per_endpoint)) return false;
  while (!cell_->connections.try_add(limits().connections)) {
    if (close_idle_of_others(member)) continue;
    endpoint.connections.subtract();
    return false;
  }
  ++held_;
  return true;
}

void Circuit::give_back(EndpointCell& endpoint) {
  cell_->connections.subtract();
  endpoint.connections.subtract();
  --held_;
  if (!starved_.empty()) offer_.schedule();
}

bool Circuit::close_idle_of_others(const CircuitMember& member) {
  bool closed = false;
  members_.for_each([&](CircuitMember& other) {
    if (!closed && &other != &member) closed = other.close_idle();
  });
  return closed;
}

void Circuit::starve(CircuitMember& member) {
  if (!member.ListNode<StarvedTag>::linked()) starved_.push_back(member);
  if (!poll_.armed()) poll_.arm(kPoll);
}

void Circuit::offer_room() {
  Starved round;
  round.splice_back(starved_);
  while (CircuitMember* member = round.pop_front()) member->on_room();
}

bool Circuit::may_rest(size_t open) const {
  const uint32_t workers = std::max<uint32_t>(1, worker_.worker_count);
  if (workers == 1) return true;
  const CircuitLimits& circuit = limits();
  return (circuit.connections == 0 || held_ <= circuit.connections / workers) &&
         (circuit.connections_per_endpoint == 0 || open <= circuit.connections_per_endpoint / workers);
}

bool Circuit::longer_starved(CircuitMember& member) {
  CircuitMember* longest = starved_.front();
  if (longest == &member || limits().connections == 0) return false;
  const MonotonicTime since = longest->waiting_since();
  return since < member.waiting_since() && worker_.loop.now() - since >= kPatience;
}

}  // namespace headgate::upstream
