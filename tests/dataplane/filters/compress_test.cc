#include "dataplane/filters/compress.h"

#include <gtest/gtest.h>

#include "dataplane/filters/variant_cache.h"
#include "tests/support/exchange_harness.h"
#include "tests/support/inflate.h"

namespace headgate::filters {
namespace {

using test::Answer;
using test::ExchangeHarness;
using test::FieldList;
using test::HandlerFunction;
using test::inflate_gzip;
using test::RequestText;

const std::string kText = [] {
  std::string text;
  while (text.size() < 4000) text += "All happy families are alike; ";
  return text;
}();

// What the handler answers.
struct Response {
  uint16_t status = 200;
  FieldList headers{{"Content-Type", "text/plain; charset=utf-8"}, {"ETag", "\"v1\""}, {"Accept-Ranges", "bytes"}};
  std::string body = kText;
  bool length_known = true;
  uint64_t content_id = 0;

  Response with(std::string name, std::string value) const {
    Response copy = *this;
    std::erase_if(copy.headers, [&name](const auto& field) { return field.first == name; });
    copy.headers.emplace_back(std::move(name), std::move(value));
    return copy;
  }
  Response of_size(size_t size) const {
    Response copy = *this;
    copy.body.assign(size, 'x');
    return copy;
  }
};

class CompressTest : public ::testing::Test {
 protected:
  Answer run(const Response& response, FieldList request = {{"Accept-Encoding", "gzip"}}, std::string method = "GET") {
    const Compress filter(options_);
    test::ScriptedBody body(harness_.loop(), {response.body}, test::ScriptedBody::Pace::kAtOnce);
    body.set_content_id(response.content_id);
    const bool head = method == "HEAD";
    const HandlerFunction handler([&](http::Exchange& exchange) {
      exchange.response().status = response.status;
      for (const auto& [name, value] : response.headers) exchange.response().headers.add(name, value);
      if (response.length_known) exchange.response().content_length = response.body.size();
      exchange.respond(head || response.body.empty() ? nullptr : &body);
    });
    return harness_.run({.method = std::move(method), .headers = std::move(request)}, {&filter}, handler);
  }
  bool compresses(const Response& response, FieldList request = {{"Accept-Encoding", "gzip"}}) {
    const Answer answer = run(response, std::move(request));
    EXPECT_TRUE(answer.complete);
    if (answer.header("Content-Encoding") != "gzip") {
      EXPECT_EQ(answer.body, response.body);
      return false;
    }
    EXPECT_EQ(inflate_gzip(answer.body), response.body);
    return true;
  }

