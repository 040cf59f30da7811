#include "dataplane/handlers/datagram_target.h"

#include "dataplane/base/counters.h"
#include "dataplane/upstream/outlier.h"
#include "dataplane/upstream/pool_set.h"

namespace headgate::handlers {

Result<void> open_datagram_target(WorkerContext& worker, const std::shared_ptr<const upstream::Upstream>& upstream,
                                  const SocketAddress& client, net::DatagramLink& link, EndpointUse& use, uint8_t hops) {
  upstream::TriedSet tried;
  Error error{.code = Errc::kUnreachable, .origin = Origin::kUpstream, .detail = "no usable endpoint"};
  if (!upstream->settings().unavailable_reason.empty()) return error;
  const uint32_t attempts = upstream->settings().retry.attempts;
  for (uint32_t attempt = 0; attempt < attempts && tried.size() < upstream::TriedSet::kCapacity;) {
    upstream::PickInput input{.hash_key = client_hash_key(*upstream, client),
                              .tried = tried.empty() ? nullptr : &tried,
                              .load = worker.pools->load(*upstream),
                              .random = worker.random,
                              .now = worker.loop.now()};
    const auto picked = upstream::pick(*upstream, input);
    if (!picked) break;
    const upstream::Endpoint& endpoint = upstream->endpoint(*picked);
    tried.add(*endpoint.cell);
    if (!use.take(worker, upstream, *picked)) {
      // Another endpoint may have room.
      error = {.code = Errc::kOverloaded, .origin = Origin::kUpstream, .detail = "connection limit of the upstream"};
      continue;
    }
    ++attempt;
    worker.counters.add(Counter::kUpstreamRequests);
    const auto opened = link.open(endpoint.address(), hops);
    if (opened) return {};
    error = opened.error().from(Origin::kUpstream);
    worker.counters.add(Counter::kUpstreamConnectErrors);
    if (upstream::record_failure(*upstream, *picked, worker.loop.now())) worker.counters.add(Counter::kUpstreamEjections);
    use.release();
  }
  if (error.code == Errc::kOverloaded) worker.counters.add(Counter::kUpstreamRefusedConnections);
  if (tried.empty()) worker.counters.add(Counter::kUpstreamNoEndpoint);
  return error;
}

}  // namespace headgate::handlers
