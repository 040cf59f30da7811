#include "dataplane/filters/bandwidth.h"
#include "dataplane/filters/basic_auth.h"
#include "dataplane/filters/body_limit.h"
#include "dataplane/filters/client_certificate.h"
#include "dataplane/filters/compress.h"
#include "dataplane/filters/connection_limit.h"
#include "dataplane/filters/cors.h"
#include "dataplane/filters/error_pages.h"
#include "dataplane/filters/external_auth.h"
#include "dataplane/filters/grpc_web.h"
#include "dataplane/filters/headers.h"
#include "dataplane/filters/hsts.h"
#include "dataplane/filters/ip_access.h"
#include "dataplane/filters/mirror.h"
#include "dataplane/filters/rate_limit.h"
#include "dataplane/filters/redirect.h"
#include "dataplane/filters/rewrite.h"
#include "dataplane/snapshot/build_parts.h"
#include "dataplane/tls/crypto.h"
#include "proto/check/routes.h"

namespace headgate::snapshot {
namespace {

v1::FilterPhase phase_of(const v1::HttpFilter& message) {
  return message.phase() != v1::FILTER_PHASE_UNSPECIFIED ? message.phase() : check::natural_phase(message);
}

CidrSet ranges_of(const google::protobuf::RepeatedPtrField<std::string>& texts) {
  CidrSet ranges;
  for (const std::string& text : texts) {
    if (auto cidr = Cidr::parse(text)) ranges.add(*cidr);
  }
  return ranges;
}

std::vector<std::pair<std::string, std::string>> pairs_of(
    const google::protobuf::RepeatedPtrField<v1::NameValue>& messages) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const v1::NameValue& message : messages) pairs.emplace_back(message.name(), message.value());
  return pairs;
}

bool fields_of(const google::protobuf::RepeatedPtrField<v1::NameValue>& messages,
               std::vector<http::FieldTemplate>& fields, std::string* why) {
  for (const v1::NameValue& message : messages) {
    auto field = http::parse_field_template(message.name(), message.value(), why);
    if (!field) return false;
    fields.push_back(std::move(*field));
  }
  return true;
}

// Before all phases: pages replace what any other filter answers, and a certificate is judged before anything is done.
constexpr int kFirst = -2;
constexpr int kBeforePhases = -1;

constexpr size_t kRateBuckets = size_t{1} << 17;  // 8 bytes each

filters::PathRewriteOptions path_rewrite_of(const v1::PathRewrite& message, const std::string& matched_prefix) {
  filters::PathRewriteOptions options;
  switch (message.how_case()) {
    case v1::PathRewrite::kFull:
      options.kind = filters::PathRewriteOptions::Kind::kFull;
      options.text = message.full();
      break;
    case v1::PathRewrite::kPrefix:
      options.kind = filters::PathRewriteOptions::Kind::kPrefix;
      options.text = message.prefix();
      options.matched_prefix = matched_prefix;
      break;
    case v1::PathRewrite::kRegex:
      options.kind = filters::PathRewriteOptions::Kind::kRegex;
      options.pattern = message.regex().pattern();
      options.text = message.regex().replacement();
      break;
    case v1::PathRewrite::HOW_NOT_SET: break;
  }
  return options;
}

