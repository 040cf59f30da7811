// ring_hash.cc -- a point of the ring for each weight of each endpoint; a key goes to the next point.
#include <algorithm>
#include <array>

#include "dataplane/base/hash.h"
#include "dataplane/upstream/policies.h"

namespace headgate::upstream {
namespace {

uint64_t as_key(std::string_view bytes) {
  const uint64_t hash = stable_hash(bytes);
  return hash == kNoHashKey ? 1 : hash;
}

// A walk this long has passed nothing but unusable endpoints: most of the set is out.
constexpr uint32_t kMaxSteps = 512;

}  // namespace

uint64_t hash_key_of_ip(const IpAddress& client) {
  std::array<char, 16> bytes;
  std::copy(client.bytes().begin(), client.bytes().end(), bytes.begin());
  return as_key({bytes.data(), bytes.size()});
}

uint64_t hash_key_of_connection(const SocketAddress& client) {
  if (!client.is_ip()) return as_key(client.path());
  std::array<char, 18> bytes;
  std::copy(client.address().bytes().begin(), client.address().bytes().end(), bytes.begin());
  bytes[16] = static_cast<char>(client.port() >> 8);
  bytes[17] = static_cast<char>(client.port() & 0xff);
  return as_key({bytes.data(), bytes.size()});
}

uint64_t hash_key_of_text(std::string_view expanded) { return expanded.empty() ? kNoHashKey : as_key(expanded); }

uint32_t pick_ring_hash(Choice& choice) {
  const HashRing& ring = choice.upstream.ring();
  if (choice.input.hash_key == kNoHashKey || ring.empty()) return pick_random(choice);
  const PickView& view = choice.view;
  const LoadBalancing& balance = choice.upstream.settings().balance;
  const uint32_t wanted = balance.policy == BalancePolicy::kRingHash && !choice.input.sticky
                              ? std::clamp<uint32_t>(balance.subset, 1, LoadBalancing::kMaxSubset)
                              : 1;
  std::array<uint32_t, LoadBalancing::kMaxSubset> found;
  uint32_t count = 0;
  uint32_t position = ring.find(choice.input.hash_key);
  for (uint32_t steps = 0; steps < kMaxSteps && steps < ring.size() && count < wanted; ++steps) {
    const uint32_t member = view.member_of[ring.index_at(position)];
    position = ring.next(position);
    if (member == PickView::kNone || choice.was_tried(member)) continue;
    if (std::find(found.begin(), found.begin() + count, member) != found.begin() + count) continue;
    found[count++] = member;
  }
  if (count == 1) return found[0];
  if (count > 1) return found[choice.input.random.below(count)];
  // Still the same for one key, as long as the usable set is the same.
  const auto members = static_cast<uint32_t>(view.members.size());
  auto member = static_cast<uint32_t>(choice.input.hash_key % members);
  for (uint32_t i = 0; i < members; ++i) {
    if (!choice.was_tried(member)) return member;
    member = member + 1 == members ? 0 : member + 1;
  }
  return PickView::kNone;
}

}  // namespace headgate::upstream
