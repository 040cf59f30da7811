#include "dataplane/filters/body_limit.h"
#include "dataplane/filters/compress.h"
#include "dataplane/filters/headers.h"
#include "dataplane/filters/ip_access.h"
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

}  // namespace

void Build::add_filters(const google::protobuf::RepeatedPtrField<v1::HttpFilter>& messages, std::string_view where,
                        std::vector<PhasedFilter>& into) {
  for (const v1::HttpFilter& message : messages) {
    if (auto built = filter(message)) {
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
      filters::HeaderMods options;
      options.set = pairs_of(mods.set());
      options.add = pairs_of(mods.add());
      options.set_if_absent = pairs_of(mods.set_if_absent());
      options.remove.assign(mods.remove().begin(), mods.remove().end());
      return keep(request ? filters::Headers::for_request(options, &why) : filters::Headers::for_response(options, &why));
    }
    case v1::HttpFilter::kRewrite:
    case v1::HttpFilter::kRedirect:
    case v1::HttpFilter::kCors:
    case v1::HttpFilter::kTlsRedirect:
    case v1::HttpFilter::kBasicAuth:
    case v1::HttpFilter::kRateLimit:
    case v1::HttpFilter::kMirror:
    case v1::HttpFilter::kExternalAuth:
    case v1::HttpFilter::kConnectionLimit:
    case v1::HttpFilter::kErrorPages:
    case v1::HttpFilter::kGrpcWeb:
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
