// connection_limit.h -- so many requests at once per client (or key); each stream of HTTP/2 counts.
// Phase: LIMIT.   Thread: see filter.h; the counts are a process cell, exact over all workers.
#pragma once

#include <memory>

#include "dataplane/base/process_cell.h"
#include "dataplane/filters/limit_key.h"
#include "dataplane/http/filter.h"

namespace headgate::filters {

struct ConnectionLimitOptions {
  uint32_t connections = 1;
  uint16_t status = 503;
  CidrSet exempt;
};

class ConnectionLimiter final : public http::Filter {
 public:
  ConnectionLimiter(ConnectionLimitOptions options, LimitKey key, std::shared_ptr<ConnectionCounts> counts)
      : options_(std::move(options)), key_(std::move(key)), counts_(std::move(counts)) {}
  http::FilterRun* start(http::Exchange& exchange, WorkerContext& worker) const override;

 private:
  const ConnectionLimitOptions options_;
  const LimitKey key_;
  const std::shared_ptr<ConnectionCounts> counts_;
};

}  // namespace headgate::filters
