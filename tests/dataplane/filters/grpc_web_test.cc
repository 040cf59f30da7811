// grpc_web_test.cc -- gRPC-Web in both forms, whatever the pieces, and what is not gRPC-Web.
#include "dataplane/filters/grpc_web.h"

#include <gtest/gtest.h>

#include "dataplane/filters/grpc_web_codec.h"
#include "tests/support/exchange_harness.h"

namespace headgate::filters {
namespace {

using test::Answer;
using test::ExchangeHarness;
using test::HandlerFunction;
using test::RequestText;
using test::ScriptedBody;

std::string message(std::string_view payload) {
  std::string frame(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) frame += static_cast<char>(payload.size() >> shift);
  return frame + std::string(payload);
}

std::string base64(std::string_view bytes) {
  static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    uint32_t group = 0;
    const size_t count = std::min<size_t>(3, bytes.size() - at);
    for (size_t i = 0; i < 3; ++i) group = group << 8 | (i < count ? static_cast<uint8_t>(bytes[at + i]) : 0);
    for (size_t i = 0; i < 4; ++i) text += i <= count ? kDigits[group >> (18 - 6 * i) & 63] : '=';
  }
  return text;
}

// What a client makes of it, a piece of four characters at a time.
std::string decoded(std::string_view text) {
  Base64Decoder decoder;
  std::string out(Base64Decoder::room(text.size()), '\0');
  size_t size = 0;
  EXPECT_TRUE(decoder.decode(text, out.data(), size)) << text;
  EXPECT_TRUE(decoder.whole());
  out.resize(size);
  return out;
}

// A gRPC server: echoes the body and says grpc-status.
class Echo {
 public:
  explicit Echo(std::vector<std::string> chunks, bool body = true)
      : handler([this, chunks = std::move(chunks), body](http::Exchange& exchange) {
          type = exchange.request().headers.get(http::FieldId::kContentType);
          te = exchange.request().headers.get(http::FieldId::kTe);
          length = exchange.request().content_length;
          exchange.response().headers.set(http::FieldId::kContentType, "application/grpc+proto");
          if (!body) {
            exchange.response().headers.set("grpc-status", "5");
            exchange.respond(nullptr);
            return;
          }
          auto* source = exchange.arena().make<ScriptedBody>(exchange.worker().loop, chunks,
                                                             ScriptedBody::Pace::kAtOnce);
          auto* trailers = exchange.arena().make<http::Trailers>(exchange.arena());
          trailers->add("Grpc-Status", "0");
          trailers->add("grpc-message", "fine");
          source->set_trailers(trailers);
          exchange.respond(source);
        }) {}
  HandlerFunction handler;
  std::string type;
  std::string te;
  std::optional<uint64_t> length;
};

constexpr std::string_view kTrailers = "grpc-status: 0\r\ngrpc-message: fine\r\n";
std::string trailers_frame() {
  std::string frame = message(kTrailers);
  frame[0] = static_cast<char>(0x80);
  return frame;
}

RequestText call(const std::string& type, std::vector<std::string> body) {
  return {.method = "POST", .target = "/a.B/C", .headers = {{"Content-Type", type}}, .body = std::move(body),
          .has_body = true};
}

TEST(GrpcWeb, BinaryKeepsMessagesAndEndsWithTrailers) {
  ExchangeHarness harness;
  Echo echo({message("one"), message("two")});
  const GrpcWeb filter;
  const Answer answer = harness.run(call("application/grpc-web+proto", {message("hello")}), {&filter}, echo.handler);
  EXPECT_EQ(echo.type, "application/grpc+proto");
  EXPECT_EQ(echo.te, "trailers");
  EXPECT_EQ(echo.length, message("hello").size());
  EXPECT_EQ(answer.header("content-type"), "application/grpc-web+proto");
  EXPECT_EQ(answer.body, message("one") + message("two") + trailers_frame());
  EXPECT_TRUE(answer.complete);
  EXPECT_TRUE(answer.trailers.empty());
}

TEST(GrpcWeb, TextIsBase64WhateverThePieces) {
  const std::string frames = message("one") + message("") + message("three!!") + message(std::string(5000, 'x'));
  for (const size_t piece : {1, 2, 3, 4, 5, 7, 64, 100000}) {
    std::vector<std::string> chunks;
    for (size_t at = 0; at < frames.size(); at += piece) chunks.push_back(frames.substr(at, piece));
    ExchangeHarness harness;
    Echo echo(chunks);
    const GrpcWeb filter;
    const Answer answer = harness.run(call("application/grpc-web-text", {}), {&filter}, echo.handler);
    EXPECT_EQ(echo.type, "application/grpc");
    EXPECT_EQ(echo.length, std::nullopt);
    EXPECT_EQ(answer.header("content-type"), "application/grpc-web-text+proto");
    EXPECT_EQ(answer.body.size() % 4, 0U);
    EXPECT_EQ(decoded(answer.body), frames + trailers_frame()) << piece;
  }
}

TEST(GrpcWeb, EachMessageOfATextAnswerCanBeDecodedWhenItIsThere) {
  ExchangeHarness harness;
  Echo echo({message("o"), message("tw")});
  const GrpcWeb filter;
  std::vector<std::string> seen;
  harness.on_body = [&](std::string_view chunk) { seen.emplace_back(chunk); };
  (void)harness.run(call("application/grpc-web-text", {}), {&filter}, echo.handler);
  ASSERT_EQ(seen.size(), 3U);
  EXPECT_EQ(decoded(seen[0]), message("o"));
  EXPECT_EQ(decoded(seen[1]), message("tw"));
}

std::string upload(const std::vector<std::string>& pieces, bool& failed) {
  ExchangeHarness harness;
  const GrpcWeb filter;
  const HandlerFunction mirror([](http::Exchange& exchange) { exchange.respond(exchange.request_body()); });
  const Answer answer = harness.run(call("application/grpc-web-text+proto", pieces), {&filter}, mirror);
  failed = answer.failed || answer.aborted;
  return answer.body;
}

TEST(GrpcWeb, UploadsInTextMayBePaddedInBetween) {
  bool failed = false;
  const std::string text = base64(message("a")) + base64(message("bc")) + base64(message("def"));
  for (const size_t piece : {1, 3, 4, 5, 1000}) {
    std::vector<std::string> pieces;
    for (size_t at = 0; at < text.size(); at += piece) pieces.push_back(text.substr(at, piece));
    EXPECT_EQ(upload(pieces, failed), message("a") + message("bc") + message("def"));
    EXPECT_FALSE(failed);
  }
}

TEST(GrpcWeb, UploadsThatAreNoBase64Fail) {
  for (const char* text : {"AAAA*AAA", "A===", "AA=A", "AAA", "AB==", "AAB=", "=AAA", "AAAA\n"}) {
    bool failed = false;
    (void)upload({text}, failed);
    EXPECT_TRUE(failed) << text;
  }
}

TEST(GrpcWeb, TrailersOnlyStayInTheHead) {
  ExchangeHarness harness;
  Echo echo({}, false);
  const GrpcWeb filter;
  const Answer answer = harness.run(call("application/grpc-web", {message("")}), {&filter}, echo.handler);
  EXPECT_EQ(answer.header("grpc-status"), "5");
  EXPECT_EQ(answer.header("content-type"), "application/grpc-web+proto");
  EXPECT_EQ(answer.body, "");
}

TEST(GrpcWeb, OurOwnErrorsAreGrpcWebToo) {
  ExchangeHarness harness;
  const GrpcWeb filter;
  const HandlerFunction failing([](http::Exchange& exchange) {
    exchange.respond_error({.code = Errc::kTimeout, .origin = Origin::kUpstream, .detail = "too slow"});
  });
  const Answer answer = harness.run(call("application/grpc-web-text", {}), {&filter}, failing);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("grpc-status"), "4");
  EXPECT_EQ(answer.header("content-type"), "application/grpc-web-text");
}

TEST(GrpcWeb, LeavesEverythingElseAlone) {
  const GrpcWeb filter;
  for (const char* type : {"application/grpc", "application/grpc-webby", "application/json", "application/grpc-web-texts"}) {
    ExchangeHarness harness;
    Echo echo({message("one")});
    const Answer answer = harness.run(call(type, {"x"}), {&filter}, echo.handler);
    EXPECT_EQ(echo.type, type);
    EXPECT_EQ(answer.body, message("one"));
    EXPECT_EQ(answer.trailers.size(), 2U);
  }
  ExchangeHarness harness;
  const HandlerFunction page([](http::Exchange& exchange) { exchange.respond_text(404, "text/html", "<p>"); });
  EXPECT_EQ(harness.run(call("application/grpc-web", {"x"}), {&filter}, page).body, "<p>");
}

}  // namespace
}  // namespace headgate::filters
