// error_pages.h -- other answers in place of those with certain statuses: from an Upstream, or a fixed text.
// Phase: RESPONSE.   Thread: see filter.h.
//
// As custom-http-errors of ingress-nginx: the Upstream is asked with the method of the request, the path "/", no body,
// and X-Code, X-Format (Accept), X-Original-URI and X-Request-ID; its status and body are the answer. When it has none,
// the first answer's status goes out with our own short text. What answers of upstreams say, our own answers (limits,
// authorization, unreachable endpoints) say, too.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/http/field_text.h"
#include "dataplane/http/filter.h"

namespace headgate::filters {

struct ErrorPagesOptions {
  std::vector<uint16_t> statuses{};
  std::optional<uint32_t> slot{};  // of the Upstream; absent: `body`
  std::string body{};
  std::string content_type = "text/html";
  bool upstream_errors = true;                     // what upstreams answered, too; false: our own answers only
  std::vector<http::FieldTemplate> request_fields{};  // of the question: X-Namespace and the like
  Duration timeout = std::chrono::seconds(10);
};

class ErrorPages final : public http::Filter {
 public:
  explicit ErrorPages(ErrorPagesOptions options) : options_(std::move(options)) {}
  http::FilterRun* start(http::Exchange& exchange, WorkerContext& worker) const override;

 private:
  const ErrorPagesOptions options_;
};

}  // namespace headgate::filters
