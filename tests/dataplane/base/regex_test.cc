#include "dataplane/base/regex.h"

#include <gtest/gtest.h>

namespace headgate {
namespace {

Regex must(std::string_view pattern, Regex::Case letter_case = Regex::Case::kSensitive) {
  auto result = Regex::compile(pattern, letter_case);
  EXPECT_TRUE(result.has_value()) << pattern;
  return std::move(*result);
}

TEST(Regex, SearchAndMatch) {
  const Regex php = must("\\.php$");
  EXPECT_TRUE(php.search("/a/index.php"));
  EXPECT_FALSE(php.search("/a/index.php5"));
  EXPECT_FALSE(php.matches("/a/index.php"));
  EXPECT_TRUE(must("[a-z]+").matches("abc"));
  EXPECT_TRUE(must("ABC", Regex::Case::kIgnore).search("xabcx"));
  EXPECT_TRUE(must("^.$").matches("\xff"));  // bytes, not UTF-8
}

TEST(Regex, Captures) {
  const Regex rewrite = must("/something(/|$)(.*)");
  Captures captures;
  ASSERT_TRUE(rewrite.search("/something/new", captures));
  EXPECT_EQ(captures.count, 3U);
  std::string out;
  append_replacement(out, "/$2", captures);
  EXPECT_EQ(out, "/new");
  ASSERT_TRUE(rewrite.search("/something", captures));
  out.clear();
  append_replacement(out, "/${2}$$x$y$", captures);
  EXPECT_EQ(out, "/$x$y$");
  EXPECT_EQ(must("(a)|(b)").group_count(), 2U);
  ASSERT_TRUE(must("(a)|(b)").search("b", captures));
  EXPECT_EQ(captures.groups[1], "");
  EXPECT_EQ(captures.groups[2], "b");
  EXPECT_FALSE(must("x").search("y", captures));
}

TEST(Regex, MoreThanNineGroups) {
  const Regex many = must("(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)");
  Captures captures;
  ASSERT_TRUE(many.search("abcdefghijk", captures));
  EXPECT_EQ(captures.count, 10U);
  EXPECT_EQ(captures.groups[9], "i");
}

TEST(Regex, Refused) {
  std::string why;
  EXPECT_FALSE(Regex::compile("(", Regex::Case::kSensitive, &why).has_value());
  EXPECT_NE(why, "");
  EXPECT_FALSE(Regex::compile("(?!x)", Regex::Case::kSensitive, &why).has_value());
  EXPECT_FALSE(Regex::compile("(a)\\1", Regex::Case::kSensitive, &why).has_value());
  const auto longest = Regex::compile(std::string(4097, 'a'), Regex::Case::kSensitive, &why);
  ASSERT_FALSE(longest.has_value());
  EXPECT_EQ(longest.error().code, Errc::kTooLarge);
  const auto huge = Regex::compile("((a{100}){100}){100}", Regex::Case::kSensitive, &why);
  ASSERT_FALSE(huge.has_value());
}

TEST(Regex, LinearTime) {
  const Regex evil = must("(a+)+$");
  EXPECT_FALSE(evil.search(std::string(100000, 'a') + "b"));
}

TEST(Regex, HighestGroup) {
  EXPECT_EQ(highest_group("/x"), -1);
  EXPECT_EQ(highest_group("/$1/${3}"), 3);
  EXPECT_EQ(highest_group("$$9"), -1);
}

}  // namespace
}  // namespace headgate
