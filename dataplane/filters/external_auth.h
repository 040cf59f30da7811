// external_auth.h -- asks another server whether a request may pass.
// Phase: ACCESS.   Thread: see filter.h.
//
//   it answers            the request
//   2xx                   passes, with the listed fields of the answer; those it lacks are removed
//   401, 403              is refused so; 401 with its WWW-Authenticate, or a redirect to sign in
//   anything else, or     500; passes with `fail_open` when there was no answer
//   nothing in time
//
// The question has the fields of the request, no body, and what ingress-nginx adds: X-Original-URL, X-Original-Method,
// X-Real-IP, X-Forwarded-For, X-Auth-Request-Redirect, X-Request-ID. Cookies that the answer sets reach the client.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dataplane/filters/access.h"
#include "dataplane/http/field_text.h"

namespace headgate::filters {

struct ExternalAuthOptions {
  uint32_t slot = 0;                       // of the Upstream
  std::optional<http::TextTemplate> path;  // absent: "/"
  std::string host;                        // empty: the endpoint's
  std::string method = "GET";
  bool original_uri = false;               // X-Original-URI and X-Scheme, too
  std::optional<http::LocationTemplate> sign_in;
  std::string sign_in_parameter = "rd";
  std::vector<std::string> response_fields;
  std::vector<http::FieldTemplate> request_fields;
  Duration timeout = std::chrono::seconds(5);
  bool always_set_cookie = false;
  bool fail_open = false;
  std::optional<http::TextTemplate> redirect_value;  // X-Auth-Request-Redirect; absent: the request's target
};

class ExternalAuth final : public AccessCheck {
 public:
  explicit ExternalAuth(ExternalAuthOptions options) : options_(std::move(options)) {}
  AccessRun* start(http::Exchange& exchange) const override;
  bool sign_in(http::Exchange& exchange) const override;

 private:
  const ExternalAuthOptions options_;
};

}  // namespace headgate::filters
