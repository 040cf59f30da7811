// outlier.h -- passive health: endpoints that fail real requests are left out for a while.
//
// `failures` failures in a row within `fail_window` eject an endpoint for `eject_for`. When that time is over it is on
// probation: the next failure ejects it again at once and for twice as long (at most ten times `eject_for`), the next
// success forgets everything. At most `max_ejected_percent` of the endpoints are out at one time, rounded down, so the
// only endpoint of an Upstream always stays. An endpoint that returns begins its slow start.
// Thread: worker (cells are shared; an ejection takes a lock, a success writes nothing when there is nothing to clear).
#pragma once

#include <cstdint>

#include "dataplane/upstream/upstream.h"

namespace headgate::upstream {

// Does a response with this status count as a failure of the endpoint?
inline bool is_failure_status(const PassiveHealthCheck& health, uint32_t status) {
  return in_ranges(health.failure_status, status);
}

// An endpoint that had failed has answered.
void forget_failures(const Upstream& upstream, uint32_t index, MonotonicTime now);
inline void record_success(const Upstream& upstream, uint32_t index, MonotonicTime now) {
  const EndpointCell& cell = *upstream.endpoint(index).cell;
  const bool clean = cell.consecutive_failures.load(std::memory_order_relaxed) == 0 &&
                     cell.ejections.load(std::memory_order_relaxed) == 0;
  if (!clean) [[unlikely]] forget_failures(upstream, index, now);
}
// An attempt failed by the endpoint's fault: not connected, reset, timed out, a failure status. True: it is now ejected.
// A reused connection that was found closed is not a failure.
bool record_failure(const Upstream& upstream, uint32_t index, MonotonicTime now);

}  // namespace headgate::upstream
