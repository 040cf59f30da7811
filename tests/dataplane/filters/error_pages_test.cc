#include "dataplane/filters/error_pages.h"

#include <gtest/gtest.h>

#include "dataplane/http/error_response.h"
#include "tests/support/exchange_harness.h"

namespace headgate::filters {
namespace {

using test::Answer;
using test::ExchangeHarness;
using test::HandlerFunction;

HandlerFunction answering(uint16_t status, bool from_upstream) {
  return HandlerFunction([=](http::Exchange& exchange) {
    if (from_upstream) exchange.upstream_status = status;
    exchange.response().headers.set("X-App", "1");
    exchange.respond_text(status, "text/plain", "as it was");
  });
}

// Answers before the handler is asked.
class Denial final : public http::Filter {
 public:
  http::FilterRun* start(http::Exchange& exchange, WorkerContext&) const override {
    http::write_status_response(exchange, 403);
    return nullptr;
  }
};

TEST(ErrorPages, AFixedText) {
  const ErrorPages pages({.statuses = {404, 503}, .slot = {}, .body = "<p>lost</p>", .request_fields = {}});
  ExchangeHarness harness;
  for (const bool from_upstream : {true, false}) {
    const Answer answer = harness.run({}, {&pages}, answering(404, from_upstream));
    EXPECT_EQ(answer.status, 404);
    EXPECT_EQ(answer.body, "<p>lost</p>");
    EXPECT_EQ(answer.header("Content-Type"), "text/html");
    EXPECT_EQ(answer.count("X-App"), 0U);
    EXPECT_TRUE(answer.complete);
  }
  EXPECT_EQ(harness.run({}, {&pages}, answering(500, true)).body, "as it was");
}

TEST(ErrorPages, OwnAnswersOnly) {
  const ErrorPages pages(
      {.statuses = {404}, .slot = {}, .body = "page", .upstream_errors = false, .request_fields = {}});
  ExchangeHarness harness;
  EXPECT_EQ(harness.run({}, {&pages}, answering(404, true)).body, "as it was");
  EXPECT_EQ(harness.run({}, {&pages}, answering(404, false)).body, "page");
}

TEST(ErrorPages, WhatAnotherFilterDenies) {
  const ErrorPages pages({.statuses = {403}, .slot = {}, .body = "page", .request_fields = {}});
  const Denial denial;
  ExchangeHarness harness;
  int handled = 0;
  const HandlerFunction handler([&handled](http::Exchange&) { ++handled; });
  const Answer answer = harness.run({}, {&pages, &denial}, handler);
  EXPECT_EQ(answer.status, 403);
  EXPECT_EQ(answer.body, "page");
  EXPECT_EQ(handled, 0);
}

}  // namespace
}  // namespace headgate::filters
