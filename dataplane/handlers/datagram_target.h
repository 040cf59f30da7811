// datagram_target.h -- picks an endpoint of a datagram Upstream and connects a link to it.
// Thread: worker.
#pragma once

#include <memory>

#include "dataplane/handlers/upstream_connect.h"
#include "dataplane/net/datagram_link.h"

namespace headgate::handlers {

// Tries other endpoints when one cannot be connected to (no route, no such socket). `hops`: hop limit of what is sent, 0:
// the system's. Errors: kUnreachable: no usable endpoint; kOverloaded: a limit of the upstream; else that of the
// last attempt.
Result<void> open_datagram_target(WorkerContext& worker, const std::shared_ptr<const upstream::Upstream>& upstream,
                                  const SocketAddress& client, net::DatagramLink& link, EndpointUse& use, uint8_t hops = 0);

}  // namespace headgate::handlers
