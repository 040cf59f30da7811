#include "dataplane/dns/record.h"

#include <gtest/gtest.h>

#include <string>

#include "dataplane/dns/text_escape.h"

namespace headgate::dns {
namespace {

std::string hex(Bytes bytes) {
  std::string text;
  append_hex(bytes, text);
  return text;
}

struct Good {
  const char* type;
  const char* text;
  const char* printed;  // nullptr: as `text`
  const char* wire;
};

TEST(Record, TextAndWire) {
  const Good cases[] = {
      {"A", "192.0.2.4", nullptr, "C0000204"},
      {"AAAA", "2001:db8::10", nullptr, "20010DB8000000000000000000000010"},
      {"AAAA", "::ffff:192.0.2.1", nullptr, "00000000000000000000FFFFC0000201"},
      {"CNAME", "shop.lan", "shop.lan.example.", "0473686F70036C616E076578616D706C6500"},
      {"NS", "ns1.lan.", nullptr, "036E7331036C616E00"},
      {"PTR", "@", "example.", "076578616D706C6500"},
      {"SOA", "ns1 admin 2024010101 1h 10m 1w 5m", "ns1.example. admin.example. 2024010101 3600 600 604800 300",
       "036E7331076578616D706C65000561646D696E076578616D706C650078A3F17500000E10000002580009"
       "3A800000012C"},
      {"SOA", "a. b. 1 2 3 4 4294967295", nullptr,
       "016100016200"
       "00000001000000020000000300000004FFFFFFFF"},
      {"MX", "10 mx1.lan.", nullptr, "000A036D7831036C616E00"},
      {"TXT", "\"v=spf1 -all\"", nullptr, "0B763D73706631202D616C6C"},
      {"TXT", "plain \"two words\" \"\" \"q\\\"uote\\010\"", "\"plain\" \"two words\" \"\" \"q\\\"uote\\010\"",
       "05706C61696E0974776F20776F726473000771"
       "22756F74650A"},
      {"SRV", "0 100 8080 shop.lan.", nullptr, "000000641F900473686F70036C616E00"},
      {"CAA", "0 issue \"ca.example\"", nullptr, "0005697373756563612E6578616D706C65"},
      {"CAA", "128 iodef \"mailto:a@b.example\"", nullptr, "8005696F6465666D61696C746F3A6140622E6578616D706C65"},
      {"HINFO", "\"RFC8482\" \"\"", nullptr, "075246433834383200"},
      {"DS", "60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118", nullptr,
       "EC4505012BB183AF5F22588179A53B0A98631FAD1A292118"},
      {"TLSA", "3 1 1 AB CD", "3 1 1 ABCD", "030101ABCD"},
      {"NAPTR", "100 10 \"S\" \"SIP+D2U\" \"!^.*$!sip:x!\" .", nullptr,
       "0064000A015307"
       "5349502B443255"
       "0C215E2E2A24217369703A782100"},
      // RFC 3597 5
      {"TYPE731", "\\# 6 abcd ef 01 23 45", "\\# 6 ABCDEF012345", "ABCDEF012345"},
      {"TYPE62347", "\\# 0", nullptr, ""},
      {"A", "\\# 4 0A000001", "10.0.0.1", "0A000001"},
  };
  const Name origin = *Name::parse("example");
  for (const Good& c : cases) {
    const auto type = parse_type(c.type);
    ASSERT_TRUE(type.has_value()) << c.type;
    const auto rdata = parse_rdata(*type, c.text, origin.view());
    ASSERT_TRUE(rdata.has_value()) << c.type << " " << c.text << ": " << rdata.error().detail;
    EXPECT_EQ(hex(*rdata), c.wire) << c.type << " " << c.text;
    EXPECT_EQ(print_rdata(*type, *rdata), c.printed != nullptr ? c.printed : c.text);
    EXPECT_TRUE(check_rdata(*type, *rdata).has_value());
    const auto again = parse_rdata(*type, print_rdata(*type, *rdata));
    ASSERT_TRUE(again.has_value()) << print_rdata(*type, *rdata);
    EXPECT_EQ(*again, *rdata);
    // Every shorter form is refused, or is data of its own; none may crash.
    for (size_t size = 0; size < rdata->size(); ++size) {
      const Bytes part = Bytes(*rdata).first(size);
      if (check_rdata(*type, part).has_value()) {
        EXPECT_FALSE(print_rdata(*type, part).empty());
      }
    }
  }
}

TEST(Record, RejectsBadText) {
  const std::pair<const char*, const char*> cases[] = {
      {"A", "192.0.2"},
      {"A", "192.0.2.256"},
      {"A", "192.0.2.1 x"},
      {"A", ""},
      {"A", "::1"},
      {"A", "010.0.0.1"},
      {"AAAA", "192.0.2.1"},
      {"AAAA", "2001:db8::g"},
      {"AAAA", ""},
      {"CNAME", "a..b"},
      {"CNAME", ""},
      {"CNAME", "a b"},
      {"MX", "mx.lan"},
      {"MX", "65536 mx.lan"},
      {"MX", "-1 mx.lan"},
      {"MX", "10"},
      {"SRV", "0 0 70000 a."},
      {"SRV", "0 0 80"},
      {"SOA", "a b 1 2 3 4"},
      {"SOA", "a b 4294967296 2 3 4 5"},
      {"SOA", "a b 1 2x 3 4 5"},
      {"TXT", ""},
      {"TXT", "\"open"},
      {"TXT", "\"\\256\""},
      {"TXT", "\"\\2\""},
      {"CAA", "256 issue \"x\""},
      {"CAA", "0 is-sue \"x\""},
      {"CAA", "0 issue"},
      {"TYPE731", "abcd"},
      {"TYPE731", "\\# 2 abc"},
      {"TYPE731", "\\# 3 abcd"},
      {"TYPE731", "\\# x abcd"},
      {"TYPE731", "\\#"},
      {"TYPE731", "\\# 70000"},
      {"A", "\\# 3 0A0000"},
      {"DS", "1 2 3 xyz"},
      {"RRSIG", "A 5 3"},
  };
  for (const auto& [type, text] : cases) {
    EXPECT_FALSE(parse_rdata(*parse_type(type), text).has_value()) << type << " " << text;
  }
  EXPECT_FALSE(parse_rdata(kTypeTxt, "\"" + std::string(256, 'x') + "\"").has_value());
  EXPECT_TRUE(parse_rdata(kTypeTxt, "\"" + std::string(255, 'x') + "\"").has_value());
}

TEST(Record, NamesTypes) {
  EXPECT_EQ(parse_type("aaaa"), kTypeAaaa);
  EXPECT_EQ(parse_type("TYPE28"), kTypeAaaa);
  EXPECT_EQ(parse_type("type65535"), 65535);
  EXPECT_EQ(parse_type("TYPE65536"), std::nullopt);
  EXPECT_EQ(parse_type("TYPE"), std::nullopt);
  EXPECT_EQ(parse_type("BOGUS"), std::nullopt);
  EXPECT_EQ(type_name(kTypeHttps), "HTTPS");
  EXPECT_EQ(type_name(kTypeAxfr), "AXFR");
  EXPECT_EQ(type_name(1000), "TYPE1000");
}

TEST(Record, MadeFromValues) {
  const Name host = *Name::parse("mx1.lan");
  EXPECT_EQ(print_rdata(kTypeMx, make_mx(10, host.view())), "10 mx1.lan.");
  EXPECT_EQ(print_rdata(kTypeSrv, make_srv(0, 100, 8080, host.view())), "0 100 8080 mx1.lan.");
  EXPECT_EQ(print_rdata(kTypeA, make_address(*IpAddress::parse("192.0.2.1"))), "192.0.2.1");
  EXPECT_EQ(print_rdata(kTypeAaaa, make_address(*IpAddress::parse("2001:db8::1"))), "2001:db8::1");
  const std::string long_text(300, 'x');
  const std::string_view strings[] = {"back\\slash \"quoted\"", long_text, ""};
  EXPECT_EQ(print_rdata(kTypeTxt, make_txt(strings)),
            "\"back\\\\slash \\\"quoted\\\"\" \"" + std::string(255, 'x') + "\" \"" + std::string(45, 'x') + "\" \"\"");
  EXPECT_EQ(print_rdata(kTypeTxt, make_txt({})), "\"\"");
  EXPECT_EQ(print_rdata(kTypeSoa, make_soa({.mname = host, .rname = host, .serial = 7})),
            "mx1.lan. mx1.lan. 7 3600 600 604800 300");
  EXPECT_EQ(print_rdata(kTypeCaa, *make_caa(128, "issue", "ca.example; x=y")), "128 issue \"ca.example; x=y\"");
  EXPECT_FALSE(make_caa(0, "", "x").has_value());
  EXPECT_FALSE(make_caa(0, "a b", "x").has_value());
  const std::pair<std::string_view, std::string_view> params[] = {
      {"port", "8443"}, {"alpn", "h2,h3"}, {"no-default-alpn", ""}};
  EXPECT_EQ(print_rdata(kTypeHttps, *make_svcb(1, NameView(), params)), "1 . alpn=\"h2,h3\" no-default-alpn port=8443");
}

TEST(Record, DecompressesNames) {
  // "lan." at 0, then MX data "10 mx.<0>".
  const std::vector<uint8_t> message = {3, 'l', 'a', 'n', 0, 0, 10, 2, 'm', 'x', 0xc0, 0};
  ByteReader reader(message);
  reader.seek(5);
  const auto rdata = read_rdata(kTypeMx, reader, 7);
  ASSERT_TRUE(rdata.has_value());
  EXPECT_EQ(print_rdata(kTypeMx, *rdata), "10 mx.lan.");
  for (const size_t size : {0U, 1U, 2U, 4U, 6U, 8U}) {  // too short, or past the end
    ByteReader again(message);
    again.seek(5);
    EXPECT_FALSE(read_rdata(kTypeMx, again, size).has_value()) << size;
  }
}

}  // namespace
}  // namespace headgate::dns
