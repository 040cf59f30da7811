#include "dataplane/http/range.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"

namespace headgate::http {

namespace {

// A number too large for 64 bits is just larger than any size; nullopt: not a number.
std::optional<uint64_t> parse_position(std::string_view text) {
  if (text.empty()) return std::nullopt;
  for (const char c : text) {
    if (!is_digit(c)) return std::nullopt;
  }
  return parse_decimal<uint64_t>(text).value_or(UINT64_MAX);
}

}  // namespace

bool RangeSet::add(ByteRange range) {
  if (count_ == kMaxRanges) return false;
  for (const ByteRange& other : ranges()) {
    if (range.first <= other.last && other.first <= range.last) return false;
  }
  ranges_[count_++] = range;
  return true;
}

RangeSet RangeSet::parse(std::string_view value, uint64_t size) {
  constexpr std::string_view kUnit = "bytes=";
  RangeSet set;
  if (!starts_with_ignore_case(value, kUnit)) return set;
  std::string_view rest = value.substr(kUnit.size());
  size_t asked = 0;
  while (const auto element = next_list_element(rest)) {
    // R11: a request for many ranges costs us more than it costs who asks.
    if (++asked > kMaxRanges) return RangeSet();
    const size_t dash = element->find('-');
    if (dash == std::string_view::npos) return RangeSet();
    const std::string_view before = trim(element->substr(0, dash));
    const std::string_view after = trim(element->substr(dash + 1));
    ByteRange range;
    if (before.empty()) {
      const auto suffix = parse_position(after);
      if (!suffix) return RangeSet();
      if (*suffix == 0 || size == 0) continue;  // unsatisfiable
      range = {*suffix >= size ? 0 : size - *suffix, size - 1};
    } else {
      const auto first = parse_position(before);
      const auto last = after.empty() ? std::optional<uint64_t>(UINT64_MAX) : parse_position(after);
      if (!first || !last || *last < *first) return RangeSet();
      if (*first >= size) continue;  // unsatisfiable
      range = {*first, std::min(*last, size - 1)};
    }
    if (!set.add(range)) return RangeSet();
  }
  if (asked == 0) return set;
  set.kind_ = set.count_ > 0 ? Kind::kRanges : Kind::kUnsatisfiable;
  return set;
}

char* write_content_range(char* into, const ByteRange& range, uint64_t size) {
  std::memcpy(into, "bytes ", 6);
  into = write_decimal(into + 6, range.first);
  *into++ = '-';
  into = write_decimal(into, range.last);
  *into++ = '/';
  return write_decimal(into, size);
}

char* write_unsatisfied_range(char* into, uint64_t size) {
  std::memcpy(into, "bytes */", 8);
  return write_decimal(into + 8, size);
}

}  // namespace headgate::http
