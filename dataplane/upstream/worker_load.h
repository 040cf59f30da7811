// worker_load.h -- what one worker remembers about one Upstream: requests in flight, turn order, latency, and its view
// of which endpoints are usable now.
//
// Survives Snapshot swaps: bind() names the new Upstream, endpoints are matched by their cells (that is, by address).
// An exchange keeps the EndpointLoad that start() gave it and hands it to finish(), whatever was bound in between.
// Thread: worker.   Owner: WorkerLoads of the worker.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "dataplane/base/random.h"
#include "dataplane/upstream/indexed_heap.h"
#include "dataplane/upstream/retry_budget.h"
#include "dataplane/upstream/upstream.h"

namespace headgate::upstream {

// How good an endpoint is; a worse one is only picked when there is none of the better ones (see balancer.h).
enum class Rank : uint8_t { kUsable, kServing, kEjected, kFailing, kOut };
Rank rank_endpoint(const UpstreamSettings& settings, const Endpoint& endpoint, MonotonicTime now);

struct EndpointLoad {
  static constexpr uint32_t kUnbound = UINT32_MAX;
  uint32_t active = 0;        // requests (or connections, for streams) in flight
  uint32_t index = kUnbound;  // in the Upstream that the view was built for
  double turn = -1;           // virtual time of its next turn; negative: never had one
  double latency_ns = 0;      // peak-sensitive moving average; 0: not known
  MonotonicTime latency_at{};
  std::shared_ptr<EndpointCell> cell{};
  std::shared_ptr<UpstreamCell> upstream_cell{};  // of the Upstream that the endpoint belongs to
};

// The usable endpoints and the structures that the policies pick from. Members are numbered densely.
struct PickView {
  static constexpr uint32_t kNone = UINT32_MAX;

  std::vector<uint32_t> members;    // member -> endpoint index
  std::vector<uint32_t> member_of;  // endpoint index -> member, or kNone
  std::vector<float> weights;       // per member, slow start included
  bool equal_weights = true;
  uint32_t position = 0;    // round robin with equal weights: the member whose turn it is
  double virtual_time = 0;  // of the latest turn taken from the heap
  IndexedHeap heap;         // round robin with weights, least_conn
  std::vector<float> alias_share;  // weighted random in O(1) (Walker's alias method)
  std::vector<uint32_t> alias_other;

  // A member at random by weight. `members` must not be empty.
  [[nodiscard]] uint32_t draw(Random& random) const {
    const auto member = static_cast<uint32_t>(random.below(members.size()));
    if (equal_weights || random.unit() < static_cast<double>(alias_share[member])) return member;
    return alias_other[member];
  }
};

class WorkerLoad {
 public:
  // `upstream` must live until the next bind() (the worker's current Snapshot holds it). Cheap: the work is done by the
  // first pick.
  void bind(const Upstream& upstream);
  // The Upstream is gone from the configuration.
  void unbind() { bound_ = nullptr; }
  [[nodiscard]] const Upstream* bound() const { return bound_; }

  // A request to endpoint `index` of `upstream` begins. The result stays valid until finish().
  EndpointLoad& start(const Upstream& upstream, uint32_t index);
  void finish(EndpointLoad& load);
  // Time to the response head, for kPeakEwma.
  static void record_latency(EndpointLoad& load, Duration latency, MonotonicTime now);

  // Of this worker, all endpoints.
  [[nodiscard]] uint32_t active() const { return active_; }
  [[nodiscard]] RetryBudget& retry_budget() { return retry_budget_; }

  // --- for the policies ---
  // Brings the view up to date. False: `upstream` is not the bound one.
  bool refresh(const Upstream& upstream, Random& random, MonotonicTime now) {
    if (&upstream != bound_) return false;
    if (bind_pending_ || upstream.cell().epoch() != seen_epoch_ || now >= refresh_at_) rebuild(random, now);
    return true;
  }
  [[nodiscard]] PickView& view() { return view_; }
  [[nodiscard]] EndpointLoad& at(uint32_t index) { return *loads_[index]; }
  // May endpoint `index` of the bound Upstream be picked now? For affinity cookies; after refresh().
  [[nodiscard]] bool usable(uint32_t index) const { return view_.member_of[index] != PickView::kNone; }

 private:
  void rebind();
  void rebuild(Random& random, MonotonicTime now);
  void choose_members(MonotonicTime now);
  void keep_local_zone();
  void weigh_members(MonotonicTime now);
  void save_turns();
  void update_heap(const EndpointLoad& load);
  void build_heap(Random& random);
  void build_alias();
  EndpointLoad& load_of(const Upstream& upstream, const Endpoint& endpoint);

  const Upstream* bound_ = nullptr;
  bool bind_pending_ = false;
  bool heap_by_load_ = false;  // least_conn: the heap follows `active`
  uint32_t seen_epoch_ = 0;
  MonotonicTime refresh_at_ = MonotonicTime::max();  // an ejection ends, or slow start takes a step
  uint32_t active_ = 0;
  std::unordered_map<const EndpointCell*, std::unique_ptr<EndpointLoad>> by_cell_;
  std::vector<EndpointLoad*> loads_;  // by endpoint index of the Upstream that the view was built for
  std::vector<uint32_t> scratch_;
  PickView view_;
  RetryBudget retry_budget_;
};

// The loads of one worker by slot, made on first use.
class WorkerLoads {
 public:
  // The Upstream of a slot is another one now, or none; it must live until the next bind() of this slot.
  void bind(size_t slot, const Upstream* upstream);
  // Frees what was in flight when its Upstream went, and no longer is.
  void collect();
  // Of the Upstream's slot; stays where it is until the slot is free and nothing is in flight.
  [[nodiscard]] WorkerLoad& of(const Upstream& upstream);

 private:
  struct Slot {
    const Upstream* bound = nullptr;
    std::unique_ptr<WorkerLoad> load;
  };
  std::vector<Slot> slots_;
  std::vector<size_t> leaving_;  // slots that are free but for what is in flight
};

}  // namespace headgate::upstream
