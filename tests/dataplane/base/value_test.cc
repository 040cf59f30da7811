// result, error, number, text, bytes, clock and hash: the small values that everything is made of.
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <random>
#include <set>
#include <string>

#include "dataplane/base/bytes.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/number.h"
#include "dataplane/base/result.h"
#include "dataplane/base/text.h"

namespace headgate {
namespace {

// ---- result ----

struct Counted {
  static inline int alive = 0;
  int value = 0;
  explicit Counted(int v) : value(v) { ++alive; }
  Counted(const Counted& other) : value(other.value) { ++alive; }
  Counted(Counted&& other) noexcept : value(std::exchange(other.value, -1)) { ++alive; }
  Counted& operator=(const Counted&) = default;
  ~Counted() { --alive; }
};

TEST(Result, ValueAndError) {
  Result<int> good = 7;
  EXPECT_TRUE(good.has_value());
  EXPECT_EQ(*good, 7);
  EXPECT_EQ(good.value_or(9), 7);
  const Result<int> bad = Error{.code = Errc::kTimeout, .detail = "late"};
  EXPECT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Errc::kTimeout);
  EXPECT_EQ(bad.value_or(9), 9);
  good = bad;
  EXPECT_FALSE(good);
  good = 3;
  EXPECT_EQ(*good, 3);
}

TEST(Result, DestroysWhatItHolds) {
  {
    Result<Counted> a = Counted(1);
    Result<Counted> b = a;
    Result<Counted> c = std::move(a);
    EXPECT_EQ(b->value + c->value, 2);
    b = Result<Counted>(Error{});
    c = c;  // NOLINT: self-assignment on purpose
    EXPECT_EQ(c->value, 1);
    b = c;
    EXPECT_EQ(b->value, 1);
    EXPECT_EQ((*std::move(b)).value, 1);
  }
  EXPECT_EQ(Counted::alive, 0);
}

TEST(Result, MoveOnly) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(5);
  const std::unique_ptr<int> taken = std::move(*result);
  EXPECT_EQ(*taken, 5);
}

Result<void> fails_when(bool fail) {
  if (fail) return Error{.code = Errc::kDenied};
  return {};
}
Result<void> runs_both(bool first, bool second) {
  HG_TRY(fails_when(first));
  HG_TRY(fails_when(second));
  return {};
}

TEST(Result, Try) {
  EXPECT_TRUE(runs_both(false, false));
  EXPECT_EQ(runs_both(true, false).error().code, Errc::kDenied);
  EXPECT_FALSE(runs_both(false, true));
}

TEST(Error, SystemCodes) {
  EXPECT_EQ(system_error(ECONNREFUSED, "x").code, Errc::kRefused);
  EXPECT_EQ(system_error(ENOENT, "x").code, Errc::kRefused);
  EXPECT_EQ(system_error(ECONNRESET, "x").code, Errc::kReset);
  EXPECT_EQ(system_error(EPIPE, "x").code, Errc::kReset);
  EXPECT_EQ(system_error(ETIMEDOUT, "x").code, Errc::kTimeout);
  EXPECT_EQ(system_error(EHOSTUNREACH, "x").code, Errc::kUnreachable);
  EXPECT_EQ(system_error(EADDRINUSE, "x").code, Errc::kSystem);
  errno = EMFILE;
  EXPECT_EQ(system_error("accept").sys_errno, EMFILE);
}

TEST(Error, TextAndCopies) {
  const Error error = system_error(ECONNREFUSED, "connect");
  EXPECT_EQ(to_string(error), "refused: connect: Connection refused");
  EXPECT_EQ(to_string(error.from(Origin::kUpstream)), "refused: connect: Connection refused (upstream)");
  EXPECT_EQ(to_string(Error{.code = Errc::kClosed, .origin = Origin::kDownstream}), "closed (downstream)");
  EXPECT_EQ(error.with_retry(Retry::kYes).retry, Retry::kYes);
  EXPECT_EQ(error.retry, Retry::kNo);
  std::set<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(Errc::kInternal); ++code) names.insert(errc_name(static_cast<Errc>(code)));
  EXPECT_EQ(names.size(), static_cast<size_t>(Errc::kInternal) + 1);
  EXPECT_FALSE(names.contains("unknown"));
}

// ---- number ----

