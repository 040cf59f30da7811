#include "dataplane/filters/cors.h"

#include <gtest/gtest.h>

#include "tests/support/exchange_harness.h"

namespace headgate::filters {
namespace {

using test::Answer;
using test::ExchangeHarness;
using test::HandlerFunction;
using test::RequestText;

const HandlerFunction kGreeting([](http::Exchange& exchange) {
  exchange.response().headers.add("Access-Control-Allow-Origin", "https://backend.example");
  exchange.respond_text(200, "text/plain", "hello");
});

OriginMatch origin(OriginMatch::Kind kind, std::string text) {
  OriginMatch match{.kind = kind, .text = std::move(text)};
  if (kind == OriginMatch::Kind::kRegex) match.regex = *Regex::compile(match.text);
  return match;
}

CorsOptions shop_options() {
  CorsOptions options;
  options.allow_origins.push_back(origin(OriginMatch::Kind::kExact, "https://www.foo.com"));
  options.allow_origins.push_back(origin(OriginMatch::Kind::kWildcard, "https://*.bar.com"));
  options.allow_methods = {"GET", "OPTIONS"};
  options.allow_headers = {"X-One", "X-Two"};
  options.expose_headers = {"X-Three"};
  options.max_age_s = 3600;
  return options;
}

RequestText preflight(std::string from) {
  return {.method = "OPTIONS",
          .headers = {{"Origin", std::move(from)},
                      {"Access-Control-Request-Method", "PUT"},
                      {"Access-Control-Request-Headers", "x-four, x-five"}}};
}

TEST(Cors, AnswersAPreflightOfAnAllowedOrigin) {
  ExchangeHarness harness;
  const Cors cors(shop_options());
  for (const char* from : {"https://www.foo.com", "https://a.bar.com", "https://a.b.bar.com"}) {
    const Answer answer = harness.run(preflight(from), {&cors}, kGreeting);
    EXPECT_EQ(answer.status, 204);
    EXPECT_EQ(answer.header("Access-Control-Allow-Origin"), from);
    EXPECT_EQ(answer.header("Access-Control-Allow-Methods"), "GET, OPTIONS");
    EXPECT_EQ(answer.header("Access-Control-Allow-Headers"), "X-One, X-Two");
    EXPECT_EQ(answer.header("Access-Control-Expose-Headers"), "X-Three");
    EXPECT_EQ(answer.header("Access-Control-Max-Age"), "3600");
    EXPECT_EQ(answer.header("Vary"), "Origin");
    EXPECT_EQ(answer.count("Access-Control-Allow-Credentials"), 0u);
    EXPECT_FALSE(answer.has_body);
  }
}

TEST(Cors, APreflightOfAnotherOriginGetsNoFieldsAndDoesNotReachTheHandler) {
  ExchangeHarness harness;
  const Cors cors(shop_options());
  for (const char* from : {"https://evil.com", "https://www.foo.com.evil.com", "http://www.foo.com", "https://bar.com",
                           "https://.bar.com.evil.com", "https://evil.com/x.bar.com", "https://evil.com#.bar.com",
                           "https://www.foo.com:8443", "null"}) {
    const Answer answer = harness.run(preflight(from), {&cors}, kGreeting);
    EXPECT_EQ(answer.status, 204) << from;
    EXPECT_EQ(answer.count("Access-Control-Allow-Origin"), 0u) << from;
    EXPECT_EQ(answer.count("Access-Control-Allow-Methods"), 0u) << from;
  }
}

TEST(Cors, ActualRequestsPassAndTheHandlersFieldsAreReplaced) {
  ExchangeHarness harness;
  const Cors cors(shop_options());
  Answer answer = harness.run({.headers = {{"Origin", "https://www.foo.com"}}}, {&cors}, kGreeting);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "hello");
  EXPECT_EQ(answer.count("Access-Control-Allow-Origin"), 1u);
  EXPECT_EQ(answer.header("Access-Control-Allow-Origin"), "https://www.foo.com");
  EXPECT_EQ(answer.header("Access-Control-Expose-Headers"), "X-Three");
  EXPECT_EQ(answer.count("Access-Control-Max-Age"), 0u);
  answer = harness.run({.headers = {{"Origin", "https://evil.com"}}}, {&cors}, kGreeting);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.count("Access-Control-Allow-Origin"), 0u);
  answer = harness.run({}, {&cors}, kGreeting);
  EXPECT_EQ(answer.count("Access-Control-Allow-Origin"), 0u);
  EXPECT_EQ(answer.header("Vary"), "Origin");
}

TEST(Cors, OptionsWithoutARequestedMethodIsNoPreflight) {
  ExchangeHarness harness;
  const Cors cors(shop_options());
  const Answer answer =
      harness.run({.method = "OPTIONS", .headers = {{"Origin", "https://www.foo.com"}}}, {&cors}, kGreeting);
  EXPECT_EQ(answer.status, 200);
}

TEST(Cors, StarsWithCredentialsAreEchoed) {
  ExchangeHarness harness;
  CorsOptions options;
  options.allow_methods = {"*"};
  options.allow_headers = {"*"};
  options.allow_credentials = true;
  options.allow_any_literal = true;  // must not win over credentials
  const Cors cors(std::move(options));
  const Answer answer = harness.run(preflight("https://any.example:444"), {&cors}, kGreeting);
  EXPECT_EQ(answer.header("Access-Control-Allow-Origin"), "https://any.example:444");
  EXPECT_EQ(answer.header("Access-Control-Allow-Methods"), "PUT");
  EXPECT_EQ(answer.header("Access-Control-Allow-Headers"), "x-four, x-five");
  EXPECT_EQ(answer.header("Access-Control-Allow-Credentials"), "true");
  EXPECT_EQ(answer.header("Vary"), "Origin");
}

TEST(Cors, ALiteralStarDoesNotVary) {
  ExchangeHarness harness;
  CorsOptions options;
  options.allow_any_literal = true;
  const Cors cors(std::move(options));
  const Answer answer = harness.run({.headers = {{"Origin", "https://any.example"}}}, {&cors}, kGreeting);
  EXPECT_EQ(answer.header("Access-Control-Allow-Origin"), "*");
  EXPECT_EQ(answer.count("Vary"), 0u);
}

TEST(Cors, KindsOfOrigins) {
  using Kind = OriginMatch::Kind;
  EXPECT_TRUE(origin(Kind::kExact, "https://a.example").matches("HTTPS://A.example"));
  EXPECT_TRUE(origin(Kind::kPrefix, "https://a.").matches("https://a.example"));
  EXPECT_FALSE(origin(Kind::kPrefix, "https://a.").matches("https://"));
  EXPECT_TRUE(origin(Kind::kSuffix, ".example").matches("https://a.example"));
  EXPECT_FALSE(origin(Kind::kSuffix, ".example").matches("https://a.example.evil"));
  EXPECT_TRUE(origin(Kind::kRegex, "https://[a-c]\\.example").matches("https://b.example"));
  EXPECT_FALSE(origin(Kind::kRegex, "https://[a-c]\\.example").matches("https://b.example.evil"));
  EXPECT_TRUE(origin(Kind::kWildcard, "*").matches("null"));
}

}  // namespace
}  // namespace headgate::filters
