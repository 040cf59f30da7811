// round_robin.cc -- endpoints in turn, smoothly by weight.
#include <algorithm>

#include "dataplane/upstream/policies.h"

// Weighted round robin as stride scheduling: each member's next turn lies 1/weight further on a virtual clock and the
// earliest turn is taken. In any run of sum(weights) picks a member is chosen its weight times, give or take one, which
// is as smooth as subtracting totals from every member, at O(log n) instead of O(n).

namespace headgate::upstream {

uint32_t Choice::take_turn() {
  const IndexedHeap::Node* node =
      has_tried() ? view.heap.least_where([this](uint32_t member) { return !was_tried(member); }) : &view.heap.top();
  if (node == nullptr) return PickView::kNone;
  const uint32_t member = node->member;
  // With least_conn a busy member's turn falls behind; what it missed is not made up for.
  const double turn = std::max(node->turn, view.virtual_time);
  view.virtual_time = turn;
  view.heap.update(member, turn + 1.0 / static_cast<double>(view.weights[member]), node->load);
  return member;
}

uint32_t pick_round_robin(Choice& choice) {
  PickView& view = choice.view;
  if (!view.equal_weights) return choice.take_turn();
  const auto members = static_cast<uint32_t>(view.members.size());
  for (uint32_t i = 0; i < members; ++i) {
    const uint32_t member = view.position;
    view.position = member + 1 == members ? 0 : member + 1;
    if (!choice.was_tried(member)) return member;
  }
  return PickView::kNone;
}

}  // namespace headgate::upstream
