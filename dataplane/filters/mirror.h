// mirror.h -- sends a copy of requests to another Upstream, whose answers nobody sees.
// Phase: MIRROR.   Thread: see filter.h; a copy on its way belongs to the worker's thread and outlives its Exchange.
//
// The request never waits for its copy: a mirror that is slower than the request by more than 1 MiB of body, or of which
// 256 copies are under way on this worker, gets no more. Bodies are shared, not copied.
#pragma once

#include <optional>
#include <string>

#include "dataplane/base/clock.h"
#include "dataplane/http/field_text.h"
#include "dataplane/http/filter.h"

namespace headgate::filters {

struct MirrorOptions {
  uint32_t slot = 0;  // of the Upstream
  uint32_t share_numerator = 1;
  uint32_t share_denominator = 1;
  std::string host;                        // empty: as the request
  std::optional<http::TextTemplate> path;  // absent: as the request
  bool body = true;
  Duration timeout = std::chrono::seconds(60);
};

class Mirror final : public http::Filter {
 public:
  explicit Mirror(MirrorOptions options) : options_(std::move(options)) {}
  http::FilterRun* start(http::Exchange& exchange, WorkerContext& worker) const override;

 private:
  const MirrorOptions options_;
};

}  // namespace headgate::filters
