// bandwidth.h -- sends a response at most so fast, after so many bytes at full speed.
// Phase: RESPONSE.   Thread: see filter.h.   Unit: bytes, bytes per second.
#pragma once

#include "dataplane/http/filter.h"

namespace headgate::filters {

class Bandwidth final : public http::Filter {
 public:
  Bandwidth(uint64_t bytes_per_second, uint64_t after_bytes) : rate_(bytes_per_second), after_(after_bytes) {}
  http::FilterRun* start(http::Exchange& exchange, WorkerContext& worker) const override;

 private:
  const uint64_t rate_;
  const uint64_t after_;
};

}  // namespace headgate::filters
