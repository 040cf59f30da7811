#include "dataplane/handlers/redirect.h"

#include "dataplane/http/exchange.h"
#include "dataplane/http/status.h"

namespace headgate::handlers {

Result<std::unique_ptr<Redirect>> Redirect::create(const RedirectOptions& options, std::string* why) {
  if (options.status < 300 || options.status > 308 || options.status == 304 || options.status == 306) {
    if (why != nullptr) *why = "a redirect has status 300, 301, 302, 303, 305, 307 or 308";
    return Error{.code = Errc::kInvalid, .detail = "redirect: invalid status"};
  }
  Result<http::LocationTemplate> location = http::LocationTemplate::parse(options.location, why);
  if (!location) return location.error();
  return std::unique_ptr<Redirect>(new Redirect(options.status, *std::move(location)));  // NOLINT: private constructor
}

http::Run* Redirect::start(http::Exchange& exchange, WorkerContext&) const {
  exchange.response().headers.set(http::FieldId::kLocation, http::expand_location(location_, exchange));
  exchange.respond_text(status_, "text/plain", http::reason_phrase(status_));
  return nullptr;
}

}  // namespace headgate::handlers
