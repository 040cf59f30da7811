// timestamp.h -- times as the API writes them: RFC 3339 in UTC, with microseconds (meta/v1 MicroTime).
// Thread: any.
#pragma once

#include <string>

#include "dataplane/base/clock.h"

namespace headgate::kube {

// "2026-01-31T10:20:30.000001Z"
std::string micro_time(WallTime time);

}  // namespace headgate::kube
