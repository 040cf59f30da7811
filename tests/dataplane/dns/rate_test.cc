#include "dataplane/dns/rate.h"

#include <gtest/gtest.h>

namespace headgate::dns {
namespace {

constexpr MonotonicTime kBegin{std::chrono::hours(1)};

struct Counts {
  int sent = 0, slipped = 0, dropped = 0;
};

Counts flood(RateLimiter& limiter, const IpAddress& client, Outcome outcome, MonotonicTime from, int count,
             std::chrono::nanoseconds gap) {
  Counts counts;
  for (int i = 0; i < count; ++i) {
    switch (limiter.check(client, outcome, from + i * gap)) {
      case RateVerdict::kSend: ++counts.sent; break;
      case RateVerdict::kSlip: ++counts.slipped; break;
      case RateVerdict::kDrop: ++counts.dropped; break;
    }
  }
  return counts;
}

TEST(Rate, SendsTheRateAndSlipsHalfOfTheRest) {
  RateLimiter limiter;
  const IpAddress client = IpAddress::v4(0xc0000201);
  // 1,000 a second for ten seconds: a second's burst, then 100 a second.
  const Counts counts = flood(limiter, client, Outcome::kAnswer, kBegin, 10000, std::chrono::milliseconds(1));
  EXPECT_NEAR(counts.sent, 1100, 5);
  EXPECT_NEAR(counts.slipped, counts.dropped, 2);
  // Below the rate nothing is lost, and the flood leaves no debt.
  const MonotonicTime later = kBegin + std::chrono::seconds(12);
  EXPECT_EQ(flood(limiter, client, Outcome::kAnswer, later, 1000, std::chrono::milliseconds(10)).sent, 1000);
}

TEST(Rate, CountsByNetworkAndClass) {
  RateLimiter limiter;
  const auto spend = [&](const char* client, Outcome outcome) {
    return flood(limiter, *IpAddress::parse(client), outcome, kBegin, 100, std::chrono::nanoseconds(0)).sent;
  };
  EXPECT_EQ(spend("192.0.2.1", Outcome::kAnswer), 100);
  EXPECT_EQ(spend("192.0.2.200", Outcome::kAnswer), 0);  // the same /24
  EXPECT_EQ(spend("192.0.3.1", Outcome::kAnswer), 100);
  EXPECT_EQ(spend("192.0.2.1", Outcome::kNxDomain), 100);
  EXPECT_EQ(spend("2001:db8:0:1::1", Outcome::kAnswer), 100);
  EXPECT_EQ(spend("2001:db8:0:2::1", Outcome::kAnswer), 0);  // the same /56
  EXPECT_EQ(spend("2001:db8:0:100::1", Outcome::kAnswer), 100);
}

TEST(Rate, ErrorsAreFewAndNeverSlip) {
  RateLimiter limiter;
  for (const Outcome outcome : {Outcome::kFormErr, Outcome::kNotImp, Outcome::kBadVers}) {
    const Counts counts =
        flood(limiter, IpAddress::v4(static_cast<uint32_t>(outcome) << 16), outcome, kBegin, 1000, {});
    EXPECT_EQ(counts.sent, 10);
    EXPECT_EQ(counts.slipped, 0);
  }
}

TEST(Rate, OptionsCount) {
  RateLimiter off(RateLimiter::Options{.per_second = 0, .errors_per_second = 0});
  EXPECT_EQ(flood(off, IpAddress(), Outcome::kAnswer, kBegin, 5000, {}).sent, 5000);
  EXPECT_EQ(flood(off, IpAddress(), Outcome::kFormErr, kBegin, 5000, {}).sent, 5000);
  RateLimiter silent(RateLimiter::Options{.per_second = 5, .slip = 0});
  EXPECT_EQ(flood(silent, IpAddress(), Outcome::kAnswer, kBegin, 100, {}).dropped, 95);
  RateLimiter open(RateLimiter::Options{.per_second = 5, .slip = 1});
  EXPECT_EQ(flood(open, IpAddress(), Outcome::kAnswer, kBegin, 100, {}).slipped, 95);
}

TEST(Rate, AFullTableForgetsTheOldest) {
  RateLimiter limiter(RateLimiter::Options{.per_second = 1, .entries = 4});
  EXPECT_EQ(limiter.check(IpAddress::v4(0), Outcome::kAnswer, kBegin), RateVerdict::kSend);
  EXPECT_NE(limiter.check(IpAddress::v4(0), Outcome::kAnswer, kBegin), RateVerdict::kSend);
  for (uint32_t i = 1; i <= 4; ++i) {
    EXPECT_EQ(limiter.check(IpAddress::v4(i << 8), Outcome::kAnswer, kBegin + std::chrono::milliseconds(i)),
              RateVerdict::kSend);
  }
  EXPECT_EQ(limiter.check(IpAddress::v4(0), Outcome::kAnswer, kBegin), RateVerdict::kSend);
}

TEST(Rate, NeverAnswersCertainSources) {
  const auto parse = [](const char* text) { return *SocketAddress::parse(text); };
  const SocketAddress local = parse("192.0.2.53:53");
  for (const uint16_t port : {0, 7, 11, 13, 17, 19, 37, 69, 123, 137, 161, 389, 11211}) {
    EXPECT_FALSE(may_answer(SocketAddress::ip(*IpAddress::parse("198.51.100.1"), port), local)) << port;
  }
  for (const uint16_t port : {53, 853, 1024, 1900, 5353, 40000, 65535}) {
    EXPECT_TRUE(may_answer(SocketAddress::ip(*IpAddress::parse("198.51.100.1"), port), local)) << port;
  }
  EXPECT_FALSE(may_answer(local, local));
  EXPECT_TRUE(may_answer(parse("192.0.2.53:5353"), local));
  EXPECT_FALSE(may_answer(parse("127.0.0.1:53"), parse(":53")));
  EXPECT_TRUE(may_answer(parse("127.0.0.1:54"), parse(":53")));
}

}  // namespace
}  // namespace headgate::dns
