#include "dataplane/dns/text_escape.h"

#include <gtest/gtest.h>

namespace headgate::dns {
namespace {

TEST(TextEscape, Base64) {
  // RFC 4648 10
  const std::pair<const char*, const char*> cases[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : cases) {
    std::string text;
    append_base64(as_bytes(plain), text);
    EXPECT_EQ(text, coded);
    const auto bytes = parse_base64(coded);
    ASSERT_TRUE(bytes.has_value());
    EXPECT_EQ(as_text(*bytes), plain);
  }
  for (const char* bad : {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zm 9v", "=Zm9", "Zg==Zg==", "Zm9v===="}) {
    EXPECT_FALSE(parse_base64(bad).has_value()) << bad;
  }
}

TEST(TextEscape, Unescape) {
  EXPECT_EQ(unescape("a\\\"b\\065"), "a\"bA");
  EXPECT_EQ(unescape("\\000").value().size(), 1U);
  for (const char* bad : {"\\", "a\\2", "\\25", "\\256", "\\1x1"}) EXPECT_EQ(unescape(bad), std::nullopt) << bad;
}

TEST(TextEscape, Hex) {
  EXPECT_EQ(parse_hex_bytes("aBcd"), (std::vector<uint8_t>{0xab, 0xcd}));
  for (const char* bad : {"a", "ag", "0x"}) EXPECT_EQ(parse_hex_bytes(bad), std::nullopt) << bad;
}

}  // namespace
}  // namespace headgate::dns
