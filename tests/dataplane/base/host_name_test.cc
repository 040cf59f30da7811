#include "dataplane/base/host_name.h"

#include <gtest/gtest.h>

namespace headgate {
namespace {

TEST(HostName, Validity) {
  for (const char* name : {"a", "localhost", "shop.example.com", "shop.example.com.", "_sip._tcp.x", "a-b.c",
                           "192.0.2.1", "xn--bcher-kva.example", "A.B"}) {
    EXPECT_TRUE(is_valid_host_name(name)) << name;
  }
  for (const char* name : {"", ".", "a..b", "-a", "a-", "a b",
                           "b\xc3\xbc"
                           "cher",
                           "*.x", "a/b", "a:80", "..", "a.."}) {
    EXPECT_FALSE(is_valid_host_name(name)) << name;
  }
  EXPECT_TRUE(is_valid_host_name(std::string(63, 'a')));
  EXPECT_FALSE(is_valid_host_name(std::string(64, 'a')));
  std::string longest;
  for (int i = 0; i < 126; ++i) longest += "a.";
  EXPECT_TRUE(is_valid_host_name(longest + "a"));    // 253
  EXPECT_FALSE(is_valid_host_name(longest + "aa"));  // 254
}

TEST(HostName, PatternKinds) {
  EXPECT_EQ(host_pattern_kind("*"), HostPatternKind::kAny);
  EXPECT_EQ(host_pattern_kind("*.example.com"), HostPatternKind::kWildcard);
  EXPECT_EQ(host_pattern_kind("example.com"), HostPatternKind::kExact);
  EXPECT_EQ(host_pattern_kind("[2001:db8::1]"), HostPatternKind::kExact);
  for (const char* bad : {"", "*.", "*x", "a.*", "*.*.x", "[::1", "[192.0.2.1]", "[x]", "a_b c"}) {
    EXPECT_EQ(host_pattern_kind(bad), HostPatternKind::kInvalid) << bad;
  }
}

TEST(HostName, MatchAndCover) {
  EXPECT_TRUE(host_matches("*.x", "a.x", true));
  EXPECT_FALSE(host_matches("*.x", "a.b.x", true));
  EXPECT_TRUE(host_matches("*.x", "a.b.x", false));
  EXPECT_FALSE(host_matches("*.x", "x", false));
  EXPECT_FALSE(host_matches("*.x", ".x", false));
  EXPECT_TRUE(host_matches("*", "anything", true));
  EXPECT_FALSE(host_matches("x", "y", false));
  EXPECT_TRUE(host_pattern_covers("*.x", "*.a.x"));
  EXPECT_FALSE(host_pattern_covers("*.a.x", "*.x"));
  EXPECT_FALSE(host_pattern_covers("a.x", "*.x"));
  EXPECT_TRUE(host_pattern_covers("*", "*.x"));
  EXPECT_FALSE(host_pattern_covers("*.x", "*"));
  EXPECT_EQ(normalize_host("Example.COM."), "example.com");
  EXPECT_EQ(normalize_host("."), ".");
}

TEST(HostName, Authority) {
  const auto host = [](std::string_view text) {
    const auto result = host_of_authority(text);
    return result ? std::string(*result) : std::string("-");
  };
  EXPECT_EQ(host("example.com:8080"), "example.com");
  EXPECT_EQ(host("example.com:"), "example.com");
  EXPECT_EQ(host("[::1]:443"), "[::1]");
  EXPECT_EQ(host("[::1]"), "[::1]");
  for (const char* bad : {"", ":80", "a:b", "a:65536", "a:80:80", "[::1]x", "[::1", "a b", "a@b", "::1"}) {
    EXPECT_EQ(host(bad), "-") << bad;
  }
}

}  // namespace
}  // namespace headgate
