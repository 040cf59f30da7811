// Vectors of RFC 9460 appendix D.
#include "dataplane/dns/svcb.h"

#include <gtest/gtest.h>

#include "dataplane/dns/record.h"
#include "dataplane/dns/text_escape.h"

namespace headgate::dns {
namespace {

TEST(Svcb, Rfc9460Vectors) {
  struct Case {
    const char *text, *wire, *printed;
  };
  const Case cases[] = {
      {"0 foo.example.com.", "000003666F6F076578616D706C6503636F6D00", "0 foo.example.com."},
      {"1 .", "000100", "1 ."},
      {"16 foo.example.com. port=53", "001003666F6F076578616D706C6503636F6D00000300020035", nullptr},
      {"1 foo.example.com. key667=hello", "000103666F6F076578616D706C6503636F6D00029B000568656C6C6F",
       "1 foo.example.com. key667=\"hello\""},
      {"1 foo.example.com. key667=\"hello\\210qoo\"",
       "000103666F6F076578616D706C6503636F6D00029B000968656C6C6FD2716F6F", nullptr},
      {"1 foo.example.com. ipv6hint=\"2001:db8::1,2001:db8::53:1\"",
       "000103666F6F076578616D706C6503636F6D0000060020"
       "20010DB8000000000000000000000001"
       "20010DB8000000000000000000530001",
       "1 foo.example.com. ipv6hint=2001:db8::1,2001:db8::53:1"},
      {"1 example.com. ipv6hint=\"2001:db8:122:344::192.0.2.33\"",
       "0001076578616D706C6503636F6D000006001020010DB80122034400000000C0000221",
       "1 example.com. ipv6hint=2001:db8:122:344::c000:221"},
      {"16 foo.example.org. alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1",
       "001003666F6F076578616D706C65036F72670000000004000100040001000902683205"
       "68332D3139"
       "00040004C0000201",
       "16 foo.example.org. mandatory=alpn,ipv4hint alpn=\"h2,h3-19\" ipv4hint=192.0.2.1"},
      {"16 foo.example.org. alpn=\"f\\\\\\\\oo\\\\,bar,h2\"",
       "001003666F6F076578616D706C65036F7267000001000C08665C6F6F2C626172026832", nullptr},
      {"16 foo.example.org. alpn=f\\\\\\092oo\\092,bar,h2",
       "001003666F6F076578616D706C65036F7267000001000C08665C6F6F2C626172026832",
       "16 foo.example.org. alpn=\"f\\\\\\\\oo\\\\,bar,h2\""},
      {"1 . ech=AEj+DQ==",
       "0001000005000400"
       "48FE0D",
       "1 . ech=AEj+DQ=="},
      {"1 . alpn=h2 no-default-alpn", "0001000001000302683200020000", "1 . alpn=\"h2\" no-default-alpn"},
  };
  for (const Case& c : cases) {
    const auto rdata = parse_rdata(kTypeSvcb, c.text);
    ASSERT_TRUE(rdata.has_value()) << c.text << ": " << rdata.error().detail;
    std::string wire;
    append_hex(*rdata, wire);
    EXPECT_EQ(wire, c.wire) << c.text;
    EXPECT_EQ(print_rdata(kTypeSvcb, *rdata), c.printed != nullptr ? c.printed : c.text);
    EXPECT_EQ(*parse_rdata(kTypeSvcb, print_rdata(kTypeSvcb, *rdata)), *rdata);
  }
}

TEST(Svcb, Rfc9460Failures) {
  for (const char* text : {"1 foo.example.com. key123=abc key123=def",
                           "1 foo.example.com. mandatory",
                           "1 foo.example.com. alpn",
                           "1 foo.example.com. port",
                           "1 foo.example.com. ipv4hint",
                           "1 foo.example.com. ipv6hint",
                           "1 foo.example.com. no-default-alpn=abc",
                           "1 foo.example.com. mandatory=key123",
                           "1 foo.example.com. mandatory=mandatory",
                           "1 foo.example.com. mandatory=key123,key123 key123=abc",
                           "1 . no-default-alpn",
                           "1 . port=65536",
                           "1 . port=",
                           "1 . ipv4hint=::1",
                           "1 . ipv6hint=192.0.2.1",
                           "1 . ech=x",
                           "1 . key65535=x",
                           "1 . key01=x",
                           "1 . bogus=x",
                           "1 . alpn=a,,b",
                           "1 . ipv4hint=192.0.2.1,",
                           "1",
                           "x ."}) {
    EXPECT_FALSE(parse_rdata(kTypeSvcb, text).has_value()) << text;
  }
}

TEST(Svcb, RejectsBadWire) {
  for (const char* text : {
           "00",          // half a key
           "0003000200",  // half a value
           "00040004C000020100030002"
           "0035",  // falling keys
           "FFFF0000",  // the key that no parameter has
           "0003000200350003000200"
           "35",  // a key twice
           "00030001"
           "35",            // port of one byte
           "000100020368",  // alpn item past the end
           "0001000100",    // empty alpn item
           "00000002"
           "0003",          // mandatory key missing
           "000200020000",  // no-default-alpn with a value
       }) {
    EXPECT_FALSE(check_svc_params(*parse_hex_bytes(text)).has_value()) << text;
  }
  EXPECT_TRUE(check_svc_params({}).has_value());
}

}  // namespace
}  // namespace headgate::dns
