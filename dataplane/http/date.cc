#include "dataplane/http/date.h"

#include <algorithm>
#include <cstring>
#include <ctime>

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"

namespace headgate::http {

namespace {

constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
constexpr int64_t kDaySeconds = 86400;
constexpr int64_t kMaxSeconds = 253402300799;   // 9999-12-31T23:59:59Z
constexpr int64_t kMinSeconds = -62167219200;   // 0000-01-01T00:00:00Z

char* write_two(char* into, uint32_t value) {
  into[0] = static_cast<char>('0' + value / 10 % 10);
  into[1] = static_cast<char>('0' + value % 10);
  return into + 2;
}
char* write_four(char* into, int64_t value) {
  return write_two(write_two(into, static_cast<uint32_t>(value / 100)), static_cast<uint32_t>(value % 100));
}
char* write_text(char* into, std::string_view text) {
  std::memcpy(into, text.data(), text.size());
  return into + text.size();
}
char* write_clock(char* into, uint32_t hour, uint32_t minute, uint32_t second) {
  into = write_two(into, hour);
  *into++ = ':';
  into = write_two(into, minute);
  *into++ = ':';
  return write_two(into, second);
}

// Days since 1970-01-01; years run from March so that the leap day comes last.
int64_t days_of(int64_t year, uint32_t month, uint32_t day) {
  const int64_t shifted = month <= 2 ? year - 1 : year;
  const int64_t era = (shifted >= 0 ? shifted : shifted - 399) / 400;
  const int64_t year_of_era = shifted - era * 400;
  const int64_t day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

uint32_t days_in_month(int64_t year, uint32_t month) {
  constexpr std::array<uint32_t, 12> kLengths = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : kLengths[month - 1];
}

// Reads fixed parts off the front of a text; stays failed.
class DateReader {
 public:
  explicit DateReader(std::string_view text) : rest_(text) {}

  void literal(std::string_view expected) {
    if (!rest_.starts_with(expected)) {
      ok_ = false;
      return;
    }
    rest_.remove_prefix(expected.size());
  }
  uint32_t number(size_t digits) {
    if (rest_.size() < digits) {
      ok_ = false;
      return 0;
    }
    const auto value = parse_decimal<uint32_t>(rest_.substr(0, digits));
    rest_.remove_prefix(digits);
    if (!value) ok_ = false;
    return value.value_or(0);
  }
  // Day of the month padded with a space (asctime).
  uint32_t padded_day() {
    if (!rest_.starts_with(' ')) return number(2);
    rest_.remove_prefix(1);
    return number(1);
  }
  // Names are case-sensitive (RFC 9110 5.6.7).
  uint32_t month() {
    if (rest_.size() >= 3) {
      for (uint32_t i = 0; i < 12; ++i) {
        if (rest_.substr(0, 3) == kMonths.substr(i * 3, 3)) {
          rest_.remove_prefix(3);
          return i + 1;
        }
      }
    }
    ok_ = false;
    return 1;
  }
  void clock(CivilTime& time) {
    time.hour = number(2);
    literal(":");
    time.minute = number(2);
    literal(":");
    time.second = number(2);
  }
  [[nodiscard]] bool done() const { return ok_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

bool is_day_name(std::string_view text) {
  for (size_t i = 0; i < 7; ++i) {
    if (text == kDays.substr(i * 3, 3)) return true;
  }
  return false;
}

int64_t full_year(uint32_t two_digits, int64_t now) {
  const int64_t this_year = civil_time(now).year;
  int64_t year = this_year - this_year % 100 + two_digits;
  if (year > this_year + 50) year -= 100;
  if (year <= this_year - 50) year += 100;
  return year;
}

}  // namespace

CivilTime civil_time(int64_t seconds) {
  CivilTime time;
  int64_t days = seconds / kDaySeconds;
  int64_t second = seconds % kDaySeconds;
  if (second < 0) {
    second += kDaySeconds;
    --days;
  }
  time.hour = static_cast<uint32_t>(second / 3600);
  time.minute = static_cast<uint32_t>(second / 60 % 60);
  time.second = static_cast<uint32_t>(second % 60);
  time.weekday = static_cast<uint32_t>(((days % 7) + 11) % 7);  // day 0 was a Thursday
  const int64_t shifted = days + 719468;
  const int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
  const int64_t day_of_era = shifted - era * 146097;
  const int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t month = (5 * day_of_year + 2) / 153;  // 0 is March
  time.day = static_cast<uint32_t>(day_of_year - (153 * month + 2) / 5 + 1);
  time.month = static_cast<uint32_t>(month < 10 ? month + 3 : month - 9);
  time.year = year_of_era + era * 400 + (time.month <= 2 ? 1 : 0);
  return time;
}

int64_t seconds_of(const CivilTime& time) {
  return days_of(time.year, time.month, time.day) * kDaySeconds + int64_t{time.hour} * 3600 +
         int64_t{time.minute} * 60 + time.second;
}

char* write_date(char* into, int64_t seconds) {
  const CivilTime time = civil_time(std::clamp(seconds, kMinSeconds, kMaxSeconds));
  into = write_text(into, kDays.substr(time.weekday * 3, 3));
  into = write_text(into, ", ");
  into = write_two(into, time.day);
  *into++ = ' ';
  into = write_text(into, kMonths.substr((time.month - 1) * 3, 3));
  *into++ = ' ';
  into = write_four(into, time.year);
  *into++ = ' ';
  into = write_clock(into, time.hour, time.minute, time.second);
  return write_text(into, " GMT");
}

std::optional<int64_t> parse_date(std::string_view text, int64_t now) {
  if (text.size() < 24) return std::nullopt;
  CivilTime time;
  const size_t comma = text.find(',');
  if (comma == std::string_view::npos) {  // "Sun Nov  6 08:49:37 1994"
    if (!is_day_name(text.substr(0, 3))) return std::nullopt;
    DateReader reader(text.substr(3));
    reader.literal(" ");
    time.month = reader.month();
    reader.literal(" ");
    time.day = reader.padded_day();
    reader.literal(" ");
    reader.clock(time);
    reader.literal(" ");
    time.year = reader.number(4);
    if (!reader.done()) return std::nullopt;
  } else if (comma == 3) {  // "Sun, 06 Nov 1994 08:49:37 GMT"
    if (!is_day_name(text.substr(0, 3))) return std::nullopt;
    DateReader reader(text.substr(4));
    reader.literal(" ");
    time.day = reader.number(2);
    reader.literal(" ");
    time.month = reader.month();
    reader.literal(" ");
    time.year = reader.number(4);
    reader.literal(" ");
    reader.clock(time);
    reader.literal(" GMT");
    if (!reader.done()) return std::nullopt;
  } else {  // "Sunday, 06-Nov-94 08:49:37 GMT"
    constexpr std::array<std::string_view, 7> kLongDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                           "Thursday", "Friday", "Saturday"};
    if (std::find(kLongDays.begin(), kLongDays.end(), text.substr(0, comma)) == kLongDays.end()) return std::nullopt;
    DateReader reader(text.substr(comma + 1));
    reader.literal(" ");
    time.day = reader.number(2);
    reader.literal("-");
    time.month = reader.month();
    reader.literal("-");
    time.year = full_year(reader.number(2), now);
    reader.literal(" ");
    reader.clock(time);
    reader.literal(" GMT");
    if (!reader.done()) return std::nullopt;
  }
  if (time.day == 0 || time.day > days_in_month(time.year, time.month)) return std::nullopt;
  if (time.hour > 23 || time.minute > 59 || time.second > 60) return std::nullopt;  // 60: a leap second
  return seconds_of(time);
}

std::string_view DateCache::now(event::Loop& loop) {
  const int64_t second = std::chrono::floor<std::chrono::seconds>(loop.wall()).time_since_epoch().count();
  if (second != second_) {
    second_ = second;
    write_date(date_.data(), second);
  }
  return {date_.data(), date_.size()};
}

std::string_view DateCache::iso8601(event::Loop& loop) {
  refresh_local(std::chrono::floor<std::chrono::seconds>(loop.wall()).time_since_epoch().count());
  return {iso8601_.data(), iso8601_.size()};
}

std::string_view DateCache::log_time(event::Loop& loop) {
  refresh_local(std::chrono::floor<std::chrono::seconds>(loop.wall()).time_since_epoch().count());
  return {log_time_.data(), log_time_.size()};
}

void DateCache::refresh_local(int64_t second) {
  if (second == local_second_) return;
  local_second_ = second;
  // localtime_r knows the offset in force now; the calendar is ours.
  const auto when = static_cast<std::time_t>(second);
  std::tm local{};
  const int64_t offset = ::localtime_r(&when, &local) == nullptr ? 0 : local.tm_gmtoff;
  const CivilTime time = civil_time(std::clamp(second + offset, kMinSeconds, kMaxSeconds));
  const auto minutes = static_cast<uint32_t>((offset < 0 ? -offset : offset) / 60);
  const char sign = offset < 0 ? '-' : '+';

  char* at = write_four(iso8601_.data(), time.year);
  *at++ = '-';
  at = write_two(at, time.month);
  *at++ = '-';
  at = write_two(at, time.day);
  *at++ = 'T';
  at = write_clock(at, time.hour, time.minute, time.second);
  *at++ = sign;
  at = write_two(at, minutes / 60);
  *at++ = ':';
  write_two(at, minutes % 60);

  at = write_two(log_time_.data(), time.day);
  *at++ = '/';
  at = write_text(at, kMonths.substr((time.month - 1) * 3, 3));
  *at++ = '/';
  at = write_four(at, time.year);
  *at++ = ':';
  at = write_clock(at, time.hour, time.minute, time.second);
  *at++ = ' ';
  *at++ = sign;
  at = write_two(at, minutes / 60);
  write_two(at, minutes % 60);
}

}  // namespace headgate::http
