// pool_set.h -- all Pools and loads of one worker; survives Snapshot swaps.
//
// Slots are dense numbers of Upstreams, stable by name: handlers keep a slot, and ask here for the Upstream as it is
// now; whoever came by an older Snapshot still finds one that has gone since. Pools are matched by endpoint cell (that is,
// by address), so an endpoint change keeps every other connection.
// Thread: worker.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "dataplane/upstream/pool.h"
#include "dataplane/upstream/worker_load.h"

namespace headgate::upstream {

class PoolSet {
 public:
  explicit PoolSet(WorkerContext& worker) : worker_(worker) {}

  // Takes over the Upstreams of a Snapshot, which must live until the next call has returned: only what differs is looked
  // at. Pools of endpoints that left are retired.
  void bind(const UpstreamSlots& slots);
  void bind(UpstreamSlots&& slots) = delete;
  // Null when no Snapshot that lives has an Upstream there. Valid while the caller's Snapshot is pinned; share() for longer.
  [[nodiscard]] const Upstream* find(uint32_t slot) const;
  [[nodiscard]] std::shared_ptr<const Upstream> share(uint32_t slot) const;
  [[nodiscard]] WorkerLoad& load(const Upstream& upstream) { return loads_.of(upstream); }
  // The pool of one endpoint of an Upstream that find() gave.
  [[nodiscard]] Pool& pool(const Upstream& upstream, uint32_t endpoint);
  // For connections outside the pools (tunnels, relays): this worker's TLS context of the Upstream; null: plain.
  [[nodiscard]] std::shared_ptr<tls::ClientContext> client_tls(const Upstream& upstream);

 private:
  struct Slot {
    std::shared_ptr<const Upstream> upstream;
    std::weak_ptr<const Upstream> gone;       // what `upstream` was, when it is null: some Snapshot may have it still
    std::shared_ptr<tls::ClientContext> tls;  // made with the first pool that needs it
    std::shared_ptr<Circuit> circuit;         // likewise
    std::unordered_map<const EndpointCell*, std::unique_ptr<Pool>> pools;
    std::vector<Pool*> by_endpoint;  // of `upstream`; null until first used
  };
  void bind(size_t index, const std::shared_ptr<const Upstream>& next);
  void retire(std::unique_ptr<Pool> pool);
  const std::shared_ptr<Circuit>& circuit(Slot& slot, const Upstream& upstream);
  std::shared_ptr<tls::ClientContext> client_tls(Slot& slot, const UpstreamSettings& settings);

  WorkerContext& worker_;
  const UpstreamSlots* bound_ = nullptr;  // null: nothing yet
  std::vector<Slot> slots_;
  std::vector<std::unique_ptr<Pool>> retired_;
  WorkerLoads loads_;
};

}  // namespace headgate::upstream
