#include "dataplane/filters/bandwidth.h"

#include <gtest/gtest.h>

#include "tests/support/exchange_harness.h"

namespace headgate::filters {
namespace {

using test::ExchangeHarness;
using test::HandlerFunction;

TEST(Bandwidth, FirstAtFullSpeedThenEvenly) {
  const std::string text(30'000, 'x');
  const HandlerFunction handler(
      [&](http::Exchange& exchange) { exchange.respond_text(200, "text/plain", text); });
  const Bandwidth filter(10'000, 5'000);
  ExchangeHarness harness;
  harness.begin({}, {&filter}, handler);
  EXPECT_LE(harness.answer().body.size(), 5'000u + 2'500u);
  EXPECT_GE(harness.answer().body.size(), 5'000u);
  size_t before = harness.answer().body.size();
  for (int quarter = 0; quarter < 40 && !harness.ended(); ++quarter) {
    harness.clock().advance(std::chrono::milliseconds(250));
    harness.turn();
    EXPECT_LE(harness.answer().body.size() - before, 2'500u);
    before = harness.answer().body.size();
    if (quarter == 4) {
      EXPECT_GE(before, 5'000u + 4 * 2'500u);
    }
  }
  EXPECT_TRUE(harness.ended());
  EXPECT_EQ(harness.answer().body, text);
}

}  // namespace
}  // namespace headgate::filters
