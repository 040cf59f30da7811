#include "dataplane/handlers/echo.h"

#include <gtest/gtest.h>

#include "tests/support/exchange_harness.h"

namespace headgate::handlers {
namespace {

using test::Answer;
using test::ExchangeHarness;
using Pace = test::ScriptedBody::Pace;

TEST(Echo, GivesTheBodyBack) {
  for (const Pace pace : {Pace::kAtOnce, Pace::kLater}) {
    for (const bool chunked : {false, true}) {
      ExchangeHarness harness;
      harness.request_pace = pace;
      const Answer answer = harness.run({.method = "POST",
                                         .headers = {{"Content-Type", "application/json"}},
                                         .body = {"{", "\"a\":1", "}"},
                                         .chunked = chunked,
                                         .trailers = {{"X-Sum", "7"}}},
                                        {}, Echo());
      EXPECT_EQ(answer.status, 200);
      EXPECT_EQ(answer.body, "{\"a\":1}");
      EXPECT_EQ(answer.chunk_sizes, (std::vector<size_t>{1, 5, 1}));
      EXPECT_EQ(answer.header("Content-Type"), "application/json");
      EXPECT_EQ(answer.content_length, chunked ? std::nullopt : std::optional<uint64_t>(7));
      EXPECT_EQ(answer.trailers, (test::FieldList{{"X-Sum", "7"}}));
    }
  }
}

TEST(Echo, WithoutABody) {
  ExchangeHarness harness;
  EXPECT_EQ(harness.run({}, {}, Echo()).content_length, 0u);
  const Answer empty = harness.run({.method = "POST", .has_body = true, .chunked = true}, {}, Echo());
  EXPECT_EQ(empty.status, 200);
  EXPECT_EQ(empty.content_length, 0u);
}

TEST(Echo, PullsOneChunkAhead) {
  ExchangeHarness harness;
  harness.pull_at_once = false;
  harness.begin({.method = "POST", .body = {"a", "b", "c"}}, {}, Echo());
  EXPECT_EQ(harness.request_body()->pulls(), 1u);
  harness.pull();
  EXPECT_EQ(harness.request_body()->pulls(), 1u);
  harness.pull();
  EXPECT_EQ(harness.request_body()->pulls(), 2u);
}

TEST(Echo, AnErrorBeforeTheHeadIsAStatusAfterItNoCleanEnd) {
  ExchangeHarness harness;
  const Answer early = harness.run({.method = "POST", .has_body = true, .chunked = true, .body_fails = true}, {}, Echo());
  EXPECT_TRUE(early.head);
  EXPECT_GE(early.status, 400);
  const Answer late =
      harness.run({.method = "POST", .body = {"part"}, .chunked = true, .body_fails = true}, {}, Echo());
  EXPECT_EQ(late.status, 200);
  EXPECT_TRUE(late.failed);
  EXPECT_FALSE(late.complete);
}

}  // namespace
}  // namespace headgate::handlers
