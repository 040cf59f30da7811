#include "dataplane/handlers/respond.h"

#include <gtest/gtest.h>

#include "tests/support/exchange_harness.h"

namespace headgate::handlers {
namespace {

using test::Answer;
using test::ExchangeHarness;
using test::RequestText;

Answer run(const RespondOptions& options, const RequestText& request = {}) {
  std::string why;
  const auto handler = Respond::create(options, &why);
  EXPECT_TRUE(handler.has_value()) << why;
  ExchangeHarness harness;
  return harness.run(request, {}, **handler);
}

TEST(Respond, StatusFieldsAndBody) {
  const Answer answer =
      run({.status = 418, .headers = {{"X-Path", "$uri"}, {"Set-Cookie", "a"}, {"Set-Cookie", "b"}}, .body = "$uri tea"},
          {.target = "/pot"});
  EXPECT_EQ(answer.status, 418);
  EXPECT_EQ(answer.body, "$uri tea");
  EXPECT_EQ(answer.content_length, 8u);
  EXPECT_EQ(answer.header("X-Path"), "/pot");
  EXPECT_EQ(answer.count("Set-Cookie"), 2u);
  EXPECT_EQ(answer.header("Content-Type"), "text/plain; charset=utf-8");
}

TEST(Respond, BodiesOfAllSizesOutliveTheHandler) {
  for (const size_t size : {0, 1, 4096, 4097, 1'000'000}) {
    auto handler = *Respond::create({.body = std::string(size, 'x')});
    ExchangeHarness harness;
    harness.pull_at_once = false;
    harness.begin({}, {}, *handler);
    handler.reset();  // the Snapshot may go once the head is sent
    while (!harness.ended()) harness.pull();
    const Answer answer = harness.end();
    EXPECT_EQ(answer.content_length, size);
    EXPECT_EQ(answer.body, std::string(size, 'x'));
  }
}

TEST(Respond, ExpandsTheBodyWhenAsked) {
  EXPECT_EQ(run({.body = "Hello $client_ip, $$5", .expand_body = true}).body, "Hello 192.0.2.1, $5");
  EXPECT_EQ(run({.headers = {{"content-type", "text/html"}}, .body = "<p>"}).header("Content-Type"), "text/html");
}

TEST(Respond, WithoutContent) {
  const Answer answer = run({.status = 204});
  EXPECT_FALSE(answer.has_body);
  EXPECT_FALSE(answer.content_length.has_value());
  const Answer head = run({.body = "text"}, {.method = "HEAD"});
  EXPECT_FALSE(head.has_body);
  EXPECT_EQ(head.content_length, 4u);
}

TEST(Respond, RefusedOptions) {
  const RespondOptions refused[] = {
      {.status = 199},
      {.status = 600},
      {.status = 204, .body = "x"},
      {.headers = {{"Content-Length", "1"}}},
      {.headers = {{"X", "$nothing"}}},
      {.body = "$nothing", .expand_body = true},
  };
  for (const RespondOptions& options : refused) {
    std::string why;
    EXPECT_FALSE(Respond::create(options, &why).has_value());
    EXPECT_FALSE(why.empty());
  }
}

}  // namespace
}  // namespace headgate::handlers
