#include "dataplane/http1/parser.h"

#include <gtest/gtest.h>

#include <string>

#include "dataplane/http/error_response.h"
#include "tests/dataplane/http1/vectors.h"

namespace headgate::http1 {
namespace {

using http::FieldId;

// What a parse came to, as text that shows every difference.
std::string describe(const http::RequestHead& head, const RequestParser& parser) {
  std::string text = std::string(head.method_text) + "|" + std::string(head.target) + "|" + std::string(head.path) +
                     "|" + std::string(head.query) + "|" + std::string(head.authority) + "|" + std::string(head.host) +
                     "|" + std::string(head.protocol) + "|" + std::to_string(static_cast<int>(head.version)) + "|" +
                     std::to_string(static_cast<int>(parser.framing().kind)) + ":" +
                     std::to_string(parser.framing().length) + "|" + (parser.keep_alive() ? "keep" : "close") +
                     (head.expect_continue ? "|expect" : "") + "|" + std::to_string(parser.head_size());
  for (const http::Field& field : head.headers.fields()) {
    text += "\n" + std::string(field.name) + "=" + std::string(field.value);
  }
  return text;
}

// Feeds `bytes` in pieces ending at `cuts`; between two pieces the bytes move to another place.
std::string parse_request(const std::string& bytes, const std::vector<size_t>& cuts, const http::HttpLimits& limits) {
  Arena arena;
  http::RequestHead head(arena);
  RequestParser parser;
  std::string blocks[2];
  size_t turn = 0;
  for (const size_t cut : cuts) {
    std::string& block = blocks[turn++ % 2];
    block.reserve(bytes.size() + 64);
    block.assign(bytes, 0, cut);
    const Outcome outcome = parser.parse(block, limits, head);
    // The other copy must not be looked at any more.
    blocks[turn % 2].assign(blocks[turn % 2].size(), '!');
    if (outcome == Outcome::kDone) return "ok " + describe(head, parser);
    if (outcome == Outcome::kError) {
      EXPECT_EQ(parser.error().origin, Origin::kDownstream);
      EXPECT_TRUE(http::answer_for(parser.error()).close);
      return std::to_string(http::answer_for(parser.error()).status);
    }
  }
  return "more";
}

// Whole, split at every byte, and byte by byte: one outcome.
std::string parse_every_way(const std::string& bytes, const http::HttpLimits& limits = {}) {
  const std::string whole = parse_request(bytes, {bytes.size()}, limits);
  std::vector<size_t> each;
  for (size_t cut = 1; cut <= bytes.size(); ++cut) {
    each.push_back(cut);
    if (bytes.size() < 2000) {
      EXPECT_EQ(parse_request(bytes, {cut, bytes.size()}, limits), whole) << "split at " << cut;
    }
  }
  EXPECT_EQ(parse_request(bytes, each, limits), whole) << "byte by byte";
  return whole;
}

TEST(RequestParser, Catalogue) {
  const auto vectors = read_vectors("requests.txt");
  ASSERT_GE(vectors.size(), 120U);
  for (const Vector& vector : vectors) {
    SCOPED_TRACE(vector.name);
    const std::string outcome = parse_every_way(vector.bytes);
    EXPECT_EQ(outcome.substr(0, vector.expected.size()), vector.expected) << outcome;
    if (vector.expected == "ok") {
      EXPECT_EQ(outcome.substr(0, 3), "ok ");
    }
  }
}

TEST(RequestParser, GivesTheHead) {
  Arena arena;
  http::RequestHead head(arena);
  RequestParser parser;
  const std::string bytes =
      "POST /a/../b%7e/c?x=1&y=%20 HTTP/1.1\r\nHost: Shop.Example:8080\r\nuser-agent:  t \r\n"
      "Content-Length: 0012\r\nConnection: close\r\nX-One:\r\n\r\nbody";
  ASSERT_EQ(parser.parse(bytes, {}, head), Outcome::kDone);
  EXPECT_EQ(parser.head_size(), bytes.size() - 4);
  EXPECT_EQ(head.method, http::Method::kPost);
  EXPECT_EQ(head.target, "/a/../b%7e/c?x=1&y=%20");
  EXPECT_EQ(head.path, "/b~/c");
  EXPECT_EQ(head.query, "x=1&y=%20");
  EXPECT_TRUE(head.has_query);
  EXPECT_EQ(head.authority, "Shop.Example:8080");
  EXPECT_EQ(head.host, "shop.example");
  EXPECT_EQ(head.content_length, 12U);
  EXPECT_EQ(parser.framing(), http::BodyFraming::of_length(12));
  EXPECT_FALSE(parser.keep_alive());
  EXPECT_EQ(head.headers.get(FieldId::kUserAgent), "t");
  EXPECT_FALSE(head.headers.has(FieldId::kContentLength)) << "framing is not data";
  EXPECT_EQ(head.headers.find("x-one")->value, "");
}

TEST(RequestParser, AbsoluteFormRewritesHost) {
  Arena arena;
  http::RequestHead head(arena);
  RequestParser parser;
  ASSERT_EQ(parser.parse("GET http://Real.example:81/p?q HTTP/1.1\r\nHost: other\r\n\r\n", {}, head), Outcome::kDone);
  EXPECT_EQ(head.target, "/p?q");
  EXPECT_EQ(head.host, "real.example");
  EXPECT_EQ(head.authority, "Real.example:81");
  EXPECT_EQ(head.headers.get(FieldId::kHost), "Real.example:81");
}

TEST(RequestParser, KeepsAndDropsUnderscores) {
  const std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\nX_User: root\r\nX-A: 1\r\n\r\n";
  EXPECT_EQ(parse_every_way(bytes).find("X_User"), std::string::npos);
  http::HttpLimits limits;
  limits.allow_underscore_names = true;
  EXPECT_NE(parse_every_way(bytes, limits).find("X_User=root"), std::string::npos);
}

TEST(RequestParser, Limits) {
  http::HttpLimits limits;
  limits.target_bytes = 100;
  limits.header_bytes = 400;
  limits.header_fields = 4;
  const auto request = [](size_t target, size_t value, int fields) {
    std::string text = "GET /" + std::string(target - 1, 'a') + " HTTP/1.1\r\nHost: h\r\n";
    for (int i = 1; i < fields; ++i) text += "X-" + std::to_string(i) + ": " + std::string(value, 'v') + "\r\n";
    return text + "\r\n";
  };
  EXPECT_EQ(parse_every_way(request(100, 1, 4), limits).substr(0, 3), "ok ");
  EXPECT_EQ(parse_every_way(request(101, 1, 4), limits), "414");
  EXPECT_EQ(parse_every_way(request(5000, 1, 4), limits), "414");
  EXPECT_EQ(parse_every_way("GET /" + std::string(300, 'a'), limits), "414") << "does not wait for the line to end";
  EXPECT_EQ(parse_every_way(request(10, 1, 5), limits), "431");
  EXPECT_EQ(parse_every_way(request(10, 1, 40), limits), "431");
  const std::string fits = request(10, 400 - request(10, 0, 2).size(), 2);
  ASSERT_EQ(fits.size(), 400U);
  EXPECT_EQ(parse_every_way(fits, limits).substr(0, 3), "ok ");
  EXPECT_EQ(parse_every_way(fits + "rest of the connection", limits).substr(0, 3), "ok ");
  EXPECT_EQ(parse_every_way(request(10, 401 - request(10, 0, 2).size(), 2), limits), "431");
  EXPECT_EQ(parse_every_way(request(10, 5000, 2), limits), "431");
  limits.header_bytes = 50;  // below the target limit: the request line alone is over it
  EXPECT_EQ(parse_every_way(request(60, 1, 1), limits), "414");
}

TEST(RequestParser, LongInputInSmallPiecesIsLinear) {
  // 30 KiB byte by byte: quadratic work would take seconds.
  std::string bytes = "GET / HTTP/1.1\r\nHost: h\r\nX: ";
  bytes += std::string(30000, 'v') + "\r\n\r\n";
  Arena arena;
  http::RequestHead head(arena);
  RequestParser parser;
  Outcome outcome = Outcome::kNeedMore;
  size_t fed = 0;
  while (outcome == Outcome::kNeedMore && fed < bytes.size()) {
    outcome = parser.parse({bytes.data(), ++fed}, {}, head);
  }
  EXPECT_EQ(outcome, Outcome::kDone);
  EXPECT_EQ(head.headers.get("x").size(), 30000U);
}

TEST(RequestParser, PipelinedRequestsFollowEachOther) {
  const std::string bytes = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\n";
  std::string_view rest = bytes;
  for (const char* path : {"/1", "/2"}) {
    Arena arena;
    http::RequestHead head(arena);
    RequestParser parser;
    EXPECT_FALSE(parser.started());
    ASSERT_EQ(parser.parse(rest, {}, head), Outcome::kDone);
    EXPECT_TRUE(parser.started());
    EXPECT_EQ(head.path, path);
    rest.remove_prefix(parser.head_size());
  }
  EXPECT_TRUE(rest.empty());
}

TEST(RequestParser, EmptyLineAloneIsNotARequest) {
  Arena arena;
  http::RequestHead head(arena);
  RequestParser parser;
  EXPECT_EQ(parser.parse("\r\n", {}, head), Outcome::kNeedMore);
  EXPECT_FALSE(parser.started());
}

std::string parse_response(const std::string& bytes, const std::vector<size_t>& cuts, http::Method method) {
  Arena arena;
  http::ResponseHead head(arena);
  ResponseParser parser(method);
  std::string blocks[2];
  size_t turn = 0;
  for (const size_t cut : cuts) {
    std::string& block = blocks[turn++ % 2];
    block.reserve(bytes.size() + 64);
    block.assign(bytes, 0, cut);
    const Outcome outcome = parser.parse(block, {}, head);
    blocks[turn % 2].assign(blocks[turn % 2].size(), '!');
    if (outcome == Outcome::kError) {
      EXPECT_EQ(parser.error().origin, Origin::kUpstream);
      return std::to_string(http::answer_for(parser.error()).status);
    }
    if (outcome == Outcome::kNeedMore) continue;
    constexpr const char* kKinds[] = {"none", "length", "chunked", "close"};
    std::string text = "ok " + std::string(kKinds[static_cast<size_t>(parser.framing().kind)]) + " " +
                       (parser.keep_alive() ? "keep" : "end") + " " + std::to_string(head.status) + " " +
                       std::string(head.reason) + " " + std::to_string(parser.framing().length) + " " +
                       std::to_string(parser.head_size());
    for (const http::Field& field : head.headers.fields()) {
      text += "\n" + std::string(field.name) + "=" + std::string(field.value);
    }
    return text;
  }
  return "more";
}

TEST(ResponseParser, Catalogue) {
  const auto vectors = read_vectors("responses.txt");
  ASSERT_GE(vectors.size(), 40U);
  for (const Vector& vector : vectors) {
    SCOPED_TRACE(vector.name);
    const http::Method method = http::parse_method(vector.argument);
    const std::string whole = parse_response(vector.bytes, {vector.bytes.size()}, method);
    EXPECT_EQ(whole.substr(0, vector.expected.size()), vector.expected) << whole;
    std::vector<size_t> each;
    for (size_t cut = 1; cut <= vector.bytes.size(); ++cut) {
      each.push_back(cut);
      EXPECT_EQ(parse_response(vector.bytes, {cut, vector.bytes.size()}, method), whole) << "split at " << cut;
    }
    EXPECT_EQ(parse_response(vector.bytes, each, method), whole);
  }
}

}  // namespace
}  // namespace headgate::http1
