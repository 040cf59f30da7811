#include "dataplane/filters/cors.h"

#include <algorithm>

#include "dataplane/base/text.h"
#include "dataplane/http/exchange.h"
#include "dataplane/http/vary.h"

namespace headgate::filters {
namespace {

constexpr std::string_view kAllowOrigin = "Access-Control-Allow-Origin";
constexpr std::string_view kAllowMethods = "Access-Control-Allow-Methods";
constexpr std::string_view kAllowHeaders = "Access-Control-Allow-Headers";
constexpr std::string_view kAllowCredentials = "Access-Control-Allow-Credentials";
constexpr std::string_view kExposeHeaders = "Access-Control-Expose-Headers";
constexpr std::string_view kMaxAge = "Access-Control-Max-Age";
constexpr std::string_view kRequestMethod = "Access-Control-Request-Method";
constexpr std::string_view kRequestHeaders = "Access-Control-Request-Headers";

std::string join(const std::vector<std::string>& list) {
  std::string text;
  for (const std::string& element : list) {
    if (!text.empty()) text += ", ";
    text += element;
  }
  return text;
}

bool has_star(const std::vector<std::string>& list) { return std::find(list.begin(), list.end(), "*") != list.end(); }

// All values in the arena: the filter may be gone when the head is sent.
struct CorsFields {
  bool preflight = false;
  bool varies = false;           // the answer depends on the origin
  std::string_view origin;       // empty: not allowed, no fields
  std::string_view methods;
  std::string_view headers;
  std::string_view exposed;
  std::string_view max_age;
  bool credentials = false;
};

class CorsRun final : public http::FilterRun {
 public:
  explicit CorsRun(const CorsFields& fields) : fields_(fields) {}

  http::Verdict on_request(http::Exchange& exchange) override {
    if (!fields_.preflight) return http::Verdict::kContinue;
    exchange.response().status = 204;
    exchange.respond(nullptr);
    return http::Verdict::kAnswered;
  }

  void on_response(http::Exchange&, http::ResponseHead& head) override {
    http::HeaderMap& to = head.headers;
    if (fields_.varies) http::add_vary(to, "Origin");
    to.remove_if([](const http::Field& field) { return starts_with_ignore_case(field.name, "Access-Control-"); });
    if (fields_.origin.empty()) return;
    add(to, kAllowOrigin, fields_.origin);
    if (fields_.credentials) to.add(kAllowCredentials, "true");
    add(to, kExposeHeaders, fields_.exposed);
    if (!fields_.preflight) return;
    add(to, kAllowMethods, fields_.methods);
    add(to, kAllowHeaders, fields_.headers);
    add(to, kMaxAge, fields_.max_age);
  }

 private:
  static void add(http::HeaderMap& to, std::string_view name, std::string_view value) {
    if (!value.empty()) to.add(name, value);
  }

  CorsFields fields_;
};

}  // namespace

bool OriginMatch::matches(std::string_view origin) const {
  const auto equals = [this](std::string_view a, std::string_view b) {
    return ignore_case ? equals_ignore_case(a, b) : a == b;
  };
  switch (kind) {
    case Kind::kExact: return equals(origin, text);
    case Kind::kPrefix: return origin.size() >= text.size() && equals(origin.substr(0, text.size()), text);
    case Kind::kSuffix: return origin.size() >= text.size() && equals(origin.substr(origin.size() - text.size()), text);
    case Kind::kRegex: return regex.has_value() && regex->matches(origin);
    case Kind::kWildcard: break;
  }
  if (is_any()) return true;
  const std::string_view pattern = text;
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return equals(origin, pattern);
  const std::string_view before = pattern.substr(0, star);
  const std::string_view after = pattern.substr(star + 1);
  if (origin.size() <= before.size() + after.size()) return false;
  if (!equals(origin.substr(0, before.size()), before)) return false;
  if (!equals(origin.substr(origin.size() - after.size()), after)) return false;
  // Only labels in place of the star: "https://evil.com/x.example.com" must not pass.
  const std::string_view labels = origin.substr(before.size(), origin.size() - before.size() - after.size());
  return std::all_of(labels.begin(), labels.end(),
                     [](char c) { return is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_'; });
}

Cors::Cors(CorsOptions options)
    : options_(std::move(options)),
      methods_(join(options_.allow_methods)),
      headers_(join(options_.allow_headers)),
      exposed_(join(options_.expose_headers)),
      max_age_(options_.max_age_s ? std::to_string(*options_.max_age_s) : ""),
      any_origin_(options_.allow_origins.empty() ||
                  std::any_of(options_.allow_origins.begin(), options_.allow_origins.end(),
                              [](const OriginMatch& origin) { return origin.is_any(); })),
      any_method_(has_star(options_.allow_methods)),
      any_header_(has_star(options_.allow_headers)),
      any_exposed_(has_star(options_.expose_headers)) {}

http::FilterRun* Cors::start(http::Exchange& exchange, WorkerContext&) const {
  const http::RequestHead& request = exchange.request();
  Arena& arena = exchange.arena();
  const std::string_view origin = request.headers.get(http::FieldId::kOrigin);
  const std::string_view wanted_method = request.headers.get(kRequestMethod);
  const bool literal = any_origin_ && options_.allow_any_literal && !options_.allow_credentials;

  CorsFields fields;
  fields.preflight = request.method == http::Method::kOptions && !origin.empty() && !wanted_method.empty();
  fields.varies = !literal;
  const auto allows = [origin](const OriginMatch& rule) { return rule.matches(origin); };
  const bool allowed =
      !origin.empty() &&
      (any_origin_ || std::any_of(options_.allow_origins.begin(), options_.allow_origins.end(), allows));
  if (allowed) {
    fields.origin = literal ? "*" : origin;
    fields.credentials = options_.allow_credentials;
    // Without credentials "*" is a wildcard; with them it is a name like any other, so what is asked for is named.
    const bool echo = options_.allow_credentials;
    fields.methods = any_method_ ? (echo ? wanted_method : "*") : arena.copy(methods_);
    fields.headers = any_header_ ? (echo ? request.headers.get(kRequestHeaders) : "*") : arena.copy(headers_);
    fields.exposed = any_exposed_ && !echo ? "*" : any_exposed_ ? std::string_view() : arena.copy(exposed_);
    fields.max_age = arena.copy(max_age_);
  }
  return arena.make<CorsRun>(fields);
}

}  // namespace headgate::filters
