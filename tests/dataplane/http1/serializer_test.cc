#include "dataplane/http1/serializer.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "dataplane/base/check.h"
#include "dataplane/http1/chunked.h"
#include "dataplane/http1/parser.h"

namespace headgate::http1 {
namespace {

using http::FieldId;

// Writes into memory of exactly the room asked for, so that the address sanitizer sees every byte too many.
std::string written(const http::ResponseHead& head, const HeadOptions& options) {
  const size_t room = response_head_room(head, options);
  const std::unique_ptr<char[]> memory(new char[room]);
  const auto size = static_cast<size_t>(write_response_head(memory.get(), head, options) - memory.get());
  EXPECT_LE(size, room);
  return {memory.get(), size};
}
std::string written(const http::RequestHead& head, const http::HeaderMap& fields, std::string_view target,
                    const HeadOptions& options) {
  const size_t room = request_head_room(head, fields, target, options);
  const std::unique_ptr<char[]> memory(new char[room]);
  const auto size = static_cast<size_t>(write_request_head(memory.get(), head, fields, target, options) - memory.get());
  EXPECT_LE(size, room);
  return {memory.get(), size};
}

TEST(Serializer, ResponseHeads) {
  Arena arena;
  http::ResponseHead head(arena);
  head.headers.add("Content-Type", "text/plain");
  head.headers.add("Content-Length", "999");
  head.headers.add("Transfer-Encoding", "gzip");
  head.headers.add("Connection", "x");
  constexpr std::string_view kDate = "Sun, 06 Nov 1994 08:49:37 GMT";
  EXPECT_EQ(written(head, {.framing = http::BodyFraming::of_length(5), .date = kDate}),
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\n"
            "Content-Length: 5\r\n\r\n");
  head.headers.set(FieldId::kDate, "yesterday");
  head.status = 404;
  EXPECT_EQ(written(head, {.zero_length = true, .connection = ConnectionField::kClose, .date = kDate}),
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nDate: yesterday\r\nContent-Length: 0\r\n"
            "Connection: close\r\n\r\n");
  head.headers.clear();
  head.reason = "Own Words";
  EXPECT_EQ(written(head, {.framing = {http::BodyFraming::Kind::kChunked, 0}, .connection = ConnectionField::kKeepAlive}),
            "HTTP/1.1 404 Own Words\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n");
  head.reason = "a\r\nX: y";
  head.status = 99;
  EXPECT_EQ(written(head, {.described_length = 7}), "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 7\r\n\r\n");
  head.status = 101;
  head.reason = {};
  EXPECT_EQ(written(head, {.connection = ConnectionField::kUpgrade, .upgrade = "websocket"}),
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
}

TEST(Serializer, RequestHeads) {
  Arena arena;
  http::RequestHead head(arena);
  head.method_text = "POST";
  head.authority = "example.com";
  EXPECT_EQ(written(head, head.headers, "/p?q", {.framing = http::BodyFraming::of_length(UINT64_MAX)}),
            "POST /p?q HTTP/1.1\r\nHost: example.com\r\nContent-Length: 18446744073709551615\r\n\r\n");
  head.headers.add("Accept", "*/*");
  head.headers.add("Host", "other");
  EXPECT_EQ(written(head, head.headers, "/", {.zero_length = true}),
            "POST / HTTP/1.1\r\nAccept: */*\r\nHost: other\r\nContent-Length: 0\r\n\r\n");
}

// P7. A debug build stops at once, so that tests find whoever made such a field.
TEST(SerializerDeathTest, ControlCharactersNeverLeave) {
  Arena arena;
  http::ResponseHead head(arena);
  head.headers.add("X-A", "1");
  head.headers.add("X-Evil", "a\r\nSet-Cookie: b=c");
  head.headers.add("X-Evil\r\nX", "a");
  head.headers.add("", "empty name");
  head.headers.add("X-Nul", std::string_view("a\0b", 3));
  head.headers.add("X-B", "2");
#ifdef NDEBUG
  const uint64_t before = bugs_reported();
  EXPECT_EQ(written(head, {}), "HTTP/1.1 200 OK\r\nX-A: 1\r\nX-B: 2\r\n\r\n");
  EXPECT_EQ(bugs_reported(), before + 4);
  http::RequestHead request(arena);
  request.method_text = "GET";
  request.authority = "h";
  EXPECT_EQ(written(request, request.headers, "/a\r\nX: y", {}), "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
#else
  EXPECT_DEATH(written(head, {}), "");
#endif
}

TEST(Serializer, EveryTextLength) {
  for (size_t size = 0; size < 200; ++size) {
    Arena arena;
    http::ResponseHead head(arena);
    std::string value;
    for (size_t i = 0; i < size; ++i) value += static_cast<char>('a' + i % 26);
    head.headers.add("X", value);
    EXPECT_EQ(written(head, {}), "HTTP/1.1 200 OK\r\nX: " + value + "\r\n\r\n");
  }
}

TEST(Serializer, ChunksDecodeBack) {
  Arena arena;
  http::Trailers trailers(arena);
  trailers.add("X-Sum", "1");
  trailers.add("Content-Length", "5");
  std::string body;
  const auto append = [&](uint64_t size, bool first) {
    char room[kChunkHeaderRoom];
    body.append(room, write_chunk_header(room, size, first));
    body.append(size, 'd');
  };
  append(5, true);
  append(300, false);
  const std::unique_ptr<char[]> room(new char[last_chunk_room(&trailers)]);
  body.append(room.get(), write_last_chunk(room.get(), false, &trailers));
  EXPECT_EQ(body.substr(0, 16), "5\r\nddddd\r\n12c\r\nd");
  EXPECT_TRUE(body.ends_with("\r\n0\r\nX-Sum: 1\r\n\r\n")) << "length is no trailer";
  char largest[kChunkHeaderRoom];
  EXPECT_EQ(std::string(largest, write_chunk_header(largest, UINT64_MAX, false)), "\r\nffffffffffffffff\r\n");
  char empty[8];
  EXPECT_EQ(std::string(empty, write_last_chunk(empty, true, nullptr)), "0\r\n\r\n");

  ChunkedDecoder decoder(Origin::kUpstream);
  http::Trailers decoded(arena);
  std::string_view rest = body;
  size_t data = 0;
  for (;;) {
    const ChunkedDecoder::Step step = decoder.decode(rest, {}, decoded);
    ASSERT_NE(step.kind, ChunkedDecoder::Step::Kind::kError);
    ASSERT_NE(step.kind, ChunkedDecoder::Step::Kind::kNeedMore);
    rest.remove_prefix(step.used);
    data += step.data.size();
    if (step.kind == ChunkedDecoder::Step::Kind::kEnd) break;
  }
  EXPECT_EQ(data, 305U);
  EXPECT_EQ(decoded.get("x-sum"), "1");
}

TEST(Serializer, WhatIsWrittenParsesBack) {
  const std::string bytes =
      "PUT /a/b?c=d HTTP/1.1\r\nHost: h:81\r\nX-Empty:\r\nX-Obs: \xc3\xa9\r\nAccept: a\r\naccept: b\r\n"
      "Content-Length: 7\r\n\r\n";
  Arena arena;
  http::RequestHead head(arena);
  RequestParser parser;
  ASSERT_EQ(parser.parse(bytes, {}, head), Outcome::kDone);
  const std::string again = written(head, head.headers, head.target, {.framing = parser.framing()});
  http::RequestHead second(arena);
  RequestParser second_parser;
  ASSERT_EQ(second_parser.parse(again, {}, second), Outcome::kDone);
  EXPECT_EQ(second_parser.framing(), parser.framing());
  EXPECT_EQ(second.target, head.target);
  ASSERT_EQ(second.headers.size(), head.headers.size());
  for (size_t i = 0; i < head.headers.size(); ++i) {
    EXPECT_EQ(second.headers.fields()[i].name, head.headers.fields()[i].name);
    EXPECT_EQ(second.headers.fields()[i].value, head.headers.fields()[i].value);
  }
}

}  // namespace
}  // namespace headgate::http1
