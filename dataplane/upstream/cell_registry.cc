#include "dataplane/upstream/cell_registry.h"

#include <unordered_set>

namespace headgate::upstream {

std::shared_ptr<UpstreamCell> CellRegistry::attach(std::string_view upstream, std::vector<Endpoint>& endpoints,
                                                   MonotonicTime now) {
  Entry& entry = entries_[std::string(upstream)];
  // Where everything is new, nothing needs to be spared.
  const bool known = !entry.endpoints.empty();
  for (Endpoint& endpoint : endpoints) {
    endpoint.finish();
    auto& cell = entry.endpoints[endpoint.text];
    const bool ready = endpoint.ready && !endpoint.terminating;
    const bool created = cell == nullptr;
    if (created) cell = std::make_shared<EndpointCell>();
    const bool returned = !created && ready && !cell->was_ready.load(std::memory_order_relaxed);
    if (returned) cell->clear_failures();
    if (returned || (created && known)) cell->slow_start_since_ns.store(to_nanoseconds(now), std::memory_order_relaxed);
    cell->was_ready.store(ready, std::memory_order_relaxed);
    endpoint.cell = cell;
  }
  entry.cell->touch();
  return entry.cell;
}

void CellRegistry::retain(const Upstream& upstream) {
  const auto found = entries_.find(upstream.name());
  if (found == entries_.end()) return;
  std::unordered_set<const EndpointCell*> used;
  for (const Endpoint& endpoint : upstream.endpoints()) used.insert(endpoint.cell.get());
  std::erase_if(found->second.endpoints, [&](const auto& entry) { return !used.contains(entry.second.get()); });
}

void CellRegistry::drop(std::string_view upstream) {
  const auto found = entries_.find(upstream);
  if (found != entries_.end()) entries_.erase(found);
}

size_t CellRegistry::endpoints(std::string_view upstream) const {
  const auto found = entries_.find(upstream);
  return found == entries_.end() ? 0 : found->second.endpoints.size();
}

}  // namespace headgate::upstream
