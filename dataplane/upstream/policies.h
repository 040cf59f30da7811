// policies.h -- one function per way of choosing among the members of a worker's view; used by balancer.cc only.
//
// Each returns a member, or PickView::kNone when all members were tried. The view has at least one member.
// Thread: worker.
#pragma once

#include <algorithm>

#include "dataplane/upstream/balancer.h"

namespace headgate::upstream {

// What a policy sees of one pick.
struct Choice {
  const Upstream& upstream;
  PickInput& input;
  PickView& view;

  [[nodiscard]] bool has_tried() const { return input.tried != nullptr && !input.tried->empty(); }
  [[nodiscard]] bool was_tried(uint32_t member) const {
    return has_tried() && input.tried->contains(upstream.endpoint(view.members[member]).cell.get());
  }
  [[nodiscard]] EndpointLoad& load(uint32_t member) const { return input.load.at(view.members[member]); }
  // The least of `view.heap` that was not tried moves on by its stride.
  uint32_t take_turn();
};

uint32_t pick_round_robin(Choice& choice);
uint32_t pick_random(Choice& choice);
uint32_t pick_least_conn(Choice& choice);
uint32_t pick_least_request(Choice& choice);
uint32_t pick_peak_ewma(Choice& choice);
// kIpHash, kConnHash and kRingHash.
uint32_t pick_ring_hash(Choice& choice);

// Two different untried members drawn by weight; the second is kNone when there is only one.
struct MemberPair {
  uint32_t first = PickView::kNone;
  uint32_t second = PickView::kNone;
};
MemberPair draw_two(Choice& choice);

}  // namespace headgate::upstream
