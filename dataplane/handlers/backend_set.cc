#include "dataplane/handlers/backend_set.h"

#include "dataplane/upstream/pool_set.h"

namespace headgate::handlers {

BackendSet::BackendSet(std::vector<ProxyBackend> backends, std::vector<BackendChoice> choices)
    : backends_(std::move(backends)), choices_(std::move(choices)) {
  for (const ProxyBackend& backend : backends_) total_weight_ += backend.weight;
}

BackendSet::Chosen BackendSet::choose(const http::Exchange& exchange, const SessionAffinity* affinity) const {
  const WorkerContext& worker = exchange.worker();
  if (affinity != nullptr) {
    const SessionAffinity::Mark mark = affinity->mark_of(exchange.request());
    if (!mark.key.empty()) {
      for (const ProxyBackend& backend : backends_) {
        if (!backend.sticky) continue;
        const upstream::Upstream* upstream = worker.pools->find(backend.slot);
        if (upstream != nullptr && upstream->settings().sticky_tag == mark.tag) return {&backend, mark.key};
      }
    }
  }
  for (const BackendChoice& choice : choices_) {
    if (choice.mark.holds(exchange.request())) return {&backends_[choice.backend], {}};
  }
  return {by_weight(worker.random), {}};
}

const ProxyBackend* BackendSet::by_weight(Random& random) const {
  if (total_weight_ == 0) return nullptr;
  if (backends_.size() == 1) return &backends_.front();
  uint64_t at = random.below(total_weight_);
  for (const ProxyBackend& backend : backends_) {
    if (at < backend.weight) return &backend;
    at -= backend.weight;
  }
  return nullptr;
}

}  // namespace headgate::handlers
