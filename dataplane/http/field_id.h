// field_id.h -- the header fields we act on, and how they are usually spelled.
// Thread: any (values).   Spec: RFC 9110 5.1.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace headgate::http {

enum class FieldId : uint8_t {
  kOther,
  kAccept,
  kAcceptEncoding,
  kAcceptRanges,
  kAuthorization,
  kCacheControl,
  kConnection,
  kContentEncoding,
  kContentLength,
  kContentRange,
  kContentType,
  kCookie,
  kDate,
  kETag,
  kExpect,
  kForwarded,
  kHost,
  kHttp2Settings,
  kIfMatch,
  kIfModifiedSince,
  kIfNoneMatch,
  kIfRange,
  kIfUnmodifiedSince,
  kKeepAlive,
  kLastModified,
  kLocation,
  kOrigin,
  kProxyAuthenticate,
  kProxyAuthorization,
  kProxyConnection,
  kRange,
  kReferer,
  kServer,
  kSetCookie,
  kTe,
  kTrailer,
  kTransferEncoding,
  kUpgrade,
  kUserAgent,
  kVary,
  kVia,
  kWwwAuthenticate,
  kXForwardedFor,
  kXForwardedHost,
  kXForwardedPort,
  kXForwardedProto,
  kXRealIp,
  kXRequestId,
  kCount
};
static_assert(static_cast<int>(FieldId::kCount) <= 64, "presence is one 64-bit word");

inline constexpr size_t kFieldIds = static_cast<size_t>(FieldId::kCount);

inline constexpr std::array<std::string_view, kFieldIds> kFieldNames = {
    "",
    "Accept",
    "Accept-Encoding",
    "Accept-Ranges",
    "Authorization",
    "Cache-Control",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "Cookie",
    "Date",
    "ETag",
    "Expect",
    "Forwarded",
    "Host",
    "HTTP2-Settings",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Keep-Alive",
    "Last-Modified",
    "Location",
    "Origin",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Range",
    "Referer",
    "Server",
    "Set-Cookie",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "User-Agent",
    "Vary",
    "Via",
    "WWW-Authenticate",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
    "X-Real-IP",
    "X-Request-Id",
};
static_assert(!kFieldNames.back().empty(), "one name per FieldId");

// The usual spelling: "Content-Length". Empty for kOther.
constexpr std::string_view field_name(FieldId id) { return kFieldNames[static_cast<size_t>(id)]; }
// Which field is this name? By length, then by comparison without case.
FieldId field_id(std::string_view name);

}  // namespace headgate::http
