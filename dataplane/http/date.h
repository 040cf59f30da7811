// date.h -- dates in HTTP fields: IMF-fixdate out; in also the two obsolete forms. Made once a second per worker.
// Spec: RFC 9110 5.6.7.   Unit: whole seconds since 1970-01-01 UTC.   Thread: functions any, DateCache its worker.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "dataplane/event/loop.h"

namespace headgate::http {

inline constexpr size_t kDateSize = 29;  // "Sun, 06 Nov 1994 08:49:37 GMT"

// Writes the date at `into` (room for kDateSize) and returns its end. Years are clamped to 0000..9999.
char* write_date(char* into, int64_t seconds);

// Any of the three forms; no value when it is none of them or names no real day. Two-digit years are those of the
// 99 years before and the 50 years after `now` (RFC 9110 5.6.7).
std::optional<int64_t> parse_date(std::string_view text, int64_t now);

// Calendar fields in UTC; proleptic Gregorian.
struct CivilTime {
  int64_t year = 1970;
  uint32_t month = 1;  // 1..12
  uint32_t day = 1;    // 1..31
  uint32_t hour = 0;
  uint32_t minute = 0;
  uint32_t second = 0;
  uint32_t weekday = 4;  // 0 is Sunday
};
CivilTime civil_time(int64_t seconds);
int64_t seconds_of(const CivilTime& time);

// Texts of the current second. Views are valid until the next call of the same function.
class DateCache {
 public:
  // For the Date field.
  std::string_view now(event::Loop& loop);
  // "2024-02-29T12:00:00+00:00" and "29/Feb/2024:12:00:00 +0000" in the local time zone, for access logs.
  std::string_view iso8601(event::Loop& loop);
  std::string_view log_time(event::Loop& loop);

 private:
  void refresh_local(int64_t second);

  int64_t second_ = INT64_MIN;
  int64_t local_second_ = INT64_MIN;
  std::array<char, kDateSize> date_{};
  std::array<char, 25> iso8601_{};
  std::array<char, 26> log_time_{};
};

}  // namespace headgate::http
