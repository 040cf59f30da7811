// field_rules_test.cc -- which names and values a message of HTTP/2 may have.
#include "dataplane/http2/field_rules.h"

#include <gtest/gtest.h>

#include <string>

namespace headgate::http2 {
namespace {

bool allowed(std::string_view name, std::string_view value) {
  FieldRules rules(FieldRules::kRequest);
  return rules.allow(http::field_id(name), name, value);
}

TEST(FieldRules, Names) {
  for (const char* name : {"accept", "x-y", "te", "via", "grpc-timeout", "0", "a_b", "!#$%&'*+-.^_`|~"})
    EXPECT_TRUE(allowed(name, "trailers")) << name;
  for (const char* name : {"", "Accept", "accepT", "X", "TE", "a b", "a:", "\x7f", "\xc3\xa4", "a\n", ":path", "aA"})
    EXPECT_FALSE(allowed(name, "trailers")) << name;
}

TEST(FieldRules, NamesWeKnowAreThoseOfHttp2) {
  for (int id = 1; id < static_cast<int>(http::FieldId::kCount); ++id) {
    const std::string_view name = lower_name(static_cast<http::FieldId>(id));
    EXPECT_EQ(flaws_of_name(name), 0) << name;
    EXPECT_EQ(http::field_id(name), static_cast<http::FieldId>(id));
  }
}

// Each control at each place of values of each length, so that no word of the fast way is blind anywhere.
TEST(FieldRules, ControlsAreSeenEverywhere) {
  for (size_t size = 1; size <= 40; ++size) {
    std::string value(size, '\xe4');
    EXPECT_TRUE(is_clean_value(value));
    for (size_t at = 0; at < size; ++at) {
      for (int c = 0; c < 256; ++c) {
        value[at] = static_cast<char>(c);
        const bool control = (c < 0x20 && c != '\t') || c == 0x7f;
        ASSERT_EQ(is_clean_value(value), !control) << size << " " << at << " " << c;
      }
      value[at] = '\xe4';
    }
  }
  EXPECT_TRUE(is_clean_value(""));
}

TEST(FieldRules, NoWhiteSpaceAtTheEnds) {
  EXPECT_TRUE(allowed("x", ""));
  EXPECT_TRUE(allowed("x", "a b\tc"));
  for (const char* value : {" ", "\t", " a", "a ", "a\t", "\ta"}) EXPECT_FALSE(allowed("x", value));
}

TEST(FieldRules, NothingOfTheConnection) {
  for (const char* name : {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"})
    EXPECT_FALSE(allowed(name, "x")) << name;
  EXPECT_TRUE(allowed("te", "Trailers"));
  EXPECT_FALSE(allowed("te", "gzip"));
  EXPECT_FALSE(allowed("te", "trailers, gzip"));
}

TEST(FieldRules, PseudoFieldsComeFirstAndOnce) {
  FieldRules rules(FieldRules::kRequest);
  EXPECT_EQ(rules.allow_pseudo(":method", "GET"), PseudoField::kMethod);
  EXPECT_EQ(rules.allow_pseudo(":method", "GET"), PseudoField::kNone);
  EXPECT_EQ(rules.allow_pseudo(":status", "200"), PseudoField::kNone);
  EXPECT_EQ(rules.allow_pseudo(":Path", "/"), PseudoField::kNone);
  EXPECT_EQ(rules.allow_pseudo(":path", "/ "), PseudoField::kNone);
  EXPECT_EQ(rules.allow_pseudo(":path", "/"), PseudoField::kPath);
  EXPECT_EQ(rules.allow_pseudo(":", "x"), PseudoField::kNone);
  EXPECT_TRUE(rules.allow(http::FieldId::kOther, "x", "y"));
  EXPECT_EQ(rules.allow_pseudo(":authority", "a"), PseudoField::kNone);
  EXPECT_TRUE(rules.has(PseudoField::kMethod));
  EXPECT_FALSE(rules.has(PseudoField::kAuthority));
  FieldRules trailers(FieldRules::kTrailers);
  EXPECT_EQ(trailers.allow_pseudo(":status", "200"), PseudoField::kNone);
}

TEST(FieldRules, Schemes) {
  for (const char* scheme : {"http", "https", "coap+tcp", "a1.b-"}) EXPECT_TRUE(is_scheme(scheme));
  for (const char* scheme : {"", "1a", "-", "ht tp", "http:", "h\xc3"}) EXPECT_FALSE(is_scheme(scheme));
}

}  // namespace
}  // namespace headgate::http2