TEST(Number, Decimal) {
  EXPECT_EQ(parse_decimal("0"), 0U);
  EXPECT_EQ(parse_decimal("007"), 7U);
  EXPECT_EQ(parse_decimal("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(parse_decimal<uint8_t>("255"), 255);
  EXPECT_EQ(parse_decimal<uint16_t>("65535"), 65535);
  for (const char* bad : {"", " 1", "1 ", "+1", "-1", "0x1", "1.0", "18446744073709551616", "99999999999999999999", "1a"}) {
    EXPECT_FALSE(parse_decimal(bad)) << bad;
  }
  EXPECT_FALSE(parse_decimal<uint8_t>("256"));
  EXPECT_FALSE(parse_decimal<uint8_t>("300"));
  EXPECT_FALSE(parse_decimal<uint16_t>("65536"));
  // Every 8- and 16-bit boundary, up and down.
  for (uint32_t value = 0; value <= 70'000; ++value) {
    const auto parsed = parse_decimal<uint16_t>(std::to_string(value));
    ASSERT_EQ(parsed.has_value(), value <= 65'535) << value;
    if (parsed) {
      ASSERT_EQ(*parsed, value);
    }
  }
}

TEST(Number, Hex) {
  EXPECT_EQ(parse_hex("0"), 0U);
  EXPECT_EQ(parse_hex("fF"), 255U);
  EXPECT_EQ(parse_hex("ffffffffffffffff"), UINT64_MAX);
  for (const char* bad : {"", "g", "0x1", "-1", "10000000000000000", " 1", "1 "}) EXPECT_FALSE(parse_hex(bad)) << bad;
}

TEST(Number, WriteReadsBack) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 10'000; ++i) {
    const uint64_t value = random() >> (random() % 64);
    std::array<char, 20> text{};
    EXPECT_EQ(parse_decimal({text.data(), static_cast<size_t>(write_decimal(text.data(), value) - text.data())}), value);
    EXPECT_EQ(parse_hex({text.data(), static_cast<size_t>(write_hex(text.data(), value) - text.data())}), value);
  }
}

// ---- text ----

TEST(Text, CaseAndTokens) {
  EXPECT_TRUE(equals_ignore_case("Content-LENGTH", "content-length"));
  EXPECT_FALSE(equals_ignore_case("a", "ab"));
  EXPECT_FALSE(equals_ignore_case("@", "`"));  // 0x40 and 0x60 differ by the case bit and are no letters
  EXPECT_TRUE(starts_with_ignore_case("Bearer x", "bearer "));
  EXPECT_FALSE(starts_with_ignore_case("Bea", "bearer"));
  EXPECT_EQ(lower_copy("ABC\xc3\x84z"), "abc\xc3\x84z");
  EXPECT_TRUE(is_token("X-Custom_1!"));
  for (const char* bad : {"", "a b", "a:b", "a(b", "a\tb", "\xc3\xa4", "a\"b", "a/b", "a{", "a,b"}) {
    EXPECT_FALSE(is_token(bad)) << bad;
  }
  EXPECT_TRUE(is_field_value("a\tb \xff"));
  EXPECT_TRUE(is_field_value(""));
  for (const char* bad : {"a\nb", "a\rb", "\x7f", "\x01"}) EXPECT_FALSE(is_field_value(bad));
  EXPECT_FALSE(is_field_value(std::string_view("a\0b", 3)));
}

TEST(Text, TrimAndSplit) {
  EXPECT_EQ(trim(" \t a b\t "), "a b");
  EXPECT_EQ(trim(" \t "), "");
  EXPECT_EQ(trim("\na"), "\na");
  EXPECT_EQ(split("", ','), (std::vector<std::string_view>{""}));
  EXPECT_EQ(split(",a,,b", ','), (std::vector<std::string_view>{"", "a", "", "b"}));
}

TEST(Text, Lists) {
  const auto elements = [](std::string_view list) {
    std::vector<std::string> all;
    while (const auto element = next_list_element(list)) all.emplace_back(*element);
    return all;
  };
  using List = std::vector<std::string>;
  EXPECT_EQ(elements(""), List{});
  EXPECT_EQ(elements(" , ,,"), List{});
  EXPECT_EQ(elements("a, b ,\tc,"), (List{"a", "b", "c"}));
  EXPECT_EQ(elements("a=\"x,y\", b"), (List{"a=\"x,y\"", "b"}));
  EXPECT_EQ(elements("\"a\\\",b\",c"), (List{"\"a\\\",b\"", "c"}));
  EXPECT_EQ(elements("\"unclosed, b"), (List{"\"unclosed, b"}));
  EXPECT_EQ(elements("\"ends in a backslash\\"), (List{"\"ends in a backslash\\"}));
  EXPECT_TRUE(list_contains("keep-alive, Upgrade", "upgrade"));
  EXPECT_FALSE(list_contains("keep-alive, Upgrades", "upgrade"));
}

TEST(Text, Json) {
  EXPECT_EQ(quote_json("a\"\\\n\r\t\x01\x7f/\xc3\xa4"), "\"a\\\"\\\\\\n\\r\\t\\u0001\\u007f/\xc3\xa4\"");
  EXPECT_EQ(quote_json(""), "\"\"");
}

// ---- bytes ----

TEST(Bytes, ReaderStopsAtTheEnd) {
  const std::string data("\x01\x02\x03\x04\x05\x06\x07", 7);
  ByteReader in(as_bytes(data));
  EXPECT_EQ(in.u8(), 1);
  EXPECT_EQ(in.u16(), 0x0203);
  EXPECT_EQ(in.u32(), 0x04050607U);
  EXPECT_TRUE(in.ok());
  EXPECT_EQ(in.remaining(), 0U);
  EXPECT_EQ(in.u8(), 0);
  EXPECT_FALSE(in.ok());
  in.seek(0);
  EXPECT_EQ(in.u8(), 0);  // stays failed
  ByteReader other(as_bytes(data));
  other.seek(7);
  EXPECT_TRUE(other.ok());
  EXPECT_TRUE(other.take(0).empty());
  EXPECT_TRUE(other.ok());
  other.seek(8);
  EXPECT_FALSE(other.ok());
  ByteReader third(as_bytes(data));
  third.u8();
  EXPECT_TRUE(third.take(SIZE_MAX).empty());
  EXPECT_FALSE(third.ok());
}

TEST(Bytes, WriterStopsAtTheEnd) {
  std::array<uint8_t, 6> room{};
  ByteWriter out(room);
  out.u8(1);
  out.u32(0x02030405);
  EXPECT_EQ(out.capacity_left(), 1U);
  out.u16(0xffff);
  EXPECT_FALSE(out.ok());
  out.rewind(1);
  EXPECT_TRUE(out.ok());
  out.bytes(as_bytes("ab"));
  out.set_u16(0, 0x7778);
  EXPECT_EQ(as_text(out.written()), "wxb");
  out.set_u16(5, 1);
  EXPECT_FALSE(out.ok());
}

// ---- clock, hash ----

TEST(Clock, FakeMovesOnlyWhenTold) {
  FakeClock clock;
  const auto begin = clock.now();
  const auto wall = clock.wall();
  EXPECT_EQ(clock.now(), begin);
  clock.advance(std::chrono::seconds(2));
  EXPECT_EQ(clock.now() - begin, std::chrono::seconds(2));
  clock.step_wall(-std::chrono::hours(1));
  EXPECT_EQ(clock.wall() - wall, std::chrono::seconds(2) - std::chrono::hours(1));
  const auto before = system_clock().now();
  EXPECT_LE(before, system_clock().now());
}

TEST(Hash, StableForEver) {
  // Clients must stay with their endpoints over versions: these numbers never change.
  EXPECT_EQ(stable_hash(""), 0xfdbdf6ac4fc52e7fU);
  EXPECT_EQ(stable_hash("headgate"), 0xeb968719ab67c5ccU);
  EXPECT_EQ(stable_hash("headgate", 7), 0xad67aee133311fcfU);
}

TEST(Hash, KeyedSpreads) {
  EXPECT_EQ(keyed_hash("a"), keyed_hash(std::string("a")));
  std::set<uint64_t> seen;
  for (int i = 0; i < 20'000; ++i) seen.insert(keyed_hash(std::to_string(i)));
  EXPECT_EQ(seen.size(), 20'000U);
  // Lengths count: zero bytes at the end are another text.
  EXPECT_NE(keyed_hash(std::string_view("a\0", 2)), keyed_hash("a"));
  EXPECT_NE(keyed_hash(std::string_view("\0", 1)), keyed_hash(""));
  // Low bits choose buckets: they must be even.
  std::array<int, 16> buckets{};
  for (int i = 0; i < 16'000; ++i) ++buckets.at(keyed_hash("key" + std::to_string(i)) & 15);
  for (const int count : buckets) EXPECT_NEAR(count, 1000, 200);
}

}  // namespace
}  // namespace headgate
