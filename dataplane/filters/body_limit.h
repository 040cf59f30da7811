// body_limit.h -- refuses request bodies above a size: before a byte is read when Content-Length tells, else counted.
// Phase: SIZE.   Unit: bytes.   Spec: RFC 9110 15.5.14 (413).   Thread: see filter.h.
#pragma once

#include <cstdint>

#include "dataplane/http/filter.h"

namespace headgate::filters {

class BodyLimit final : public http::Filter {
 public:
  // 0: no limit.
  explicit BodyLimit(uint64_t max_bytes) : max_bytes_(max_bytes) {}
  http::FilterRun* start(http::Exchange& exchange, WorkerContext& worker) const override;

 private:
  const uint64_t max_bytes_;
};

}  // namespace headgate::filters
