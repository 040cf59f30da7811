#include "dataplane/upstream/worker_load.h"

#include <algorithm>
#include <cmath>

#include "dataplane/base/check.h"

namespace headgate::upstream {
namespace {

// A weight never starts below this part of its full value: a slow endpoint that gets nothing never warms up.
constexpr double kSlowStartFloor = 0.1;
constexpr int kSlowStartSteps = 20;
constexpr double kLatencyDecayNs = 10e9;

bool needs_draw(BalancePolicy policy) {
  return policy != BalancePolicy::kRoundRobin && policy != BalancePolicy::kLeastConn;
}

}  // namespace

Rank rank_endpoint(const UpstreamSettings& settings, const Endpoint& endpoint, MonotonicTime now) {
  if (endpoint.weight == 0 || !endpoint.resolved() || (!endpoint.ready && !endpoint.serving)) return Rank::kOut;
  if (endpoint.cell->health() == Health::kUnhealthy) return settings.fail_open ? Rank::kFailing : Rank::kOut;
  if (endpoint.cell->is_ejected(now)) return Rank::kEjected;
  return endpoint.ready && !endpoint.terminating ? Rank::kUsable : Rank::kServing;
}

void WorkerLoad::bind(const Upstream& upstream) {
  bound_ = &upstream;
  bind_pending_ = true;
}

EndpointLoad& WorkerLoad::load_of(const Upstream& upstream, const Endpoint& endpoint) {
  auto& load = by_cell_[endpoint.cell.get()];
  if (load == nullptr) {
    load = std::make_unique<EndpointLoad>();
    // Held, so that the address of a dropped cell is not reused while it is a key here.
    load->cell = endpoint.cell;
    load->upstream_cell = upstream.shared_cell();
  }
  return *load;
}

EndpointLoad& WorkerLoad::start(const Upstream& upstream, uint32_t index) {
  const bool current = &upstream == bound_ && !bind_pending_;
  EndpointLoad& load = current ? *loads_[index] : load_of(upstream, upstream.endpoint(index));
  ++load.active;
  ++active_;
  if (heap_by_load_) update_heap(load);
  return load;
}

void WorkerLoad::finish(EndpointLoad& load) {
  HG_DCHECK(load.active > 0);
  --load.active;
  --active_;
  if (load.index != EndpointLoad::kUnbound) {
    if (heap_by_load_) update_heap(load);
  } else if (load.active == 0) {
    by_cell_.erase(load.cell.get());
  }
}

void WorkerLoad::update_heap(const EndpointLoad& load) {
  if (load.index == EndpointLoad::kUnbound) return;
  const uint32_t member = view_.member_of[load.index];
  if (member == PickView::kNone) return;
  view_.heap.update(member, view_.heap.of(member).turn, static_cast<float>(load.active) / view_.weights[member]);
}

void WorkerLoad::record_latency(EndpointLoad& load, Duration latency, MonotonicTime now) {
  const auto sample = static_cast<double>(std::max<int64_t>(1, latency.count()));
  if (load.latency_ns == 0 || sample > load.latency_ns) {
    load.latency_ns = sample;  // a peak counts at once, its end only with time
  } else {
    const double keep = std::exp(-static_cast<double>((now - load.latency_at).count()) / kLatencyDecayNs);
    load.latency_ns = load.latency_ns * keep + sample * (1 - keep);
  }
  load.latency_at = now;
}

void WorkerLoad::rebind() {
  bind_pending_ = false;
  for (auto& [cell, load] : by_cell_) load->index = EndpointLoad::kUnbound;
  const auto endpoints = bound_->endpoints();
  loads_.resize(endpoints.size());
  for (uint32_t i = 0; i < endpoints.size(); ++i) {
    loads_[i] = &load_of(*bound_, endpoints[i]);
    loads_[i]->index = i;
  }
  std::erase_if(by_cell_, [](const auto& entry) {
    return entry.second->index == EndpointLoad::kUnbound && entry.second->active == 0;
  });
  // All room is made here, so that a change of health costs no allocation.
  view_.members.reserve(endpoints.size());
  view_.weights.reserve(endpoints.size());
  view_.member_of.resize(endpoints.size());
  scratch_.reserve(endpoints.size());
  const BalancePolicy policy = bound_->settings().balance.policy;
  if (needs_draw(policy)) {
    view_.alias_share.reserve(endpoints.size());
    view_.alias_other.reserve(endpoints.size());
  } else {
    view_.heap.reserve(endpoints.size());
  }
}

void WorkerLoad::rebuild(Random& random, MonotonicTime now) {
  const bool first = view_.member_of.empty();
  seen_epoch_ = bound_->cell().epoch();  // first: what changes while we look is seen next time
  refresh_at_ = MonotonicTime::max();
  save_turns();
  if (bind_pending_) rebind();
  choose_members(now);
  weigh_members(now);
  const auto members = static_cast<uint32_t>(view_.members.size());
  if (members == 0) {
    heap_by_load_ = false;
    return;
  }
  // Workers start at different members, or all of them would send their first request to the same endpoint.
  view_.position = first ? static_cast<uint32_t>(random.below(members)) : view_.position % members;
  const BalancePolicy policy = bound_->settings().balance.policy;
  heap_by_load_ = policy == BalancePolicy::kLeastConn;
  if (heap_by_load_ || (policy == BalancePolicy::kRoundRobin && !view_.equal_weights)) build_heap(random);
  if (needs_draw(policy) && !view_.equal_weights) build_alias();
}

void WorkerLoad::choose_members(MonotonicTime now) {
  const auto endpoints = bound_->endpoints();
  view_.members.clear();
  std::fill(view_.member_of.begin(), view_.member_of.end(), PickView::kNone);
  // Ranks are read once: a cell may change while we look (the epoch moves after it, and this is done again).
  scratch_.assign(endpoints.size(), static_cast<uint32_t>(Rank::kOut));
  auto best = std::pair(static_cast<uint32_t>(Rank::kOut), UINT32_MAX);
  for (uint32_t i = 0; i < endpoints.size(); ++i) {
    const Rank rank = rank_endpoint(bound_->settings(), endpoints[i], now);
    scratch_[i] = static_cast<uint32_t>(rank);
    best = std::min(best, std::pair(scratch_[i], endpoints[i].priority));
    if (rank == Rank::kEjected) {
      const int64_t until = endpoints[i].cell->ejected_until_ns.load(std::memory_order_relaxed);
      refresh_at_ = std::min(refresh_at_, from_nanoseconds(until));
    }
  }
  if (best.first == static_cast<uint32_t>(Rank::kOut)) return;
  for (uint32_t i = 0; i < endpoints.size(); ++i) {
    if (endpoints[i].priority == best.second && scratch_[i] == best.first) view_.members.push_back(i);
  }
  const ZonePolicy& zones = bound_->settings().zones;
  if (zones.prefer_local && !zones.local_zone.empty() && best.first == static_cast<uint32_t>(Rank::kUsable) &&
      !is_hash_policy(bound_->settings().balance.policy)) {
    keep_local_zone();
  }
  for (uint32_t member = 0; member < view_.members.size(); ++member) view_.member_of[view_.members[member]] = member;
}

void WorkerLoad::keep_local_zone() {
  const ZonePolicy& zones = bound_->settings().zones;
  const auto endpoints = bound_->endpoints();
  const uint32_t priority = endpoints[view_.members.front()].priority;
  uint64_t all = 0;
  for (const Endpoint& endpoint : endpoints) {
    if (endpoint.priority == priority && endpoint.zone == zones.local_zone) all += endpoint.weight;
  }
  uint64_t usable = 0;
  for (const uint32_t index : view_.members) {
    if (endpoints[index].zone == zones.local_zone) usable += endpoints[index].weight;
  }
  if (usable == 0 || usable * 100 < all * zones.min_local_percent) return;
  std::erase_if(view_.members, [&](uint32_t index) { return endpoints[index].zone != zones.local_zone; });
}

void WorkerLoad::weigh_members(MonotonicTime now) {
  const LoadBalancing& balance = bound_->settings().balance;
  const auto endpoints = bound_->endpoints();
  view_.weights.clear();
  view_.equal_weights = true;
  for (const uint32_t index : view_.members) {
    auto weight = static_cast<double>(endpoints[index].weight);
    const int64_t since = endpoints[index].cell->slow_start_since_ns.load(std::memory_order_relaxed);
    if (balance.slow_start.count() > 0 && since != 0 && !is_hash_policy(balance.policy)) {
      const Duration age = now - from_nanoseconds(since);
      if (age < balance.slow_start) {
        weight *= std::clamp(to_seconds(age) / to_seconds(balance.slow_start), kSlowStartFloor, 1.0);
        refresh_at_ = std::min(refresh_at_, now + balance.slow_start / kSlowStartSteps);
      }
    }
    view_.weights.push_back(static_cast<float>(weight));
    if (view_.weights.back() != view_.weights.front()) view_.equal_weights = false;
  }
}

void WorkerLoad::save_turns() {
  for (uint32_t member = 0; member < view_.heap.size(); ++member) {
    loads_[view_.members[member]]->turn = view_.heap.of(member).turn;
  }
  view_.heap.clear();
}

void WorkerLoad::build_heap(Random& random) {
  for (uint32_t member = 0; member < view_.members.size(); ++member) {
    const EndpointLoad& load = *loads_[view_.members[member]];
    const double stride = 1.0 / static_cast<double>(view_.weights[member]);
    // One that was away must not catch up on what it missed, and one whose weight has grown must not wait for the turn
    // that its old weight gave it.
    double turn = load.turn;
    if (turn < view_.virtual_time) turn = view_.virtual_time + random.unit() * stride;
    turn = std::min(turn, view_.virtual_time + stride);
    const float in_use = heap_by_load_ ? static_cast<float>(load.active) / view_.weights[member] : 0;
    view_.heap.append({turn, in_use, member});
  }
  view_.heap.order();
}

void WorkerLoad::build_alias() {
  const auto members = static_cast<uint32_t>(view_.members.size());
  double total = 0;
  for (const float weight : view_.weights) total += static_cast<double>(weight);
  view_.alias_share.clear();
  view_.alias_other.clear();
  for (uint32_t i = 0; i < members; ++i) {
    view_.alias_share.push_back(static_cast<float>(static_cast<double>(view_.weights[i]) * members / total));
    view_.alias_other.push_back(i);
  }
  // scratch_ holds those below the average from the front and those above it from the back.
  scratch_.assign(members, 0);
  uint32_t small = 0;
  uint32_t large = members;
  for (uint32_t i = 0; i < members; ++i) scratch_[view_.alias_share[i] < 1 ? small++ : --large] = i;
  while (small > 0 && large < members) {
    const uint32_t poor = scratch_[--small];
    const uint32_t rich = scratch_[large];
    view_.alias_other[poor] = rich;
    view_.alias_share[rich] -= 1 - view_.alias_share[poor];
    if (view_.alias_share[rich] < 1) {
      ++large;
      scratch_[small++] = rich;
    }
  }
  // Left over by rounding: whole shares of their own.
  while (small > 0) view_.alias_share[scratch_[--small]] = 1;
}

void WorkerLoads::bind(size_t slot, const Upstream* upstream) {
  if (slots_.size() <= slot) slots_.resize(slot + 1);
  Slot& entry = slots_[slot];
  if (entry.load != nullptr) {
    if (upstream != nullptr) {
      entry.load->bind(*upstream);
    } else {
      entry.load->unbind();
      leaving_.push_back(slot);
    }
  }
  entry.bound = upstream;
}

void WorkerLoads::collect() {
  std::erase_if(leaving_, [this](size_t slot) {
    Slot& entry = slots_[slot];
    if (entry.bound != nullptr || entry.load == nullptr) return true;
    if (entry.load->active() > 0) return false;  // what is in flight still points into it
    entry.load.reset();
    return true;
  });
}

WorkerLoad& WorkerLoads::of(const Upstream& upstream) {
  if (slots_.size() <= upstream.slot()) slots_.resize(upstream.slot() + size_t{1});
  Slot& slot = slots_[upstream.slot()];
  if (slot.load == nullptr) {
    slot.load = std::make_unique<WorkerLoad>();
    if (slot.bound != nullptr) slot.load->bind(*slot.bound);
  }
  return *slot.load;
}

}  // namespace headgate::upstream
