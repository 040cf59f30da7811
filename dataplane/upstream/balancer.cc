#include "dataplane/upstream/balancer.h"

#include "dataplane/upstream/policies.h"

namespace headgate::upstream {
namespace {

// Weighted random over all endpoints, without a view: for an Upstream that is no longer bound, and for a retry after
// all members of the view were tried, which may go to another priority group or zone. As good in rank as the best
// endpoint is, tried or not: while there are usable endpoints, a retry does not go to one that is out.
std::optional<uint32_t> pick_by_scan(const Upstream& upstream, PickInput& input) {
  const auto endpoints = upstream.endpoints();
  Rank best = Rank::kOut;
  for (const Endpoint& endpoint : endpoints) {
    best = std::min(best, rank_endpoint(upstream.settings(), endpoint, input.now));
  }
  if (best == Rank::kOut) return std::nullopt;
  std::optional<uint32_t> chosen;
  uint32_t priority = UINT32_MAX;
  uint64_t total = 0;
  for (uint32_t i = 0; i < endpoints.size(); ++i) {
    const Endpoint& endpoint = endpoints[i];
    if ((chosen.has_value() && endpoint.priority > priority) ||
        rank_endpoint(upstream.settings(), endpoint, input.now) != best ||
        (input.tried != nullptr && input.tried->contains(endpoint.cell.get()))) {
      continue;
    }
    if (!chosen.has_value() || endpoint.priority < priority) {
      priority = endpoint.priority;
      total = 0;
    }
    total += endpoint.weight;
    // Keeps each one seen so far with its share of the weight.
    if (input.random.below(total) < endpoint.weight) chosen = i;
  }
  return chosen;
}

uint32_t pick_member(BalancePolicy policy, Choice& choice) {
  switch (policy) {
    case BalancePolicy::kRoundRobin: return pick_round_robin(choice);
    case BalancePolicy::kRandom: return pick_random(choice);
    case BalancePolicy::kLeastConn: return pick_least_conn(choice);
    case BalancePolicy::kLeastRequest: return pick_least_request(choice);
    case BalancePolicy::kPeakEwma: return pick_peak_ewma(choice);
    case BalancePolicy::kIpHash:
    case BalancePolicy::kConnHash:
    case BalancePolicy::kRingHash: return pick_ring_hash(choice);
  }
  return PickView::kNone;
}

}  // namespace

std::optional<uint32_t> pick(const Upstream& upstream, PickInput& input) {
  if (!input.load.refresh(upstream, input.random, input.now)) return pick_by_scan(upstream, input);
  PickView& view = input.load.view();
  if (view.members.empty()) return std::nullopt;
  Choice choice{upstream, input, view};
  const uint32_t member =
      input.sticky ? pick_ring_hash(choice) : pick_member(upstream.settings().balance.policy, choice);
  if (member != PickView::kNone) return view.members[member];
  return pick_by_scan(upstream, input);
}

}  // namespace headgate::upstream
