// redirect.h -- sends the client elsewhere.
// Thread: see handler.h.   Spec: RFC 9110 15.4.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "dataplane/base/result.h"
#include "dataplane/http/field_text.h"
#include "dataplane/http/handler.h"

namespace headgate::handlers {

struct RedirectOptions {
  uint16_t status = 302;  // 300-308 without 304 and 306
  std::string location;   // $variables and groups of the matched regex; "https://$host$request_uri"
};

class Redirect final : public http::Handler {
 public:
  // kInvalid: a status that redirects nobody, an empty location, an unknown variable.
  static Result<std::unique_ptr<Redirect>> create(const RedirectOptions& options, std::string* why = nullptr);

  http::Run* start(http::Exchange& exchange, WorkerContext& worker) const override;

 private:
  Redirect(uint16_t status, http::LocationTemplate location) : status_(status), location_(std::move(location)) {}

  const uint16_t status_;
  const http::LocationTemplate location_;
};

}  // namespace headgate::handlers