Result<std::unique_ptr<filters::Cors>> cors_of(const v1::Cors& message, std::string* why) {
  filters::CorsOptions options;
  for (const v1::TextMatch& origin : message.allow_origins()) {
    filters::OriginMatch match;
    match.ignore_case = true;
    switch (origin.how_case()) {
      case v1::TextMatch::kExact:
        match.text = origin.exact();
        if (match.text.find('*') != std::string::npos) match.kind = filters::OriginMatch::Kind::kWildcard;
        break;
      case v1::TextMatch::kPrefix:
        match.kind = filters::OriginMatch::Kind::kPrefix;
        match.text = origin.prefix();
        break;
      case v1::TextMatch::kSuffix:
        match.kind = filters::OriginMatch::Kind::kSuffix;
        match.text = origin.suffix();
        break;
      case v1::TextMatch::kRegex: {
        auto regex = Regex::compile(origin.regex(), Regex::Case::kIgnore, why);
        if (!regex) return regex.error();
        match.kind = filters::OriginMatch::Kind::kRegex;
        match.text = origin.regex();
        match.regex = std::move(*regex);
        break;
      }
      case v1::TextMatch::kPresent:
      case v1::TextMatch::HOW_NOT_SET:
        match.kind = filters::OriginMatch::Kind::kWildcard;
        match.text = "*";
        break;
    }
    options.allow_origins.push_back(std::move(match));
  }
  const auto copy = [](const auto& from, std::vector<std::string>& into) {
    if (!from.empty()) into.assign(from.begin(), from.end());
  };
  copy(message.allow_methods(), options.allow_methods);
  copy(message.allow_headers(), options.allow_headers);
  copy(message.expose_headers(), options.expose_headers);
  options.allow_credentials = message.allow_credentials();
  if (message.has_max_age()) options.max_age_s = static_cast<uint32_t>(message.max_age().seconds());
  options.allow_any_literal = message.allow_any_literal();
  return std::make_unique<filters::Cors>(std::move(options));
}

}  // namespace

void Build::add_filters(const google::protobuf::RepeatedPtrField<v1::HttpFilter>& messages, const std::string& scope,
                        RouteFilters& into) {
  for (int i = 0; i < messages.size(); ++i) {
    const v1::HttpFilter& message = messages[i];
    filter_scope_ = scope + "[" + std::to_string(i) + "]";
    if (message.has_satisfy()) {
      into.any_access = message.satisfy().any();
      continue;
    }
    if (message.has_client_certificate()) {
      add_client_certificate(message.client_certificate(), into);
      continue;
    }
    if (check::natural_phase(message) == v1::PHASE_ACCESS) {
      if (auto check = access_check(message)) {
        into.access.push_back(std::move(check));
      } else if (!failed()) {
        error(check::Kind::kVirtualHost, host_name_, scope, "a filter that is not built in yet");
      }
      if (message.has_basic_auth() && !message.basic_auth().keep_authorization()) into.drop_authorization = true;
      continue;
    }
    into.compresses = into.compresses || message.has_compress();
    auto built = filter(message);
    if (built == nullptr) {
      if (!failed()) error(check::Kind::kVirtualHost, host_name_, scope, "a filter that is not built in yet");
    } else if (into.head_changes != nullptr && message.has_request_headers()) {
      into.head_changes->push_back(std::dynamic_pointer_cast<const http::HeadChange>(std::move(built)));
    } else {
      into.list.push_back({message.has_error_pages() ? kFirst : phase_of(message), std::move(built)});
    }
  }
}

// The innermost one counts: a host's own instead of its table's, a route's instead of its host's.
void Build::add_client_certificate(const v1::ClientCertificateAccess& message, RouteFilters& into) {
  filters::ClientCertificateOptions options;
  options.rule = client_rule_name(message);
  options.required = message.required() != v1::TOGGLE_OFF;
  if (message.has_common_name()) {
    std::string why;
    auto matcher = text_matcher_of(message.common_name(), &why);
    if (!matcher) return error(check::Kind::kVirtualHost, host_name_, "client_certificate.common_name", why);
    options.common_name = std::move(*matcher);
  }
  options.error_page = message.error_page();
  options.pass_certificate = message.pass_certificate();
  options.accept_unknown = message.accept_unknown();
  const bool required = options.required;
  if (into.asks_certificate) std::erase_if(into.list, [](const PhasedFilter& one) { return one.certificate; });
  into.asks_certificate = true;
  into.list.push_back(
      {kBeforePhases, std::make_shared<const filters::ClientCertificate>(std::move(options)), /*certificate=*/true});
  if (!required) return;
  into.list.push_back({v1::PHASE_ACCESS, std::make_shared<const filters::ClientCertificate::PlainGuard>(), true});
}

// Checks of access are one filter: `satisfy` is about all of a route.
void Build::finish_access(RouteFilters& filters) {
  if (filters.access.empty()) return;
  const auto need = filters.any_access ? filters::AccessFilter::Need::kAny : filters::AccessFilter::Need::kAll;
  filters.list.push_back({v1::PHASE_ACCESS, std::make_shared<const filters::AccessFilter>(need, std::move(filters.access))});
  if (!filters.drop_authorization || filters.head_changes == nullptr) return;
  // The password was for us. Before what the user sets, so that a field for the upstream stays.
  auto removed = filters::Headers::create(filters::Headers::Side::kRequest, {.remove = {"Authorization"}});
  filters.head_changes->insert(filters.head_changes->begin(), std::shared_ptr<const http::HeadChange>(std::move(*removed)));
}

