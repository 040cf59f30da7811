// upstream_head.h -- the head that goes upstream, made from the head that came.
// Thread: worker.   Spec: RFC 9110 7.6 (forwarding).
#pragma once

#include <span>

#include "dataplane/handlers/proxy.h"
#include "dataplane/http/exchange.h"

namespace headgate::handlers {

using HeadChanges = std::span<const std::shared_ptr<const http::HeadChange>>;

// Fills `head` for attempts at `upstream`; `own` are the changes of this backend, last of all. Texts are those of the
// request, or go to the arena.
void write_upstream_head(http::Exchange& exchange, const ProxyOptions& options, HeadChanges own,
                         const upstream::Upstream& upstream, http::RequestHead& head);

}  // namespace headgate::handlers
