#include "dataplane/upstream/policies.h"

namespace headgate::upstream {
namespace {

uint32_t draw_other(Choice& choice, uint32_t not_this) {
  constexpr int kDraws = 8;
  const auto members = static_cast<uint32_t>(choice.view.members.size());
  for (int i = 0; i < kDraws; ++i) {
    const uint32_t member = choice.view.draw(choice.input.random);
    if (member != not_this && !choice.was_tried(member)) return member;
  }
  // Few are left, or one has nearly all the weight: take the next that will do.
  uint32_t member = choice.view.draw(choice.input.random);
  for (uint32_t i = 0; i < members; ++i) {
    if (member != not_this && !choice.was_tried(member)) return member;
    member = member + 1 == members ? 0 : member + 1;
  }
  return PickView::kNone;
}

}  // namespace

uint32_t pick_random(Choice& choice) { return draw_other(choice, PickView::kNone); }

MemberPair draw_two(Choice& choice) {
  MemberPair pair;
  pair.first = draw_other(choice, PickView::kNone);
  if (pair.first != PickView::kNone) pair.second = draw_other(choice, pair.first);
  return pair;
}

}  // namespace headgate::upstream
