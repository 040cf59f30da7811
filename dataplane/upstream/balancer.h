// balancer.h -- which endpoint of an Upstream takes the next request.
//
// Usable, in this order, each only when the one before is empty:
//   1. ready, not terminating, not failing active checks, not ejected: the lowest priority group that has any; within
//      it the local zone when ZonePolicy asks for it (hash policies ignore zones: all proxies must agree);
//   2. serving although not ready, or terminating;
//   3. ejected by passive health (a guess, unlike a failed check);
//   4. with UpstreamSettings::fail_open: failing active checks.
// Weight 0 and unresolved names are never picked. Slow start scales weights (hash policies ignore it).
//
// pick() allocates nothing and takes O(1) or O(log n), except for the first pick after a change of endpoints or health,
// which rebuilds the worker's view in O(n), and a retry that has tried every endpoint of the group.
// Thread: worker.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "dataplane/base/address.h"
#include "dataplane/base/random.h"
#include "dataplane/upstream/upstream.h"
#include "dataplane/upstream/worker_load.h"

namespace headgate::upstream {

// The endpoints that an exchange has already asked, by cell: stays valid when a reload renumbers them.
class TriedSet {
 public:
  static constexpr size_t kCapacity = 16;
  // Beyond the capacity the oldest is forgotten.
  void add(const EndpointCell& cell) { cells_[count_++ % kCapacity] = &cell; }
  [[nodiscard]] bool contains(const EndpointCell* cell) const {
    for (size_t i = 0; i < size(); ++i) {
      if (cells_[i] == cell) return true;
    }
    return false;
  }
  [[nodiscard]] size_t size() const { return count_ < kCapacity ? count_ : kCapacity; }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  void clear() { count_ = 0; }

 private:
  std::array<const EndpointCell*, kCapacity> cells_{};
  size_t count_ = 0;
};

struct PickInput {
  uint64_t hash_key;      // hash policies; kNoHashKey: no key, picks at random
  const TriedSet* tried;  // null: nothing tried yet
  WorkerLoad& load;       // of this worker and this Upstream's slot
  Random& random;
  MonotonicTime now;
  bool sticky = false;  // by hash_key on the ring, whatever the policy: the key is that of a session
};

inline constexpr uint64_t kNoHashKey = 0;
// For kIpHash, kConnHash (client address and port) and kRingHash (the expanded key; empty: kNoHashKey).
uint64_t hash_key_of_ip(const IpAddress& client);
uint64_t hash_key_of_connection(const SocketAddress& client);
uint64_t hash_key_of_text(std::string_view expanded);

// Index into upstream.endpoints(), never one in `tried`; nullopt: none is usable, or all that are were tried.
// `upstream` may be older than what the load is bound to (an exchange that began before a reload): then the choice is
// weighted random.
std::optional<uint32_t> pick(const Upstream& upstream, PickInput& input);

}  // namespace headgate::upstream