std::shared_ptr<const filters::AccessCheck> Build::access_check(const v1::HttpFilter& message) {
  switch (message.filter_case()) {
    case v1::HttpFilter::kIpAccess:
      return std::make_shared<const filters::IpAccess>(filters::IpAccessOptions{
          .allow = ranges_of(message.ip_access().allow()), .deny = ranges_of(message.ip_access().deny())});
    case v1::HttpFilter::kBasicAuth: {
      filters::BasicAuthOptions options;
      if (!message.basic_auth().realm().empty()) options.realm = message.basic_auth().realm();
      options.users = pairs_of(message.basic_auth().users());
      for (const auto& [name, hash] : options.users) {
        if (tls::is_supported_password_hash(hash)) continue;
        error(check::Kind::kVirtualHost, host_name_, "basic_auth.users",
              "the hash of the user " + name + " is none that is known here: bcrypt (cost 4 to 14), apr1, {SHA}, SHA-256, "
              "SHA-512");
        return nullptr;
      }
      return std::make_shared<const filters::BasicAuth>(std::move(options));
    }
    case v1::HttpFilter::kExternalAuth: return external_auth(message.external_auth());
    default: return nullptr;
  }
}

std::shared_ptr<const filters::AccessCheck> Build::external_auth(const v1::ExternalAuth& message) {
  std::string why;
  const auto refuse = [&]() -> std::shared_ptr<const filters::AccessCheck> {
    error(check::Kind::kVirtualHost, host_name_, "external_auth", why);
    return nullptr;
  };
  if (!message.cache_key().empty()) why = "cache_key: answers are not kept yet";
  if (message.body_bytes() != 0) why = "body_bytes: the body is not sent along yet";
  if (!why.empty()) return refuse();
  filters::ExternalAuthOptions options;
  options.slot = slot_of(message.upstream());
  options.host = message.host();
  if (!message.method().empty()) {
    options.method = message.method();
    options.original_uri = true;
  }
  if (!message.path().empty()) {
    auto path = http::TextTemplate::parse(message.path(), &why);
    if (!path) return refuse();
    options.path = std::move(*path);
  }
  if (!message.redirect_value().empty()) {
    auto value = http::TextTemplate::parse(message.redirect_value(), &why);
    if (!value) return refuse();
    options.redirect_value = std::move(*value);
  }
  if (!message.signin().empty()) {
    auto location = http::LocationTemplate::parse(message.signin(), &why);
    if (!location) return refuse();
    options.sign_in = std::move(*location);
  }
  if (!message.signin_redirect_param().empty()) options.sign_in_parameter = message.signin_redirect_param();
  options.response_fields.assign(message.response_headers().begin(), message.response_headers().end());
  for (const std::string& name : options.response_fields) {
    if (http::is_free_field(name)) continue;
    why = "response_headers: " + name + " belongs to the framing";
    return refuse();
  }
  if (!fields_of(message.request_headers(), options.request_fields, &why)) return refuse();
  if (message.has_timeout()) options.timeout = to_duration(message.timeout());
  options.always_set_cookie = message.always_set_cookie();
  options.fail_open = message.fail_open();
  return std::make_shared<const filters::ExternalAuth>(std::move(options));
}

std::shared_ptr<const http::Filter> Build::error_pages(const v1::ErrorPages& message, std::string* why) {
  filters::ErrorPagesOptions options;
  for (const uint32_t status : message.statuses()) options.statuses.push_back(static_cast<uint16_t>(status));
  if (!message.upstream().empty()) options.slot = slot_of(message.upstream());
  options.body = message.body();
  if (!message.content_type().empty()) options.content_type = message.content_type();
  options.upstream_errors = message.upstream_errors() != v1::TOGGLE_OFF;
  if (!fields_of(message.request_headers(), options.request_fields, why)) return nullptr;
  return std::make_shared<const filters::ErrorPages>(std::move(options));
}

