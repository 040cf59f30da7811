// cors.h -- answers preflights and marks responses so that browsers let other origins read them.
// Phase: RETURN (preflight) and RESPONSE (fields).   Thread: see filter.h.
// Spec: Fetch standard, "HTTP CORS protocol"; RFC 6454 (origins).
//
// A preflight (OPTIONS with Origin and Access-Control-Request-Method) never reaches the handler: 204 with the fields for
// an allowed origin, 204 without any for another. Other requests pass; their responses get the fields when the origin is
// allowed. Fields of the same names that the handler set are replaced: one authority decides. With credentials nothing is
// ever "*": origin, method and fields are echoed, because browsers take "*" literally then.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/regex.h"
#include "dataplane/http/filter.h"

namespace headgate::filters {

// One rule for origins.
struct OriginMatch {
  enum class Kind : uint8_t {
    kExact,     // "https://shop.example.com"
    kWildcard,  // "https://*.example.com": one or more labels in place of the star; "*" alone is any origin
    kPrefix,
    kSuffix,
    kRegex,
  };
  Kind kind = Kind::kExact;
  std::string text;  // for kRegex only what `regex` was made of
  bool ignore_case = true;  // schemes and hosts have none
  std::optional<Regex> regex;  // of the whole origin

  [[nodiscard]] bool matches(std::string_view origin) const;
  [[nodiscard]] bool is_any() const { return kind == Kind::kWildcard && text == "*"; }
};

struct CorsOptions {
  std::vector<OriginMatch> allow_origins;  // empty: any
  std::vector<std::string> allow_methods{"GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"};  // "*": any
  std::vector<std::string> allow_headers;   // "*": any; empty: none but the safe ones
  std::vector<std::string> expose_headers;  // "*": all
  bool allow_credentials = false;
  std::optional<uint32_t> max_age_s;  // how long a browser may remember a preflight
  bool allow_any_literal = false;     // "*" instead of the request's origin when any is allowed (without credentials)
};

class Cors final : public http::Filter {
 public:
  explicit Cors(CorsOptions options);
  http::FilterRun* start(http::Exchange& exchange, WorkerContext& worker) const override;

 private:
  const CorsOptions options_;
  // Field values, ready made; empty: no such field.
  std::string methods_;
  std::string headers_;
  std::string exposed_;
  std::string max_age_;
  bool any_origin_ = false;
  bool any_method_ = false;
  bool any_header_ = false;
  bool any_exposed_ = false;
};

}  // namespace headgate::filters
