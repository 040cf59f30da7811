#include "dataplane/dns/zone_file.h"

#include <gtest/gtest.h>

#include "dataplane/dns/ttl.h"
#include "tests/dataplane/dns/dns_fixture.h"

namespace headgate::dns {
namespace {

TEST(ZoneFile, ReadsTheExampleOfRfc1035) {
  // RFC 1035 5.3, without its $INCLUDE.
  const ZoneSet zones = zone_of(R"(
@   IN  SOA     VENERA      Action\.domains (
                                 20     ; SERIAL
                                 7200   ; REFRESH
                                 600    ; RETRY
                                 3600000; EXPIRE
                                 60)    ; MINIMUM

        NS      A.ISI.EDU.
        NS      VENERA
        NS      VAXA
        MX      10      VENERA
        MX      20      VAXA

A       A       26.3.0.103

VENERA  A       10.1.0.52
        A       128.9.0.32

VAXA    A       10.2.0.27
        A       128.9.0.33
)",
                                "ISI.EDU");
  EXPECT_EQ(lines_of(ask(zones, "isi.edu", kTypeSoa).answers),
            Lines{"isi.edu. 300 SOA VENERA.isi.edu. Action\\.domains.isi.edu. 20 7200 600 3600000 60"});
  EXPECT_EQ(lines_of(ask(zones, "isi.edu", kTypeMx).answers, true),
            (Lines{"isi.edu. 300 MX 10 VENERA.isi.edu.", "isi.edu. 300 MX 20 VAXA.isi.edu."}));
  EXPECT_EQ(lines_of(ask(zones, "isi.edu", kTypeNs).answers).size(), 3U);
  EXPECT_EQ(lines_of(ask(zones, "vaxa.isi.edu", kTypeA).answers, true),
            (Lines{"vaxa.isi.edu. 300 A 10.2.0.27", "vaxa.isi.edu. 300 A 128.9.0.33"}));
}

TEST(ZoneFile, DirectivesTtlsAndClasses) {
  const ZoneSet zones = zone_of(
      "$TTL 1h30m\n"
      "a A 192.0.2.1\n"
      "b 60 IN A 192.0.2.2\r\n"
      "c IN 1m A 192.0.2.3\n"
      "d in a 192.0.2.4 ; comment ( with parens \" and quotes\n"
      "$ORIGIN sub.lan.\n"
      "@ TXT \"semi;colon\" ( \"a b\"\n"
      "   c\\;d )\n"
      "e CNAME a.lan.\n"
      "$origin deep\n"
      "f CNAME @\n"
      "g TYPE731 \\# 2 ( AB\n CD )\n"
      "h HTTPS 1 . alpn=\"h2,h3\" port=443 key700=\"a b\"\n"
      "IN IN A 192.0.2.5\n",
      "lan");
  EXPECT_EQ(lines_of(ask(zones, "a.lan", kTypeA).answers), Lines{"a.lan. 5400 A 192.0.2.1"});
  EXPECT_EQ(lines_of(ask(zones, "b.lan", kTypeA).answers), Lines{"b.lan. 60 A 192.0.2.2"});
  EXPECT_EQ(lines_of(ask(zones, "c.lan", kTypeA).answers), Lines{"c.lan. 60 A 192.0.2.3"});
  EXPECT_EQ(lines_of(ask(zones, "d.lan", kTypeA).answers), Lines{"d.lan. 5400 A 192.0.2.4"});
  EXPECT_EQ(lines_of(ask(zones, "sub.lan", kTypeTxt).answers),
            Lines{"sub.lan. 5400 TXT \"semi;colon\" \"a b\" \"c;d\""});
  EXPECT_EQ(lines_of(ask(zones, "e.sub.lan", kTypeCname).answers), Lines{"e.sub.lan. 5400 CNAME a.lan."});
  EXPECT_EQ(lines_of(ask(zones, "f.deep.sub.lan", kTypeCname).answers),
            Lines{"f.deep.sub.lan. 5400 CNAME deep.sub.lan."});
  EXPECT_EQ(lines_of(ask(zones, "g.deep.sub.lan", 731).answers), Lines{"g.deep.sub.lan. 5400 TYPE731 \\# 2 ABCD"});
  EXPECT_EQ(lines_of(ask(zones, "h.deep.sub.lan", kTypeHttps).answers),
            Lines{"h.deep.sub.lan. 5400 HTTPS 1 . alpn=\"h2,h3\" port=443 key700=\"a b\""});
  EXPECT_EQ(lines_of(ask(zones, "in.deep.sub.lan", kTypeA).answers), Lines{"in.deep.sub.lan. 5400 A 192.0.2.5"});
}

TEST(ZoneFile, NamesLineAndColumn) {
  const std::pair<const char*, const char*> cases[] = {
      {"a A 192.0.2.256\n", "1:5: not an IPv4 address"},
      {"\n  a A 192.0.2.1\n", "2:3: no owner: no good record stands above"},
      {"a A 192.0.2.1 (\n", "1:15: '(' without ')'"},
      {"a A 192.0.2.1 )\n", "1:15: ')' without '('"},
      {"a TXT \"open\n", "1:7: quote without an end on its line"},
      {"$INCLUDE /etc/passwd\n", "1:1: $INCLUDE is refused: a zone is one file"},
      {"$GENERATE 1-9 a$ A 192.0.2.$\n", "1:1: unknown directive $GENERATE"},
      {"$TTL\n", "1:1: one word is needed after the directive"},
      {"$TTL 1x\n", "1:6: not a time in seconds"},
      {"$ORIGIN a..b\n", "1:9: empty label in a name"},
      {"a CH TXT x\n", "1:3: only class IN is served"},
      {"a IN\n", "1:3: no type"},
      {"a 60 60 A 192.0.2.1\n", "1:6: unknown type 60"},
      {"a BOGUS x\n", "1:3: unknown type BOGUS"},
      {"a 1x A 192.0.2.1\n", "1:3: not a time in seconds"},
      {"a.example. A 192.0.2.1\n", "1:1: name outside the zone"},
      {"a..b A 192.0.2.1\n", "1:1: empty label in a name"},
      {"a AXFR x\n", "1:8: data of this type is written as \\# LENGTH HEX"},
      {"a AXFR \\# 0\n", "1:3: this type cannot stand in a zone"},
      {"a A\n", "1:3: too few words in the data"},
      {"a A 192.0.2.1\001\n", "1:5: control character"},
      {"a SOA ns adm (\n 1 2 3\n 4 )\n", "1:7: too few words in the data"},
  };
  for (const auto& [text, expected] : cases) {
    ZoneSetBuilder builder;
    std::vector<ZoneFileProblem> problems;
    EXPECT_FALSE(read_zone_file(text, name_of("lan").view(), {}, builder, problems)) << text;
    ASSERT_EQ(problems.size(), 1U) << text;
    EXPECT_EQ(problems[0].to_string(), expected) << text;
  }
}

TEST(ZoneFile, GoesOnAfterAProblemButNotForEver) {
  std::string text = "good A 192.0.2.1\n";
  for (int i = 0; i < 100; ++i) text += "bad A x\n";
  ZoneSetBuilder builder;
  std::vector<ZoneFileProblem> problems;
  EXPECT_FALSE(read_zone_file(text, name_of("lan").view(), {.max_problems = 5}, builder, problems));
  EXPECT_EQ(problems.size(), 5U);
  EXPECT_EQ(problems[4].line, 6U);
}

TEST(ZoneFile, KeepsItsLimits) {
  ZoneSetBuilder builder;
  std::vector<ZoneFileProblem> problems;
  EXPECT_FALSE(read_zone_file("a A 192.0.2.1\nb A 192.0.2.1\nc A 192.0.2.1\n", name_of("lan").view(),
                              {.max_records = 2}, builder, problems));
  EXPECT_FALSE(read_zone_file("a A 192.0.2.1\n", name_of("lan").view(), {.max_bytes = 3}, builder, problems));
  ASSERT_EQ(problems.size(), 2U);
  EXPECT_EQ(problems[0].to_string(), "3:3: too many records");
  EXPECT_EQ(problems[1].to_string(), "1:1: file over the size limit");
}

TEST(ZoneFile, Ttls) {
  EXPECT_EQ(parse_ttl("0"), 0U);
  EXPECT_EQ(parse_ttl("300"), 300U);
  EXPECT_EQ(parse_ttl("1h30m"), 5400U);
  EXPECT_EQ(parse_ttl("2W1D"), 1296000U);
  EXPECT_EQ(parse_ttl("2147483647"), 2147483647U);
  for (const char* bad : {"", "h", "1x", "1h30", "-1", "2147483648", "99999999999", "3551w", "1 h"}) {
    EXPECT_EQ(parse_ttl(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace headgate::dns
