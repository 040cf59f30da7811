// hsts.h -- Strict-Transport-Security on every answer to a client that came by https; never on others (RFC 6797 7.2).
// Phase: RESPONSE.   Thread: see filter.h.
#pragma once

#include <string>

#include "dataplane/http/filter.h"

namespace headgate::filters {

class Hsts final : public http::Filter {
 public:
  // `value`: "max-age=31536000; includeSubDomains". Replaces what the upstream says.
  explicit Hsts(std::string value) : value_(std::move(value)) {}
  http::FilterRun* start(http::Exchange& exchange, WorkerContext& worker) const override;

 private:
  const std::string value_;
};

}  // namespace headgate::filters
