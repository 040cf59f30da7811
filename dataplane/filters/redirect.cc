#include "dataplane/filters/redirect.h"

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "dataplane/http/exchange.h"
#include "dataplane/http/status.h"
#include "dataplane/http/uri.h"

namespace headgate::filters {
namespace {

Error invalid(std::string* why, std::string sentence) {
  if (why != nullptr) *why = std::move(sentence);
  return {.code = Errc::kInvalid, .detail = "redirect: invalid option"};
}

uint16_t own_port(std::string_view scheme) { return scheme == "https" ? 443 : 80; }

// "scheme://host:port", without a port that the scheme has anyway.
std::string_view origin(Arena& arena, std::string_view scheme, std::string_view host, uint16_t port) {
  if (port == 0 || port == own_port(scheme)) return arena.concat(scheme, "://", host);
  char text[20];
  const std::string_view digits(text, static_cast<size_t>(write_decimal(text, port) - text));
  return arena.concat(scheme, "://", host, ":", digits);
}

http::Verdict answer(http::Exchange& exchange, uint16_t status, std::string_view location) {
  exchange.response().headers.set(http::FieldId::kLocation, location);
  exchange.respond_text(status, "text/plain", http::reason_phrase(status));
  return http::Verdict::kAnswered;
}

class TlsRedirectRun final : public http::FilterRun {
 public:
  explicit TlsRedirectRun(const TlsRedirectOptions& options) : options_(options) {}

  http::Verdict on_request(http::Exchange& exchange) override {
    const http::RequestHead& request = exchange.request();
    if (request.host.empty()) {
      exchange.respond_error(
          {.code = Errc::kMalformed, .origin = Origin::kDownstream, .detail = "no Host to redirect to https"});
      return http::Verdict::kAnswered;
    }
    Arena& arena = exchange.arena();
    const std::string_view path = http::encode_target_path(request.path, arena);
    const std::string_view query = http::encode_target_query(request.query, arena);
    return answer(exchange, options_.status,
                  arena.concat(origin(arena, "https", request.host, options_.port), path,
                               request.has_query ? "?" : "", query));
  }

 private:
  TlsRedirectOptions options_;
};

}  // namespace

class RedirectFilter::RedirectRun final : public http::FilterRun {
 public:
  explicit RedirectRun(const RedirectFilter& filter) : filter_(filter) {}

  http::Verdict on_request(http::Exchange& exchange) override {
    const RedirectFilterOptions& options = filter_.options_;
    if (filter_.location_) return answer(exchange, options.status, http::expand_location(*filter_.location_, exchange));
    const http::RequestHead& request = exchange.request();
    Arena& arena = exchange.arena();
    const Result<PathRewriter::Target> target = filter_.path_.apply(exchange);
    if (!target) {
      exchange.respond_error(target.error());
      return http::Verdict::kAnswered;
    }
    const std::string_view scheme = options.scheme.empty() ? http::scheme_name(request.scheme) : options.scheme;
    const std::string_view host = options.host.empty() ? request.host : options.host;
    uint16_t port = options.port;
    if (port == 0 && options.scheme.empty()) port = http::port_of_authority(request.authority);
    std::string_view path = target->path;
    std::string_view start;
    if (host.empty()) {
      while (path.starts_with("//")) path.remove_prefix(1);  // would name a host
    } else {
      start = origin(arena, scheme, host, port);
    }
    const std::string_view query = http::encode_target_query(target->query, arena);
    return answer(exchange, options.status, arena.concat(start, path, target->has_query ? "?" : "", query));
  }

 private:
  const RedirectFilter& filter_;
};

Result<std::unique_ptr<RedirectFilter>> RedirectFilter::create(RedirectFilterOptions options, std::string* why) {
  std::unique_ptr<RedirectFilter> made(new RedirectFilter());  // NOLINT: private constructor
  const uint16_t status = options.status;
  if (status < 300 || status > 308 || status == 304 || status == 306) {
    return invalid(why, "a redirect has status 300, 301, 302, 303, 305, 307 or 308");
  }
  if (!options.scheme.empty() && options.scheme != "http" && options.scheme != "https") {
    return invalid(why, "a scheme is http or https, not " + quote_json(options.scheme));
  }
  Arena arena;
  if (!options.host.empty() &&
      (!http::parse_host(options.host, arena) || http::port_of_authority(options.host) != 0)) {
    return invalid(why, "no host without a port: " + quote_json(options.host));
  }
  if (!options.location.empty()) {
    if (!options.scheme.empty() || !options.host.empty() || options.port != 0 ||
        options.path.kind != PathRewriteOptions::Kind::kNone) {
      return invalid(why, "a complete location and parts of one exclude each other");
    }
    Result<http::LocationTemplate> location = http::LocationTemplate::parse(options.location, why);
    if (!location) return location.error();
    made->location_ = *std::move(location);
  }
  Result<PathRewriter> path = PathRewriter::create(std::move(options.path), why);
  if (!path) return path.error();
  made->path_ = *std::move(path);
  made->options_ = std::move(options);
  return made;
}

http::FilterRun* RedirectFilter::start(http::Exchange& exchange, WorkerContext&) const {
  if (!options_.only_path.empty() && exchange.request().path != options_.only_path) return nullptr;
  return exchange.arena().make<RedirectRun>(*this);
}

http::FilterRun* TlsRedirect::start(http::Exchange& exchange, WorkerContext&) const {
  if (exchange.connection().tls != nullptr) return nullptr;
  if (options_.trust_forwarded && exchange.request().scheme == http::Scheme::kHttps) return nullptr;
  return exchange.arena().make<TlsRedirectRun>(options_);
}

}  // namespace headgate::filters
