#include "dataplane/upstream/pool_set.h"

#include <algorithm>
#include <unordered_set>

namespace headgate::upstream {

void PoolSet::bind(const UpstreamSlots& slots) {
  static const UpstreamSlots kNone;
  std::erase_if(retired_, [](const auto& pool) { return pool->empty(); });
  UpstreamSlots::changes_between(bound_ == nullptr ? kNone : *bound_, slots,
                                 [this](size_t index, const auto&, const auto& next) { bind(index, next); });
  bound_ = &slots;
  loads_.collect();
}

void PoolSet::bind(size_t index, const std::shared_ptr<const Upstream>& next) {
  if (slots_.size() <= index) slots_.resize(index + 1);
  Slot& slot = slots_[index];
  const bool same_settings = next != nullptr && slot.upstream != nullptr && next->name() == slot.upstream->name() &&
                             next->shared_settings() == slot.upstream->shared_settings();
  std::unordered_set<const EndpointCell*> kept;
  if (same_settings) {
    for (const Endpoint& endpoint : next->endpoints()) kept.insert(endpoint.cell.get());
  }
  for (auto it = slot.pools.begin(); it != slot.pools.end();) {
    if (kept.contains(it->first)) {
      ++it;
    } else {
      retire(std::move(it->second));
      it = slot.pools.erase(it);
    }
  }
  if (next == nullptr) {
    slot.gone = slot.upstream;
  } else {
    slot.gone.reset();
  }
  slot.upstream = next;
  if (!same_settings) slot.tls.reset();
  slot.by_endpoint.assign(next == nullptr ? 0 : next->endpoints().size(), nullptr);
  loads_.bind(index, next.get());
}

const Upstream* PoolSet::find(uint32_t slot) const {
  if (slot >= slots_.size()) return nullptr;
  const Slot& entry = slots_[slot];
  return entry.upstream != nullptr ? entry.upstream.get() : entry.gone.lock().get();
}

std::shared_ptr<const Upstream> PoolSet::share(uint32_t slot) const {
  if (slot >= slots_.size()) return nullptr;
  const Slot& entry = slots_[slot];
  return entry.upstream != nullptr ? entry.upstream : entry.gone.lock();
}

Pool& PoolSet::pool(const Upstream& upstream, uint32_t endpoint) {
  Slot& slot = slots_[upstream.slot()];
  const bool current = slot.upstream.get() == &upstream;
  if (current && slot.by_endpoint[endpoint] != nullptr) return *slot.by_endpoint[endpoint];
  const Endpoint& where = upstream.endpoint(endpoint);
  std::unique_ptr<Pool>& pool = slot.pools[where.cell.get()];
  if (pool == nullptr) {
    pool = std::make_unique<Pool>(worker_, upstream.shared_settings(), where,
                                  client_tls(slot, upstream.settings()), circuit(slot, upstream));
  }
  if (current) slot.by_endpoint[endpoint] = pool.get();
  return *pool;
}

std::shared_ptr<tls::ClientContext> PoolSet::client_tls(const Upstream& upstream) {
  if (upstream.settings().tls == nullptr) return nullptr;
  Slot& slot = slots_[upstream.slot()];
  if (slot.upstream != nullptr && slot.upstream->shared_settings() == upstream.shared_settings()) {
    return client_tls(slot, upstream.settings());
  }
  // A reload has replaced the Upstream while the caller was connecting: this one connection keeps to what it began with.
  std::string problem;
  return tls::ClientContext::make(*upstream.settings().tls, problem);
}

std::shared_ptr<tls::ClientContext> PoolSet::client_tls(Slot& slot, const UpstreamSettings& settings) {
  if (settings.tls == nullptr) return nullptr;
  if (slot.tls == nullptr) {
    std::string problem;
    slot.tls = tls::ClientContext::make(*settings.tls, problem);
    // snapshot/build has made one of the same settings to check them.
    if (slot.tls == nullptr) HG_BUG("TLS settings of an upstream that had been checked");
  }
  return slot.tls;
}

const std::shared_ptr<Circuit>& PoolSet::circuit(Slot& slot, const Upstream& upstream) {
  if (slot.circuit == nullptr || slot.circuit->settings() != upstream.shared_settings() ||
      slot.circuit->cell() != upstream.shared_cell()) {
    slot.circuit = std::make_shared<Circuit>(worker_, upstream.shared_settings(), upstream.shared_cell());
  }
  return slot.circuit;
}

void PoolSet::retire(std::unique_ptr<Pool> pool) {
  pool->retire();
  if (!pool->empty()) retired_.push_back(std::move(pool));
}

}  // namespace headgate::upstream
