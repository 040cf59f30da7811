#include "dataplane/upstream/hash_ring.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "dataplane/base/hash.h"

namespace headgate::upstream {
namespace {

// A full avalanche of a counter (the finaliser of SplitMix64): one multiplication chain per point instead of hashing
// "address-number" as text.
uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15U;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31);
}

// Stable sort by `hash`, 11 bits at a time: a ring of 5,000 endpoints is rebuilt for each of their changes.
template <typename Point>
void radix_sort(std::vector<Point>& points) {
  constexpr uint32_t kBits = 11;
  constexpr uint32_t kMask = (1U << kBits) - 1;
  std::vector<Point> other(points.size());
  for (uint32_t shift = 0; shift < 32; shift += kBits) {
    std::array<uint32_t, 1U << kBits> starts{};
    for (const Point& point : points) ++starts[(point.hash >> shift) & kMask];
    uint32_t sum = 0;
    for (uint32_t& start : starts) sum += std::exchange(start, sum);
    for (const Point& point : points) other[starts[(point.hash >> shift) & kMask]++] = point;
    points.swap(other);
  }
}

}  // namespace

void HashRing::build(std::vector<Member> members) {
  points_.clear();
  buckets_.clear();
  uint32_t heaviest = 0;
  for (const Member& member : members) heaviest = std::max(heaviest, member.weight);
  if (heaviest == 0) return;
  // Points with the same hash stay in order of their endpoints' text, whatever the order of the list.
  std::sort(members.begin(), members.end(), [](const Member& a, const Member& b) { return a.text < b.text; });
  points_.reserve(members.size() * kPointsPerEndpoint);
  for (const Member& member : members) {
    if (member.weight == 0) continue;
    const uint64_t seed = stable_hash(member.text);
    const uint64_t count = std::max<uint64_t>(1, uint64_t{kPointsPerEndpoint} * member.weight / heaviest);
    for (uint64_t i = 0; i < count; ++i) {
      points_.push_back({static_cast<uint32_t>(mix(seed + i * 0xd1342543de82ef95U) >> 32), member.index});
    }
  }
  radix_sort(points_);

  // About one point per bucket.
  const auto bits = static_cast<uint32_t>(std::max(1, static_cast<int>(std::bit_width(points_.size())) - 1));
  shift_ = 32 - bits;
  buckets_.resize(size_t{1} << bits);
  uint32_t point = 0;
  for (uint32_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    while (point < points_.size() && (points_[point].hash >> shift_) < bucket) ++point;
    buckets_[bucket] = point;
  }
}

uint32_t HashRing::find(uint64_t key) const {
  const auto hash = static_cast<uint32_t>(mix(key) >> 32);
  uint32_t point = buckets_[hash >> shift_];
  while (point < points_.size() && points_[point].hash < hash) ++point;
  return point == points_.size() ? 0 : point;
}

}  // namespace headgate::upstream
