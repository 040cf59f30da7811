// process_cell.h -- the state that users expect to exist once per process, whatever the number of workers.
//
//   kConnections  ConnectionCounts: max_connections and max_connections_per_ip, exact
//   kRates        RateBuckets: request and connection rates
//   kHealth       one prober per process (upstream); workers get results by mailbox
//   kCache        the response cache: a key belongs to worker_of_key(), misses coalesce there
//   kTickets      TLS ticket keys (tls); delivered by mailbox
//
// A cell is found by a stable name and outlives Snapshots: counts and buckets survive a reload. What a limit is comes
// from the Snapshot with each call; a cell only holds what has been used.
// Thread: the two cells defined here any, without a process-wide lock; the registry control (locked all the same).
// Owner: CellRegistry, which lives until all workers have ended.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "dataplane/base/address.h"
#include "dataplane/base/clock.h"

namespace headgate {

enum class CellKind : uint8_t { kConnections, kRates, kHealth, kCache, kTickets };

class ProcessCell {
 public:
  virtual ~ProcessCell() = default;
  // False while something outside every Snapshot still refers to the cell.
  [[nodiscard]] virtual bool idle() const { return true; }
};

class CellRegistry {
 public:
  // The cell of this kind and name, made with `args` when there is none. T is the same for every call of a kind.
  template <typename T, typename... Args>
  std::shared_ptr<T> find_or_make(CellKind kind, std::string_view name, Args&&... args) {
    const std::lock_guard lock(mutex_);
    Entry& entry = entries_[{kind, std::string(name)}];
    if (entry.cell == nullptr) entry.cell = std::make_shared<T>(std::forward<Args>(args)...);
    entry.unused_rounds = 0;
    return std::static_pointer_cast<T>(entry.cell);
  }
  // Drops cells that only the registry holds and nothing uses, but not before the second call that finds them so: a
  // listener that disappears and comes back in the next file keeps its counts. Returns how many were dropped.
  size_t collect();
  [[nodiscard]] size_t size() const;

 private:
  struct Entry {
    std::shared_ptr<ProcessCell> cell;
    unsigned unused_rounds = 0;
  };
  mutable std::mutex mutex_;
  std::map<std::pair<CellKind, std::string>, Entry> entries_;
};

// The worker that owns a key of the response cache; the same for the life of the process.
constexpr uint32_t worker_of_key(uint64_t key_hash, uint32_t workers) {
  return static_cast<uint32_t>(((key_hash >> 32) * workers) >> 32);
}

struct ConnectionLimits {
  uint32_t total = 0;        // 0: no limit
  uint32_t per_address = 0;  // 0: no limit
};
enum class Admission : uint8_t { kAdmitted, kTotalReached, kAddressReached, kTableFull };

class ConnectionPermit;

// Connections open now, all together and per client address. Exact: two workers that compete for the last place never
// both get it, and a refused attempt never costs another one its place.
class ConnectionCounts final : public ProcessCell {
 public:
  // Distinct addresses that can be counted at a time. Memory (20 bytes each) is touched as it is used.
  static constexpr size_t kMaxAddresses = size_t{1} << 17;

  ConnectionCounts() = default;
  // Counts one connection and has `permit` (an empty one) take it back. The permit must not outlive the process's
  // CellRegistry. Addresses are only counted while there is a limit for them.
  Admission acquire(const IpAddress& address, const ConnectionLimits& limits, ConnectionPermit& permit);

  [[nodiscard]] uint64_t active() const { return active_.load(std::memory_order_relaxed); }
  [[nodiscard]] uint32_t active_of(const IpAddress& address) const;
  [[nodiscard]] bool idle() const override { return active_.load(std::memory_order_acquire) == 0; }

 private:
  friend class ConnectionPermit;
  static constexpr size_t kStripes = 64;
  static constexpr size_t kStripeSlots = kMaxAddresses / kStripes;

  struct Slot {
    std::array<uint8_t, 16> address;
    uint32_t count;  // 0: empty
  };
  // Open addressing with linear probing and backward-shift deletion.
  struct alignas(64) Stripe {
    mutable std::mutex mutex;
    size_t used = 0;
    std::unique_ptr<Slot[], void (*)(Slot*)> slots{nullptr, nullptr};
  };
  enum class Count : uint8_t { kCounted, kLimit, kFull };

  [[nodiscard]] bool take_place(uint32_t limit);
  Count count_address(const IpAddress& address, uint32_t limit);
  void release_address(const IpAddress& address);
  static size_t find_slot(const Stripe& stripe, const IpAddress& address, size_t home);
  static void erase_slot(Stripe& stripe, size_t at);

  alignas(64) std::atomic<uint64_t> active_{0};
  std::array<Stripe, kStripes> stripes_;
};

// One counted connection; gives its place back when destroyed.   Thread: any, one at a time.
class ConnectionPermit {
 public:
  ConnectionPermit() = default;
  ConnectionPermit(ConnectionPermit&& other) noexcept
      : counts_(std::exchange(other.counts_, nullptr)), address_(other.address_), by_address_(other.by_address_) {}
  ConnectionPermit& operator=(ConnectionPermit&& other) noexcept;
  ConnectionPermit(const ConnectionPermit&) = delete;
  ConnectionPermit& operator=(const ConnectionPermit&) = delete;
  ~ConnectionPermit() { release(); }

  void release();
  [[nodiscard]] bool held() const { return counts_ != nullptr; }

 private:
  friend class ConnectionCounts;
  ConnectionCounts* counts_ = nullptr;
  IpAddress address_;
  bool by_address_ = false;
};

// How much is allowed: `burst` at once, refilled evenly. Unit of time: 1/16 microsecond. An empty bucket is full again
// after at most 76 hours: a burst that would take longer is cut.
struct RateLimit {
  uint64_t interval = 0;  // between two when the burst is used up
  uint64_t window = 0;    // interval * burst
  // `count` per `period`; burst at least 1. Beyond 16 million a second everything is allowed.
  static RateLimit per(double count, Duration period, uint32_t burst);
};

struct RateVerdict {
  bool allowed = true;
  uint32_t remaining = 0;   // how many more at this moment
  Duration retry_after{0};  // when not allowed: until one is
};

// Token buckets by the generic cell rate algorithm: a bucket is one 64-bit word {key tag, theoretical arrival time}, so
// a decision is one compare-and-swap in one cache line. Keys share a set of eight buckets; when a set is full the bucket
// that has been refilled longest, or is nearest to it, makes room. Two keys of a set with the same 20-bit tag share a
// bucket (about 8 in a million).
class RateBuckets final : public ProcessCell {
 public:
  static constexpr size_t kWays = 8;

  // At least `keys` clients remembered at a time; 8 bytes each.
  explicit RateBuckets(size_t keys = 65536);

  // Takes `cost` from the bucket of `key` (a keyed hash of whatever identifies the client). A cost above the burst is
  // never allowed.
  RateVerdict take(uint64_t key, const RateLimit& limit, MonotonicTime now, uint32_t cost = 1);

 private:
  struct alignas(64) Set {
    std::array<std::atomic<uint64_t>, kWays> words{};
  };

  std::unique_ptr<Set[]> sets_;
  size_t set_mask_;
};

}  // namespace headgate
