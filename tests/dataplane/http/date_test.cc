#include "dataplane/http/date.h"

#include <gtest/gtest.h>

#include <ctime>
#include <random>
#include <string>

namespace headgate::http {
namespace {

constexpr int64_t kNow = 1'700'000'000;  // November 2023

std::string written(int64_t seconds) {
  std::string text(kDateSize, ' ');
  EXPECT_EQ(write_date(text.data(), seconds), text.data() + kDateSize);
  return text;
}

TEST(Date, KnownDates) {
  EXPECT_EQ(written(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(written(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(written(-1), "Wed, 31 Dec 1969 23:59:59 GMT");
  EXPECT_EQ(written(1709164800), "Thu, 29 Feb 2024 00:00:00 GMT");
  EXPECT_EQ(written(INT64_MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
  EXPECT_EQ(written(INT64_MIN), "Sat, 01 Jan 0000 00:00:00 GMT");
}

TEST(Date, ThreeForms) {
  EXPECT_EQ(parse_date("Sun, 06 Nov 1994 08:49:37 GMT", kNow), 784111777);
  EXPECT_EQ(parse_date("Sunday, 06-Nov-94 08:49:37 GMT", kNow), 784111777);
  EXPECT_EQ(parse_date("Sun Nov  6 08:49:37 1994", kNow), 784111777);
  EXPECT_EQ(parse_date("Wed Nov 16 08:49:37 1994", kNow), 784111777 + 10 * 86400);
  // Two digits: at most 50 years ahead.
  EXPECT_EQ(civil_time(*parse_date("Friday, 01-Jan-73 00:00:00 GMT", kNow)).year, 2073);
  EXPECT_EQ(civil_time(*parse_date("Friday, 01-Jan-74 00:00:00 GMT", kNow)).year, 1974);
}

TEST(Date, Refused) {
  for (const char* text :
       {"", "Sun", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 +0000",
        "sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 6 Nov 1994 08:49:37 GMT ",
        "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 29 Feb 2023 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT  ", "Sun, +6 Nov 1994 08:49:37 GMT", "Xyz, 06 Nov 1994 08:49:37 GMT",
        "Someday, 06-Nov-94 08:49:37 GMT", "Sun Nov 66 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 GMTx",
        "-1000000000000000000000000"}) {
    EXPECT_EQ(parse_date(text, kNow), std::nullopt) << text;
  }
}

TEST(Date, WrittenDatesParseBack) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20000; ++i) {
    const auto seconds = static_cast<int64_t>(random() % 253402300800ULL);
    EXPECT_EQ(parse_date(written(seconds), kNow), seconds);
    EXPECT_EQ(seconds_of(civil_time(seconds)), seconds);
  }
}

TEST(Date, CivilTimeAgreesWithTheLibrary) {
  std::mt19937_64 random(8);
  for (int i = 0; i < 5000; ++i) {
    const auto seconds = static_cast<std::time_t>(random() % 253402300800ULL) - std::time_t{31067798400};
    std::tm expected{};
    ASSERT_NE(::gmtime_r(&seconds, &expected), nullptr);
    const CivilTime time = civil_time(seconds);
    EXPECT_EQ(time.year, expected.tm_year + 1900);
    EXPECT_EQ(static_cast<int>(time.month), expected.tm_mon + 1);
    EXPECT_EQ(static_cast<int>(time.day), expected.tm_mday);
    EXPECT_EQ(static_cast<int>(time.weekday), expected.tm_wday);
    EXPECT_EQ(static_cast<int>(time.second), expected.tm_sec);
  }
}

TEST(DateCache, ChangesWithTheSecond) {
  FakeClock clock;
  event::Loop loop(clock);
  DateCache cache;
  const std::string first(cache.now(loop));
  EXPECT_EQ(first.size(), kDateSize);
  clock.advance(std::chrono::milliseconds(100));
  loop.run_once(Duration::zero());
  EXPECT_EQ(cache.now(loop), first);
  clock.advance(std::chrono::seconds(1));
  loop.run_once(Duration::zero());
  EXPECT_NE(cache.now(loop), first);
  const int64_t second = std::chrono::floor<std::chrono::seconds>(clock.wall()).time_since_epoch().count();
  EXPECT_EQ(parse_date(cache.now(loop), second), second);
  EXPECT_EQ(cache.iso8601(loop).size(), 25U);
  EXPECT_EQ(cache.log_time(loop).size(), 26U);
  EXPECT_EQ(cache.iso8601(loop)[10], 'T');
  EXPECT_EQ(cache.log_time(loop)[2], '/');
}

}  // namespace
}  // namespace headgate::http
