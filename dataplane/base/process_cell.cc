#include "dataplane/base/process_cell.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>

#include "dataplane/base/check.h"
#include "dataplane/base/hash.h"

namespace headgate {

size_t CellRegistry::collect() {
  const std::lock_guard lock(mutex_);
  for (auto& [key, entry] : entries_) {
    const bool unused = entry.cell.use_count() == 1 && entry.cell->idle();
    entry.unused_rounds = unused ? entry.unused_rounds + 1 : 0;
  }
  return std::erase_if(entries_, [](const auto& pair) { return pair.second.unused_rounds >= 2; });
}

size_t CellRegistry::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

// ---- connection counts ----

namespace {
uint64_t hash_address(const IpAddress& address) {
  return keyed_hash({reinterpret_cast<const char*>(address.bytes().data()), address.bytes().size()});
}
}  // namespace

bool ConnectionCounts::take_place(uint32_t limit) {
  if (limit == 0) {
    active_.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  // Not add-and-check: an attempt that is going to be refused must not be seen by others as a connection.
  uint64_t active = active_.load(std::memory_order_relaxed);
  while (active < limit) {
    if (active_.compare_exchange_weak(active, active + 1, std::memory_order_relaxed)) return true;
  }
  return false;
}

Admission ConnectionCounts::acquire(const IpAddress& address, const ConnectionLimits& limits,
                                    ConnectionPermit& permit) {
  HG_DCHECK(!permit.held());
  if (!take_place(limits.total)) return Admission::kTotalReached;
  if (limits.per_address > 0) {
    const Count counted = count_address(address, limits.per_address);
    if (counted != Count::kCounted) {
      active_.fetch_sub(1, std::memory_order_relaxed);
      return counted == Count::kLimit ? Admission::kAddressReached : Admission::kTableFull;
    }
  }
  permit.counts_ = this;
  permit.address_ = address;
  permit.by_address_ = limits.per_address > 0;
  return Admission::kAdmitted;
}

// The slot of `address`, or the empty one where it would go. There is always an empty slot: a stripe is never filled.
size_t ConnectionCounts::find_slot(const Stripe& stripe, const IpAddress& address, size_t home) {
  size_t at = home;
  while (stripe.slots[at].count != 0 && stripe.slots[at].address != address.bytes()) at = (at + 1) % kStripeSlots;
  return at;
}

ConnectionCounts::Count ConnectionCounts::count_address(const IpAddress& address, uint32_t limit) {
  const uint64_t hash = hash_address(address);
  Stripe& stripe = stripes_[hash % kStripes];
  const std::lock_guard lock(stripe.mutex);
  if (stripe.slots == nullptr) {
    // calloc: pages of a table that nobody uses stay with the kernel.
    auto* slots = static_cast<Slot*>(std::calloc(kStripeSlots, sizeof(Slot)));
    HG_CHECK(slots != nullptr);
    stripe.slots = {slots, [](Slot* memory) { std::free(memory); }};
  }
  Slot& slot = stripe.slots[find_slot(stripe, address, (hash / kStripes) % kStripeSlots)];
  if (slot.count >= limit) return Count::kLimit;
  if (slot.count == 0) {
    // Long probe sequences begin at seven eighths.
    if (stripe.used >= kStripeSlots / 8 * 7) return Count::kFull;
    ++stripe.used;
    slot.address = address.bytes();
  }
  ++slot.count;
  return Count::kCounted;
}

void ConnectionCounts::release_address(const IpAddress& address) {
  const uint64_t hash = hash_address(address);
  Stripe& stripe = stripes_[hash % kStripes];
  const std::lock_guard lock(stripe.mutex);
  const size_t at = find_slot(stripe, address, (hash / kStripes) % kStripeSlots);
  HG_CHECK(stripe.slots[at].count > 0);
  if (--stripe.slots[at].count == 0) erase_slot(stripe, at);
}

// Closes the gap: what was displaced past it moves back, so that no search ends too early.
void ConnectionCounts::erase_slot(Stripe& stripe, size_t at) {
  --stripe.used;
  for (size_t next = (at + 1) % kStripeSlots; stripe.slots[next].count != 0; next = (next + 1) % kStripeSlots) {
    const size_t home = (hash_address(IpAddress::v6(stripe.slots[next].address)) / kStripes) % kStripeSlots;
    const size_t displaced = (next + kStripeSlots - home) % kStripeSlots;
    const size_t gap = (next + kStripeSlots - at) % kStripeSlots;
    if (displaced < gap) continue;
    stripe.slots[at] = stripe.slots[next];
    at = next;
  }
  stripe.slots[at].count = 0;
}

uint32_t ConnectionCounts::active_of(const IpAddress& address) const {
  const uint64_t hash = hash_address(address);
  const Stripe& stripe = stripes_[hash % kStripes];
  const std::lock_guard lock(stripe.mutex);
  if (stripe.slots == nullptr) return 0;
  return stripe.slots[find_slot(stripe, address, (hash / kStripes) % kStripeSlots)].count;
}

ConnectionPermit& ConnectionPermit::operator=(ConnectionPermit&& other) noexcept {
  if (this == &other) return *this;
  release();
  counts_ = std::exchange(other.counts_, nullptr);
  address_ = other.address_;
  by_address_ = other.by_address_;
  return *this;
}

void ConnectionPermit::release() {
  if (counts_ == nullptr) return;
  if (by_address_) counts_->release_address(address_);
  // Last: once this is seen as zero the cell may go.
  std::exchange(counts_, nullptr)->active_.fetch_sub(1, std::memory_order_release);
}

// ---- rate buckets ----

namespace {

constexpr int kTimeBits = 44;  // of 1/16 us: comes round after 12.7 days
constexpr uint64_t kTimeMask = (uint64_t{1} << kTimeBits) - 1;
constexpr uint64_t kMaxWindow = uint64_t{1} << (kTimeBits - 2);  // 3.1 days: what can be told apart from "long ago"

uint64_t to_units(MonotonicTime time) { return static_cast<uint64_t>(time.time_since_epoch().count()) * 16 / 1000; }

// A tag is never 0: the word 0 is an empty bucket.
uint64_t tag_of(uint64_t key) { return std::max<uint64_t>(key >> kTimeBits, 1); }

// How far the arrival time of `word` lies ahead of now; 0 when it has passed: the bucket is full again. A distance that
// no limit allows is a bucket so old that the clock has come round.
uint64_t ahead_of(uint64_t word, uint64_t now) {
  const uint64_t ahead = (word - now) & kTimeMask;
  return ahead > kMaxWindow ? 0 : ahead;
}

uint64_t make_word(uint64_t tag, uint64_t time) { return (tag << kTimeBits) | (time & kTimeMask); }

}  // namespace

RateLimit RateLimit::per(double count, Duration period, uint32_t burst) {
  RateLimit limit;
  if (!(count > 0)) return limit;
  const double units = static_cast<double>(period.count()) * 16.0 / 1000.0 / count;
  limit.interval = static_cast<uint64_t>(std::llround(std::clamp(units, 0.0, static_cast<double>(kMaxWindow))));
  const auto wide_burst = static_cast<double>(std::max<uint32_t>(burst, 1));
  const double window = static_cast<double>(limit.interval) * wide_burst;
  limit.window = window >= static_cast<double>(kMaxWindow) ? kMaxWindow : static_cast<uint64_t>(window);
  return limit;
}

RateBuckets::RateBuckets(size_t keys) {
  const size_t sets = std::bit_ceil(std::max<size_t>(keys / kWays, 1));
  sets_ = std::make_unique<Set[]>(sets);
  set_mask_ = sets - 1;
}

RateVerdict RateBuckets::take(uint64_t key, const RateLimit& limit, MonotonicTime now_time, uint32_t cost) {
  if (limit.interval == 0) return {.remaining = UINT32_MAX};
  Set& set = sets_[key & set_mask_];
  const uint64_t tag = tag_of(key);
  const uint64_t now = to_units(now_time);
  // A cost beyond the burst is never allowed; it must not overflow into being so.
  const uint64_t price = cost > 0 && limit.interval > kMaxWindow / cost ? kMaxWindow + 1 : limit.interval * cost;
  for (;;) {
    // The bucket of this key, or else the one to evict: the least ahead of now. Every thread chooses alike, so two that
    // insert the same key meet in one compare-and-swap.
    size_t at = kWays;
    size_t oldest = 0;
    uint64_t oldest_ahead = UINT64_MAX;
    std::array<uint64_t, kWays> words{};
    for (size_t i = 0; i < kWays; ++i) {
      words[i] = set.words[i].load(std::memory_order_relaxed);
      if (words[i] != 0 && (words[i] >> kTimeBits) == tag) {
        at = i;
        break;
      }
      const uint64_t ahead = words[i] == 0 ? 0 : ahead_of(words[i], now);
      if (ahead < oldest_ahead) {
        oldest_ahead = ahead;
        oldest = i;
      }
    }
    const bool known = at != kWays;
    if (!known) at = oldest;
    const uint64_t ahead = known ? ahead_of(words[at], now) : 0;
    if (ahead + price > limit.window) {
      const uint64_t wait = ahead + price - limit.window;
      return {.allowed = false,
              .remaining = static_cast<uint32_t>(ahead >= limit.window ? 0 : (limit.window - ahead) / limit.interval),
              .retry_after = Duration(static_cast<int64_t>((wait * 1000 + 15) / 16))};
    }
    uint64_t expected = words[at];
    if (!set.words[at].compare_exchange_strong(expected, make_word(tag, now + ahead + price),
                                               std::memory_order_relaxed)) {
      continue;
    }
    return {.remaining = static_cast<uint32_t>(std::min<uint64_t>((limit.window - ahead - price) / limit.interval,
                                                                  UINT32_MAX))};
  }
}

}  // namespace headgate
