// routes.h -- parts of a virtual host that route tables have, too.
// Thread: any (pure).   Owner: check_virtual_host.cc, check_filter.cc.
#pragma once

#include "headgate/config/v1/http_filter.pb.h"
#include "headgate/config/v1/virtual_host.pb.h"
#include "proto/check/check.h"

namespace headgate::check {

// `groups`: groups of the route's regex that $1..$9 may refer to, -1 for none.
// `in_backend`: only filters that may run on the copy of one attempt.
void check_filter(const config::v1::HttpFilter& filter, int groups, bool in_backend, Problems& problems);
void check_route_timeouts(const config::v1::RouteTimeouts& times, Problems& problems);

// The phase in which a kind of filter runs unless it says otherwise.
config::v1::FilterPhase natural_phase(const config::v1::HttpFilter& filter);

}  // namespace headgate::check