  CompressOptions options_;
  ExchangeHarness harness_;
};

TEST_F(CompressTest, TheHeadSaysWhatWasDone) {
  const Answer answer = run({});
  EXPECT_EQ(inflate_gzip(answer.body), kText);
  EXPECT_EQ(answer.header("Content-Encoding"), "gzip");
  EXPECT_EQ(answer.header("Vary"), "Accept-Encoding");
  EXPECT_EQ(answer.header("ETag"), "W/\"v1\"");
  EXPECT_EQ(answer.count("Accept-Ranges"), 0u);
  EXPECT_FALSE(answer.content_length.has_value());
  EXPECT_EQ(answer.header("Content-Type"), "text/plain; charset=utf-8");
}

TEST_F(CompressTest, WhoDoesNotAcceptItIsToldOfTheOtherForm) {
  const Answer answer = run({}, {});
  EXPECT_EQ(answer.body, kText);
  EXPECT_EQ(answer.count("Content-Encoding"), 0u);
  EXPECT_EQ(answer.header("Vary"), "Accept-Encoding");
  EXPECT_EQ(answer.header("ETag"), "\"v1\"");
  EXPECT_EQ(answer.content_length, kText.size());
  EXPECT_EQ(answer.header("Accept-Ranges"), "bytes");
}

TEST_F(CompressTest, AcceptEncodingTable) {
  const auto accepts = [this](std::string value) { return compresses({}, {{"Accept-Encoding", std::move(value)}}); };
  EXPECT_TRUE(accepts("gzip"));
  EXPECT_TRUE(accepts("deflate, gzip;q=1.0, *;q=0.5"));
  EXPECT_TRUE(accepts("*"));
  EXPECT_TRUE(accepts("gzip;q=0.001"));
  EXPECT_FALSE(accepts("gzip;q=0"));
  EXPECT_FALSE(accepts("br"));
  EXPECT_FALSE(accepts(""));
  EXPECT_FALSE(accepts("identity"));
  EXPECT_FALSE(accepts("identity;q=1, gzip;q=0.5"));
}

TEST_F(CompressTest, WhatIsLeftAlone) {
  const Response plain;
  EXPECT_TRUE(compresses(plain.with("Content-Type", "application/json")));
  EXPECT_TRUE(compresses(plain.with("Content-Type", "image/svg+xml")));
  EXPECT_FALSE(compresses(plain.with("Content-Type", "image/png")));
  EXPECT_FALSE(compresses(plain.with("Content-Type", "application/octet-stream")));
  EXPECT_FALSE(compresses(plain.with("Content-Encoding", "br")));
  EXPECT_FALSE(compresses(plain.with("Content-Encoding", "identity")));
  EXPECT_FALSE(compresses(plain.with("Cache-Control", "public, no-transform")));
  EXPECT_TRUE(compresses(plain.with("Cache-Control", "public, max-age=1")));
  EXPECT_FALSE(compresses(plain.with("Set-Cookie", "session=1")));
  Response status = plain;
  status.status = 206;
  EXPECT_FALSE(compresses(status));
  status.status = 404;
  EXPECT_TRUE(compresses(status));
  EXPECT_FALSE(compresses(plain.with("Content-Range", "bytes 0-1/2")));
}

TEST_F(CompressTest, SizeBounds) {
  const Response plain;
  EXPECT_FALSE(compresses(plain.of_size(255)));
  EXPECT_TRUE(compresses(plain.of_size(256)));
  options_.max_bytes = 1000;
  EXPECT_TRUE(compresses(plain.of_size(1000)));
  EXPECT_FALSE(compresses(plain.of_size(1001)));
  Response unknown = plain.of_size(100);
  unknown.length_known = false;
  EXPECT_TRUE(compresses(unknown));
}

TEST_F(CompressTest, Options) {
  options_.with_cookies = true;
  EXPECT_TRUE(compresses(Response().with("Set-Cookie", "session=1")));
  options_.content_types = {"application/x-mine", "image/*"};
  EXPECT_FALSE(compresses(Response()));
  EXPECT_TRUE(compresses(Response().with("Content-Type", "Application/X-Mine; a=b")));
  EXPECT_TRUE(compresses(Response().with("Content-Type", "image/png")));
  EXPECT_FALSE(compresses(Response().with("Content-Type", "imagery/png")));
  options_.content_types = {};
  options_.level = 1;
  const size_t fast = run({}).body.size();
  options_.level = 9;
  EXPECT_LT(run({}).body.size(), fast);
}

TEST_F(CompressTest, HeadGetsTheFieldsOfGet) {
  Response response;
  const Answer get = run(response);
  const Answer head = run(response, {{"Accept-Encoding", "gzip"}}, "HEAD");
  EXPECT_EQ(head.headers, get.headers);
  EXPECT_EQ(head.content_length, get.content_length);
  EXPECT_FALSE(head.has_body);
}

TEST_F(CompressTest, NotModifiedHasTheEtagOfTheFormTheClientHas) {
  Response response;
  response.status = 304;
  response.body.clear();
  response.length_known = false;
  EXPECT_EQ(run(response, {{"Accept-Encoding", "gzip"}, {"If-None-Match", "W/\"v1\""}}).header("ETag"), "W/\"v1\"");
  // Who takes no compressed form would have got the plain 200, whatever it holds.
  EXPECT_EQ(run(response, {{"If-None-Match", "W/\"v1\""}}).header("ETag"), "\"v1\"");
  EXPECT_EQ(run(response, {{"If-None-Match", "\"v1\""}}).header("ETag"), "\"v1\"");
}

TEST_F(CompressTest, VaryIsNotRepeated) {
  EXPECT_EQ(run(Response().with("Vary", "Origin, accept-encoding")).count("Vary"), 1u);
  EXPECT_EQ(run(Response().with("Vary", "*")).count("Vary"), 1u);
  EXPECT_EQ(run(Response().with("Vary", "Origin")).count("Vary"), 2u);
}

TEST_F(CompressTest, ABodyWithANameIsCompressedOnce) {
  Response response;
  response.content_id = 7'000'001;
  const Answer first = run(response);
  EXPECT_FALSE(first.content_length.has_value());
  const Answer second = run(response);
  EXPECT_EQ(second.content_length, second.body.size());
  EXPECT_EQ(second.body, first.body);
  EXPECT_EQ(second.header("ETag"), first.header("ETag"));
  EXPECT_EQ(second.header("Content-Encoding"), "gzip");
  options_.level = 9;
  EXPECT_FALSE(run(response).content_length.has_value());
  response.content_id = 7'000'002;
  response.body += "changed";
  EXPECT_EQ(inflate_gzip(run(response).body), response.body);
}

}  // namespace
}  // namespace headgate::filters
