// Hop-by-hop fields, upgrades, conditions, ranges, weights, gRPC, media types, the error table.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "dataplane/http/accept.h"
#include "dataplane/http/conditional.h"
#include "dataplane/http/content_type.h"
#include "dataplane/http/error_response.h"
#include "dataplane/http/framing.h"
#include "dataplane/http/grpc.h"
#include "dataplane/http/hop_by_hop.h"
#include "dataplane/http/range.h"
#include "dataplane/http/status.h"
#include "dataplane/http/upgrade.h"

namespace headgate::http {
namespace {

std::string names(const HeaderMap& map) {
  std::string text;
  for (const Field& field : map.fields()) text += std::string(text.empty() ? "" : " ") + std::string(field.name);
  return text;
}

TEST(HopByHop, StripsTheFixedList) {
  Arena arena;
  HeaderMap map(arena);
  for (const char* name : {"Host", "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization",
                           "Proxy-Authenticate", "TE", "Transfer-Encoding", "Upgrade", "HTTP2-Settings", "Expect", "X-A"}) {
    map.add(name, "v");
  }
  strip_hop_by_hop(map, TeField::kDrop);
  EXPECT_EQ(names(map), "Host X-A");
}

TEST(HopByHop, StripsWhatConnectionNamesButNotWhatWeRelyOn) {
  Arena arena;
  HeaderMap map(arena);
  map.add("X-Hop", "1");
  map.add("Authorization", "1");
  map.add("Connection", "x-hop, Authorization, X-Forwarded-For, close");
  map.add("X-Forwarded-For", "1");
  map.add("x-forwarded-Prefix", "1");
  map.add("Content-Foo", "1");
  map.add("Sec-WebSocket-Key", "1");
  map.add("X-Second", "1");
  map.add("Connection", "X-Second, x-forwarded-prefix, content-foo, sec-websocket-key, host, cookie");
  map.add("Cookie", "1");
  map.add("X-Stays", "1");
  strip_hop_by_hop(map, TeField::kDrop);
  EXPECT_EQ(names(map),
            "Authorization X-Forwarded-For x-forwarded-Prefix Content-Foo Sec-WebSocket-Key Cookie X-Stays");
  EXPECT_TRUE(map.has(FieldId::kAuthorization));
  EXPECT_FALSE(map.has(FieldId::kConnection));
}

TEST(HopByHop, KeepsTeTrailersOnlyWhenAsked) {
  Arena arena;
  for (const auto& [value, te, kept] : std::initializer_list<std::tuple<const char*, TeField, bool>>{
           {"trailers", TeField::kKeepTrailers, true},
           {"gzip, Trailers", TeField::kKeepTrailers, true},
           {"gzip", TeField::kKeepTrailers, false},
           {"trailers", TeField::kDrop, false}}) {
    HeaderMap map(arena);
    map.add("TE", value);
    strip_hop_by_hop(map, te);
    EXPECT_EQ(map.get(FieldId::kTe), kept ? "trailers" : "") << value;
  }
}

TEST(HopByHop, ForbiddenTrailers) {
  for (const char* name : {"Content-Length", "Transfer-Encoding", "Host", "Authorization", "Set-Cookie", "X-Forwarded-For",
                           "X-Forwarded-Prefix", "Content-Type", "content-anything", "Trailer", "TE", "Cache-Control",
                           "Forwarded", "X-Real-IP", "Proxy-Thing", "Sec-Thing", "Age", "expires", "X-Envoy-Retry"}) {
    EXPECT_TRUE(is_forbidden_trailer(field_id(name), name)) << name;
  }
  for (const char* name : {"grpc-status", "grpc-message", "ETag", "X-Checksum", "Server-Timing", "Digest"}) {
    EXPECT_FALSE(is_forbidden_trailer(field_id(name), name)) << name;
  }
}

TEST(Upgrade, WebSocketHandshake) {
  Arena arena;
  RequestHead head(arena);
  head.method = Method::kGet;
  head.protocol = "WebSocket";
  head.headers.add("Sec-WebSocket-Version", "13");
  head.headers.add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
  EXPECT_TRUE(is_valid_websocket_request(head));
  const WebSocketAccept accept = websocket_accept("dGhlIHNhbXBsZSBub25jZQ==");
  EXPECT_EQ(std::string(accept.data(), accept.size()), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");  // RFC 6455 1.3
  ResponseHead response(arena);
  response.status = 101;
  response.headers.add("Upgrade", "websocket");
  response.headers.add("Connection", "Upgrade");
  response.headers.add("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_TRUE(is_valid_websocket_response(response, "dGhlIHNhbXBsZSBub25jZQ=="));
  EXPECT_FALSE(is_valid_websocket_response(response, "AAAAAAAAAAAAAAAAAAAAAA=="));
  response.status = 200;
  EXPECT_FALSE(is_valid_websocket_response(response, "dGhlIHNhbXBsZSBub25jZQ=="));
  head.headers.set("Sec-WebSocket-Key", "short==");
  EXPECT_FALSE(is_valid_websocket_request(head));
  const auto key = websocket_key({});
  EXPECT_EQ(std::string(key.data(), key.size()), "AAAAAAAAAAAAAAAAAAAAAA==");
}

Precondition check(Method method, std::initializer_list<std::pair<const char*, const char*>> fields,
                   const Validators& validators) {
  Arena arena;
  RequestHead head(arena);
  head.method = method;
  for (const auto& [name, value] : fields) head.headers.add(name, value);
  return check_preconditions(head, validators, 1'700'000'000);
}

TEST(Conditional, Precedence) {
  const Validators file{.etag = "\"v1\"", .last_modified = 784111777};
  const Validators weak{.etag = "W/\"v1\"", .last_modified = 784111777};
  constexpr const char* kSame = "Sun, 06 Nov 1994 08:49:37 GMT";
  constexpr const char* kBefore = "Sun, 06 Nov 1994 08:49:36 GMT";
  using enum Precondition;
  EXPECT_EQ(check(Method::kGet, {}, file), kProceed);
  EXPECT_EQ(check(Method::kGet, {{"If-None-Match", "\"v1\""}}, file), kNotModified);
  EXPECT_EQ(check(Method::kHead, {{"If-None-Match", "W/\"v1\""}}, file), kNotModified);
  EXPECT_EQ(check(Method::kGet, {{"If-None-Match", "\"a,b\" , \"v1\""}}, weak), kNotModified);
  EXPECT_EQ(check(Method::kGet, {{"If-None-Match", "\"v2\""}}, file), kProceed);
  EXPECT_EQ(check(Method::kGet, {{"If-None-Match", "\"v2\""}, {"If-None-Match", "\"v1\""}}, file), kNotModified);
  EXPECT_EQ(check(Method::kGet, {{"If-None-Match", "v1"}}, file), kProceed);
  EXPECT_EQ(check(Method::kGet, {{"If-None-Match", "*"}}, file), kNotModified);
  EXPECT_EQ(check(Method::kPut, {{"If-None-Match", "*"}}, file), kFailed);
  // If-None-Match silences If-Modified-Since.
  EXPECT_EQ(check(Method::kGet, {{"If-None-Match", "\"v2\""}, {"If-Modified-Since", kSame}}, file), kProceed);
  EXPECT_EQ(check(Method::kGet, {{"If-Modified-Since", kSame}}, file), kNotModified);
  EXPECT_EQ(check(Method::kGet, {{"If-Modified-Since", kBefore}}, file), kProceed);
  EXPECT_EQ(check(Method::kGet, {{"If-Modified-Since", "yesterday"}}, file), kProceed);
  EXPECT_EQ(check(Method::kPost, {{"If-Modified-Since", kSame}}, file), kProceed);
  EXPECT_EQ(check(Method::kGet, {{"If-Match", "\"v1\""}}, file), kProceed);
  EXPECT_EQ(check(Method::kGet, {{"If-Match", "\"v2\", \"v1\""}}, file), kProceed);
  EXPECT_EQ(check(Method::kGet, {{"If-Match", "\"v2\""}}, file), kFailed);
  EXPECT_EQ(check(Method::kGet, {{"If-Match", "W/\"v1\""}}, weak), kFailed) << "strong comparison";
  EXPECT_EQ(check(Method::kGet, {{"If-Match", "*"}}, file), kProceed);
  EXPECT_EQ(check(Method::kGet, {{"If-Match", "\"v1\""}, {"If-Unmodified-Since", kBefore}}, file), kProceed);
  EXPECT_EQ(check(Method::kGet, {{"If-Unmodified-Since", kBefore}}, file), kFailed);
  EXPECT_EQ(check(Method::kGet, {{"If-Unmodified-Since", kSame}}, file), kProceed);
  EXPECT_EQ(check(Method::kGet, {{"If-Unmodified-Since", "x"}}, file), kProceed);
  EXPECT_EQ(check(Method::kGet, {{"If-Match", "\"v1\""}, {"If-None-Match", "\"v1\""}}, file), kNotModified);
}

TEST(Conditional, IfRange) {
  Arena arena;
  const auto holds = [&](const char* value, const Validators& validators) {
    HeaderMap map(arena);
    if (value != nullptr) map.add("If-Range", value);
    return if_range_holds(map, validators, 1'700'000'000);
  };
  const Validators file{.etag = "\"v1\"", .last_modified = 784111777};
  EXPECT_TRUE(holds(nullptr, file));
  EXPECT_TRUE(holds("\"v1\"", file));
  EXPECT_FALSE(holds("\"v2\"", file));
  EXPECT_FALSE(holds("W/\"v1\"", file));
  EXPECT_FALSE(holds("\"v1\"", {.etag = "W/\"v1\""}));
  EXPECT_TRUE(holds("Sun, 06 Nov 1994 08:49:37 GMT", file));
  EXPECT_FALSE(holds("Sun, 06 Nov 1994 08:49:38 GMT", file)) << "exactly, not later";
  EXPECT_FALSE(holds("garbage", file));
}

std::string ranges(std::string_view value, uint64_t size) {
  const RangeSet set = RangeSet::parse(value, size);
  if (set.kind() == RangeSet::Kind::kWhole) return "whole";
  if (set.kind() == RangeSet::Kind::kUnsatisfiable) return "416";
  std::string text;
  for (const ByteRange& range : set.ranges()) {
    text += (text.empty() ? "" : " ") + std::to_string(range.first) + "-" + std::to_string(range.last);
  }
  return text;
}

TEST(Range, Table) {
  EXPECT_EQ(ranges("", 100), "whole");
  EXPECT_EQ(ranges("bytes=0-0", 100), "0-0");
  EXPECT_EQ(ranges("Bytes=10-19", 100), "10-19");
  EXPECT_EQ(ranges("bytes=10-", 100), "10-99");
  EXPECT_EQ(ranges("bytes=-10", 100), "90-99");
  EXPECT_EQ(ranges("bytes=-1000", 100), "0-99");
  EXPECT_EQ(ranges("bytes=90-1000", 100), "90-99");
  EXPECT_EQ(ranges("bytes=0-1, 5-6 ,-1", 100), "0-1 5-6 99-99");
  EXPECT_EQ(ranges("bytes=50-59,0-9", 100), "50-59 0-9") << "in the order asked for";
  EXPECT_EQ(ranges("bytes=0-1,200-300", 100), "0-1");
  EXPECT_EQ(ranges("bytes=100-", 100), "416");
  EXPECT_EQ(ranges("bytes=-0", 100), "416");
  EXPECT_EQ(ranges("bytes=0-", 0), "416");
  EXPECT_EQ(ranges("bytes=99999999999999999999-", 100), "416");
  EXPECT_EQ(ranges("bytes=0-99999999999999999999", 100), "0-99");
  EXPECT_EQ(ranges("bytes=-99999999999999999999", 100), "0-99");
  for (const char* bad : {"bytes", "bytes=", "bytes=,", "bytes=-", "bytes=a-b", "bytes=5-1", "bytes=1", "bytes=--1",
                          "bytes=+1-2", "bytes=0x1-2", "items=0-1", "bytes=0-1;2-3", "bytes=0-5,3-8", "bytes=0-,0-",
                          "bytes=1-2,1-2", "bytes=0-1,x"}) {
    EXPECT_EQ(ranges(bad, 100), "whole") << bad;
  }
  std::string many = "bytes=0-0";
  for (int i = 1; i < 16; ++i) many += "," + std::to_string(i * 2) + "-" + std::to_string(i * 2);
  EXPECT_NE(ranges(many, 100), "whole");
  EXPECT_EQ(ranges(many + ",90-90", 100), "whole") << "17";
  std::string outside = "bytes=0-0";
  for (int i = 0; i < 16; ++i) outside += ",5000-";
  EXPECT_EQ(ranges(outside, 100), "whole") << "17, most of them unsatisfiable";
}

TEST(Range, ContentRange) {
  char text[kContentRangeSize];
  EXPECT_EQ(std::string(text, write_content_range(text, {0, UINT64_MAX - 1}, UINT64_MAX)),
            "bytes 0-18446744073709551614/18446744073709551615");
  EXPECT_EQ(std::string(text, write_unsatisfied_range(text, 7)), "bytes */7");
}

TEST(AcceptEncoding, Table) {
  Arena arena;
  const auto chosen = [&](const char* value) {
    HeaderMap map(arena);
    if (value != nullptr) map.add("Accept-Encoding", value);
    constexpr Coding kOurs[] = {Coding::kBrotli, Coding::kGzip};
    const Coding coding = AcceptEncoding::parse(map).choose(kOurs);
    return coding == Coding::kIdentity ? "identity" : std::string(coding_name(coding));
  };
  EXPECT_EQ(chosen(nullptr), "identity");
  EXPECT_EQ(chosen(""), "identity");
  EXPECT_EQ(chosen("gzip"), "gzip");
  EXPECT_EQ(chosen("GZIP"), "gzip");
  EXPECT_EQ(chosen("x-gzip"), "gzip");
  EXPECT_EQ(chosen("gzip, deflate, br"), "br");
  EXPECT_EQ(chosen("gzip;q=1.0, br;q=0.9"), "gzip");
  EXPECT_EQ(chosen("gzip;q=0"), "identity");
  EXPECT_EQ(chosen("gzip;q=0.000, br;q=0"), "identity");
  EXPECT_EQ(chosen("*"), "br");
  EXPECT_EQ(chosen("*;q=0.5, br;q=0"), "gzip");
  EXPECT_EQ(chosen("identity, gzip;q=0.5"), "identity");
  EXPECT_EQ(chosen("identity;q=0.5, gzip;q=0.4"), "identity");
  EXPECT_EQ(chosen("gzip;q=0.001"), "gzip");
  EXPECT_EQ(chosen("gzip;q=2"), "identity") << "malformed: skipped";
  EXPECT_EQ(chosen("gzip;q=0.1234"), "identity");
  EXPECT_EQ(chosen("gzip;level=1"), "identity");
  EXPECT_EQ(chosen("deflate"), "identity");
  EXPECT_EQ(parse_weight("1.000"), 1000);
  EXPECT_EQ(parse_weight("0.5"), 500);
  EXPECT_EQ(parse_weight("0."), 0);
  EXPECT_EQ(parse_weight("1.001"), std::nullopt);
  EXPECT_EQ(parse_weight(".5"), std::nullopt);
  EXPECT_EQ(parse_weight("0,5"), std::nullopt);
}

TEST(Grpc, TimeoutsAndStatus) {
  using namespace std::chrono_literals;
  EXPECT_EQ(parse_grpc_timeout("100m"), 100ms);
  EXPECT_EQ(parse_grpc_timeout("1H"), 1h);
  EXPECT_EQ(parse_grpc_timeout("99999999H"), std::chrono::nanoseconds::max());
  EXPECT_EQ(parse_grpc_timeout("0n"), 0ns);
  for (const char* bad : {"", "1", "m", "123456789m", "-1m", "1x", "1 m", "1.5S"}) {
    EXPECT_EQ(parse_grpc_timeout(bad), std::nullopt) << bad;
  }
  const auto written = [](std::chrono::nanoseconds timeout) {
    char text[16];
    return std::string(text, write_grpc_timeout(text, timeout));
  };
  EXPECT_EQ(written(100ms), "100000u");
  EXPECT_EQ(written(99999999ns), "99999999n");
  EXPECT_EQ(written(48h), "172800S");
  EXPECT_EQ(written(-5ns), "0n");
  EXPECT_EQ(written(std::chrono::nanoseconds::max()), "2562047H");
  EXPECT_EQ(grpc_status_name(14), "UNAVAILABLE");
  EXPECT_EQ(grpc_status_name(17), "");
  Arena arena;
  ResponseHead head(arena);
  write_grpc_error(head, 14, "no\nway 100%");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.get("grpc-status"), "14");
  EXPECT_EQ(head.headers.get("grpc-message"), "no%0Away 100%25");
  EXPECT_EQ(grpc_status_of(head.headers), 14U);
  for (const auto& [type, yes] : std::initializer_list<std::pair<const char*, bool>>{{"application/grpc", true},
                                                                                     {"application/grpc+proto", true},
                                                                                     {"application/grpc; x", true},
                                                                                     {"application/grpc-web", false},
                                                                                     {"application/json", false}}) {
    HeaderMap map(arena);
    map.add("Content-Type", type);
    EXPECT_EQ(is_grpc(map), yes) << type;
  }
}

TEST(ContentType, Table) {
  EXPECT_EQ(content_type_of("/a/index.html"), "text/html; charset=utf-8");
  EXPECT_EQ(content_type_of("/a/INDEX.HTML"), "text/html; charset=utf-8");
  EXPECT_EQ(content_type_of("x.js"), "text/javascript; charset=utf-8");
  EXPECT_EQ(content_type_of("/a.b/c"), "application/octet-stream");
  EXPECT_EQ(content_type_of("/a.tar.gz"), "application/gzip");
  EXPECT_EQ(content_type_of("/a."), "application/octet-stream");
  EXPECT_EQ(content_type_of(""), "application/octet-stream");
  EXPECT_EQ(content_type_of("/x.webmanifest"), "application/manifest+json");
  EXPECT_EQ(content_type_of_extension("averylongextension"), "");
  EXPECT_TRUE(is_compressible("text/html; charset=utf-8"));
  EXPECT_TRUE(is_compressible("application/JSON"));
  EXPECT_TRUE(is_compressible("application/problem+json"));
  EXPECT_TRUE(is_compressible("image/svg+xml"));
  EXPECT_FALSE(is_compressible("image/png"));
  EXPECT_FALSE(is_compressible("text/event-stream"));
  EXPECT_FALSE(is_compressible("application/grpc"));
  EXPECT_FALSE(is_compressible(""));
}

TEST(ErrorTable, EveryCodeOfEveryOrigin) {
  std::set<uint16_t> statuses;
  for (const Origin origin : {Origin::kLocal, Origin::kDownstream, Origin::kUpstream}) {
    for (int code = 0; code <= static_cast<int>(Errc::kInternal); ++code) {
      const ErrorAnswer answer = answer_for({.code = static_cast<Errc>(code), .origin = origin});
      statuses.insert(answer.status);
      if (origin == Origin::kUpstream) {
        EXPECT_GE(answer.status, 502) << code;
        EXPECT_LE(answer.status, 504) << code;
        EXPECT_FALSE(answer.close) << "the client did nothing wrong";
      }
      EXPECT_NE(answer.grpc_code, 0);
    }
  }
  for (const uint16_t status : {400, 403, 404, 408, 411, 413, 414, 417, 431, 500, 501, 502, 503, 504, 505}) {
    EXPECT_TRUE(statuses.contains(status)) << status;
  }
  EXPECT_EQ(answer_for({.code = Errc::kTimeout, .origin = Origin::kUpstream}).status, 504);
  EXPECT_EQ(answer_for({.code = Errc::kRefused, .origin = Origin::kUpstream}).status, 502);
  EXPECT_EQ(answer_for({.code = Errc::kRefused, .origin = Origin::kLocal}).status, 503);
}

TEST(Framing, LengthValues) {
  EXPECT_EQ(parse_content_length("0"), 0U);
  EXPECT_EQ(parse_content_length("9223372036854775807"), 9223372036854775807U);
  for (const char* bad : {"", " 1", "1 ", "+1", "-1", "0x1", "1,1", "9223372036854775808", "1.0", "\xb2"}) {
    EXPECT_EQ(parse_content_length(bad), std::nullopt) << bad;
  }
}

TEST(Status, Phrases) {
  EXPECT_EQ(reason_phrase(200), "OK");
  EXPECT_EQ(reason_phrase(299), "Success");
  EXPECT_EQ(reason_phrase(799), "Unknown");
  for (uint16_t status = 100; status < 1000; ++status) EXPECT_FALSE(reason_phrase(status).empty());
}

}  // namespace
}  // namespace headgate::http
