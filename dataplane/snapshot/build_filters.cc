#include "dataplane/filters/body_limit.h"
#include "dataplane/filters/compress.h"
#include "dataplane/filters/cors.h"
#include "dataplane/filters/grpc_web.h"
#include "dataplane/filters/headers.h"
#include "dataplane/filters/ip_access.h"
#include "dataplane/filters/redirect.h"
#include "dataplane/filters/rewrite.h"
#include "dataplane/snapshot/build_parts.h"

namespace headgate::snapshot {
namespace {

v1::FilterPhase phase_of(const v1::HttpFilter& message) {
  if (message.phase() != v1::FILTER_PHASE_UNSPECIFIED) return message.phase();
  switch (message.filter_case()) {
    case v1::HttpFilter::kRequestHeaders:
    case v1::HttpFilter::kRewrite:
    case v1::HttpFilter::kGrpcWeb: return v1::PHASE_REWRITE;
    case v1::HttpFilter::kResponseHeaders:
    case v1::HttpFilter::kCompress:
    case v1::HttpFilter::kErrorPages:
    case v1::HttpFilter::kBandwidth:
    case v1::HttpFilter::kCookieRewrite: return v1::PHASE_RESPONSE;
    case v1::HttpFilter::kRedirect:
    case v1::HttpFilter::kCors: return v1::PHASE_RETURN;
    case v1::HttpFilter::kBodyLimit: return v1::PHASE_SIZE;
    case v1::HttpFilter::kTlsRedirect: return v1::PHASE_TLS_REDIRECT;
    case v1::HttpFilter::kRateLimit:
    case v1::HttpFilter::kConnectionLimit: return v1::PHASE_LIMIT;
    case v1::HttpFilter::kMirror: return v1::PHASE_MIRROR;
    case v1::HttpFilter::kCache: return v1::PHASE_SPLIT;
    case v1::HttpFilter::kIpAccess:
    case v1::HttpFilter::kBasicAuth:
    case v1::HttpFilter::kExternalAuth:
    case v1::HttpFilter::kClientCertificate:
    case v1::HttpFilter::kJwtAuth:
    case v1::HttpFilter::kApiKeyAuth:
    case v1::HttpFilter::kSatisfy:
    case v1::HttpFilter::kLua: return v1::PHASE_ACCESS;
    case v1::HttpFilter::FILTER_NOT_SET: break;
  }
  return v1::PHASE_REWRITE;
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

void Build::add_filters(const google::protobuf::RepeatedPtrField<v1::HttpFilter>& messages, std::string_view where,
                        std::vector<PhasedFilter>& into, HeadChanges* changes) {
  for (const v1::HttpFilter& message : messages) {
    if (auto built = filter(message)) {
      if (changes != nullptr && message.has_request_headers()) {
        changes->push_back(std::dynamic_pointer_cast<const http::HeadChange>(std::move(built)));
        continue;
      }
      into.push_back({phase_of(message), std::move(built)});
    } else if (!failed()) {
      error(check::Kind::kVirtualHost, host_name_, where, "a filter that is not built in yet");
    }
  }
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
  switch (message.filter_case()) {
    case v1::HttpFilter::kBodyLimit: return std::make_shared<const filters::BodyLimit>(message.body_limit().bytes());
    case v1::HttpFilter::kIpAccess:
      return std::make_shared<const filters::IpAccess>(filters::IpAccessOptions{
          .allow = ranges_of(message.ip_access().allow()), .deny = ranges_of(message.ip_access().deny())});
    case v1::HttpFilter::kCompress: {
      const v1::Compress& compress = message.compress();
      filters::CompressOptions options;
      options.content_types.assign(compress.content_types().begin(), compress.content_types().end());
      if (compress.has_min_bytes()) options.min_bytes = compress.min_bytes();
      if (compress.has_level()) options.level = static_cast<int>(compress.level());
      for (const std::string& encoding : compress.encodings()) {
        if (encoding != "gzip") {
          error(check::Kind::kVirtualHost, host_name_, "compress.encodings", "only gzip is built in yet");
          return nullptr;
        }
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
    case v1::HttpFilter::kBasicAuth:
    case v1::HttpFilter::kRateLimit:
    case v1::HttpFilter::kMirror:
    case v1::HttpFilter::kExternalAuth:
    case v1::HttpFilter::kConnectionLimit:
    case v1::HttpFilter::kErrorPages:
    case v1::HttpFilter::kClientCertificate:
    case v1::HttpFilter::kBandwidth:
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

}  // namespace headgate::snapshot