std::optional<filters::LimitKey> Build::limit_key(const std::string& name, const std::string& text, std::string* why) {
  std::optional<http::TextTemplate> key;
  if (!text.empty()) {
    auto parsed = http::TextTemplate::parse(text, why);
    if (!parsed) return std::nullopt;
    key = std::move(*parsed);
  }
  // A name of the user's stands for itself; the place of a filter is stable across reloads as long as it does not move.
  return filters::LimitKey(name.empty() ? filter_scope_ : "name:" + name, std::move(key));
}

// The one list of filters: the compiler warns about a kind that is missing here.
std::shared_ptr<const http::Filter> Build::filter(const v1::HttpFilter& message) {
  std::string why;
  const auto keep = [&](auto created) -> std::shared_ptr<const http::Filter> {
    if (!created) {
      error(check::Kind::kVirtualHost, host_name_, message.name(), why);
      return nullptr;
    }
    return std::shared_ptr<const http::Filter>(std::move(*created));
  };
  const auto refuse = [&] {
    error(check::Kind::kVirtualHost, host_name_, message.name(), why);
    return std::shared_ptr<const http::Filter>();
  };
  switch (message.filter_case()) {
    case v1::HttpFilter::kBodyLimit: return std::make_shared<const filters::BodyLimit>(message.body_limit().bytes());
    case v1::HttpFilter::kCompress: {
      const v1::Compress& compress = message.compress();
      filters::CompressOptions options;
      options.content_types.assign(compress.content_types().begin(), compress.content_types().end());
      if (compress.has_min_bytes()) options.min_bytes = compress.min_bytes();
      if (compress.has_level()) options.level = static_cast<int>(compress.level());
      if (!compress.encodings().empty()) options.codings.clear();
      for (const std::string& encoding : compress.encodings()) {
        options.codings.push_back(encoding == "br"     ? http::Coding::kBrotli
                                  : encoding == "zstd" ? http::Coding::kZstd
                                                       : http::Coding::kGzip);
      }
      return std::make_shared<const filters::Compress>(std::move(options));
    }
    case v1::HttpFilter::kRequestHeaders:
    case v1::HttpFilter::kResponseHeaders: {
      const bool request = message.has_request_headers();
      const v1::HeaderMods& mods = request ? message.request_headers() : message.response_headers();
      filters::HeaderOptions options;
      options.set = pairs_of(mods.set());
      options.add = pairs_of(mods.add());
      options.set_if_absent = pairs_of(mods.set_if_absent());
      options.remove.assign(mods.remove().begin(), mods.remove().end());
      return keep(filters::Headers::create(
          request ? filters::Headers::Side::kRequest : filters::Headers::Side::kResponse, options, &why));
    }
    case v1::HttpFilter::kRewrite: {
      filters::RewriteOptions options;
      options.path = path_rewrite_of(message.rewrite(), matched_prefix_);
      options.host = message.rewrite().host();
      return keep(filters::Rewrite::create(std::move(options), &why));
    }
    case v1::HttpFilter::kRedirect: {
      const v1::RedirectFilter& redirect = message.redirect();
      filters::RedirectFilterOptions options;
      if (redirect.has_status()) options.status = static_cast<uint16_t>(redirect.status());
      options.location = redirect.location();
      options.scheme = redirect.scheme();
      options.host = redirect.host();
      options.port = static_cast<uint16_t>(redirect.port());
      if (redirect.has_path()) options.path = path_rewrite_of(redirect.path(), matched_prefix_);
      options.only_path = redirect.only_path();
      return keep(filters::RedirectFilter::create(std::move(options), &why));
    }
    case v1::HttpFilter::kTlsRedirect: {
      filters::TlsRedirectOptions options;
      if (message.tls_redirect().has_status()) options.status = static_cast<uint16_t>(message.tls_redirect().status());
      if (message.tls_redirect().port() != 0) options.port = static_cast<uint16_t>(message.tls_redirect().port());
      options.trust_forwarded = message.tls_redirect().trust_forwarded();
      return std::make_shared<const filters::TlsRedirect>(options);
    }
    case v1::HttpFilter::kGrpcWeb: return std::make_shared<const filters::GrpcWeb>();
    case v1::HttpFilter::kCors: return keep(cors_of(message.cors(), &why));
    case v1::HttpFilter::kRateLimit: {
      const v1::RateLimit& limit = message.rate_limit();
      filters::RateLimitOptions options;
      options.requests = limit.requests();
      if (limit.has_period()) options.period = to_duration(limit.period());
      options.burst = limit.burst();
      if (limit.has_status()) options.status = static_cast<uint16_t>(limit.status());
      options.exempt = ranges_of(limit.exempt());
      options.dry_run = limit.dry_run();
      auto key = limit_key(limit.name(), limit.key(), &why);
      if (!key) return refuse();
      // One table for all limits: its size is bounded whatever the number of routes.
      return std::make_shared<const filters::RateLimiter>(
          std::move(options), std::move(*key),
          parts_.process_cells.find_or_make<RateBuckets>(CellKind::kRates, "http", kRateBuckets));
    }
    case v1::HttpFilter::kConnectionLimit: {
      const v1::ConnectionLimit& limit = message.connection_limit();
      filters::ConnectionLimitOptions options;
      options.connections = limit.connections();
      if (limit.has_status()) options.status = static_cast<uint16_t>(limit.status());
      options.exempt = ranges_of(limit.exempt());
      auto key = limit_key("", limit.key(), &why);
      if (!key) return refuse();
      return std::make_shared<const filters::ConnectionLimiter>(
          std::move(options), std::move(*key),
          parts_.process_cells.find_or_make<ConnectionCounts>(CellKind::kConnections, "http requests"));
    }
    case v1::HttpFilter::kMirror: {
      const v1::Mirror& mirror = message.mirror();
      filters::MirrorOptions options;
      options.slot = slot_of(mirror.upstream());
      if (mirror.has_share()) {
        options.share_numerator = mirror.share().numerator();
        options.share_denominator = mirror.share().denominator() == 0 ? 100 : mirror.share().denominator();
      }
      options.host = mirror.host();
      options.body = mirror.body() != v1::TOGGLE_OFF;
      if (!mirror.path().empty()) {
        auto path = http::TextTemplate::parse(mirror.path(), &why);
        if (!path) return refuse();
        options.path = std::move(*path);
      }
      return std::make_shared<const filters::Mirror>(std::move(options));
    }
    case v1::HttpFilter::kErrorPages: {
      auto built = error_pages(message.error_pages(), &why);
      return built != nullptr ? built : refuse();
    }
    case v1::HttpFilter::kBandwidth:
      return std::make_shared<const filters::Bandwidth>(message.bandwidth().bytes_per_second(),
                                                        message.bandwidth().after_bytes());
    case v1::HttpFilter::kHsts: {
      const v1::Hsts& hsts = message.hsts();
      std::string value = "max-age=" + std::to_string(hsts.has_max_age() ? hsts.max_age().seconds() : 31536000);
      if (hsts.include_subdomains() != v1::TOGGLE_OFF) value += "; includeSubDomains";
      if (hsts.preload()) value += "; preload";
      return std::make_shared<const filters::Hsts>(std::move(value));
    }
    case v1::HttpFilter::kIpAccess:      // access_check()
    case v1::HttpFilter::kBasicAuth:     // the same
    case v1::HttpFilter::kExternalAuth:  // the same
    case v1::HttpFilter::kClientCertificate:  // add_client_certificate()
    case v1::HttpFilter::kJwtAuth:
    case v1::HttpFilter::kApiKeyAuth:
    case v1::HttpFilter::kCache:
    case v1::HttpFilter::kCookieRewrite:
    case v1::HttpFilter::kLua:
    case v1::HttpFilter::kSatisfy:
    case v1::HttpFilter::FILTER_NOT_SET: return nullptr;
  }
  return nullptr;
}

std::string Build::slots_of(const google::protobuf::RepeatedPtrField<v1::HttpFilter>& messages) {
  std::string slots;
  for (const v1::HttpFilter& message : messages) {
    for (const std::string* upstream :
         {&message.mirror().upstream(), &message.external_auth().upstream(), &message.error_pages().upstream()}) {
      if (!upstream->empty()) slots += "|" + std::to_string(slot_of(*upstream));
    }
  }
  return slots;
}

}  // namespace headgate::snapshot
