// rate_limit.h -- so many requests per time and client (or key), with a burst: more are refused, not delayed.
// Phase: LIMIT.   Thread: see filter.h; the buckets are a process cell: one compare-and-swap a request, over all workers.
//
// As nginx's limit_req with nodelay: at a rate of 10 a second and a burst of 50, 51 requests pass at once, then one every
// 100 ms. The table is bounded: under a flood of addresses the one that has been quiet longest is forgotten.
#pragma once

#include <memory>

#include "dataplane/base/process_cell.h"
#include "dataplane/filters/limit_key.h"
#include "dataplane/http/filter.h"

namespace headgate::filters {

struct RateLimitOptions {
  uint32_t requests = 1;  // per period
  Duration period = std::chrono::seconds(1);
  uint32_t burst = 0;  // above the rate at once
  uint16_t status = 429;
  CidrSet exempt;
  bool dry_run = false;  // counts, refuses nothing
};

class RateLimiter final : public http::Filter {
 public:
  RateLimiter(RateLimitOptions options, LimitKey key, std::shared_ptr<RateBuckets> buckets);
  http::FilterRun* start(http::Exchange& exchange, WorkerContext& worker) const override;

 private:
  const RateLimitOptions options_;
  const LimitKey key_;
  const RateLimit limit_;
  const std::shared_ptr<RateBuckets> buckets_;
};

}  // namespace headgate::filters
