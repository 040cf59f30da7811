#include "dataplane/dns/zone_builder.h"

#include <gtest/gtest.h>

#include "tests/dataplane/dns/dns_fixture.h"

namespace headgate::dns {
namespace {

std::vector<std::string> problems_of(std::string_view lines, bool expect_zones) {
  ZoneSetBuilder builder;
  add_flat(builder, lines);
  std::vector<ZoneProblem> problems;
  EXPECT_EQ(builder.build(problems).has_value(), expect_zones) << lines;
  std::vector<std::string> texts;
  for (const ZoneProblem& problem : problems) texts.push_back(problem.to_string());
  return texts;
}

TEST(ZoneBuilder, NamesItsProblems) {
  EXPECT_EQ(problems_of("www.lan CNAME shop.lan\nwww.lan A 192.0.2.1", false),
            Lines{"www.lan. CNAME: other records stand beside it"});
  EXPECT_EQ(problems_of("www.lan CNAME a.lan\nwww.lan CNAME b.lan", false), Lines{"www.lan. CNAME: more than one"});
  EXPECT_EQ(problems_of("lan SOA a. b. 1 2 3 4 5\nlan SOA a. b. 2 2 3 4 5", false), Lines{"lan. SOA: more than one"});
  EXPECT_EQ(problems_of("lan NS ns.lan\nsub.lan NS ns.sub.lan\nsub.lan TXT x\nns.sub.lan A 192.0.2.1", true),
            Lines{"sub.lan. TXT: never served: NS records at or above this name delegate it"});
  // The same record twice is one, whatever the case of its owner.
  EXPECT_EQ(problems_of("www.lan A 192.0.2.1\nWWW.lan A 192.0.2.1", true), Lines{});
}

TEST(ZoneBuilder, WarnsOfDifferentTtls) {
  ZoneSetBuilder builder;
  const uint8_t first[] = {192, 0, 2, 1};
  const uint8_t second[] = {192, 0, 2, 2};
  ASSERT_TRUE(builder.add(name_of("a.lan").view(), kTypeA, 300, first, 11).has_value());
  ASSERT_TRUE(builder.add(name_of("a.lan").view(), kTypeA, 60, second, 12).has_value());
  std::vector<ZoneProblem> problems;
  const auto zones = builder.build(problems);
  ASSERT_TRUE(zones.has_value());
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_TRUE(problems[0].is_warning);
  EXPECT_EQ(problems[0].tag, 11U);
  EXPECT_EQ(lines_of(ask(*zones, "a.lan", kTypeA).answers), (Lines{"a.lan. 60 A 192.0.2.1", "a.lan. 60 A 192.0.2.2"}));
}

TEST(ZoneBuilder, RefusesWhatCannotBeServed) {
  ZoneSetBuilder builder(ZoneSetBuilder::Options{.max_records = 2});
  const Name name = name_of("a.lan");
  const uint8_t bytes[] = {192, 0, 2, 1};
  for (const uint16_t type : {uint16_t{0}, kTypeAny, kTypeAxfr, kTypeOpt, kTypeTsig, kTypeRrsig, kTypeDname}) {
    EXPECT_FALSE(builder.add(name.view(), type, 60, bytes).has_value()) << type;
  }
  EXPECT_FALSE(builder.add(name.view(), kTypeA, 60, Bytes(bytes).first(3)).has_value());
  EXPECT_FALSE(builder.add(name.view(), kTypeA, 0x80000000, bytes).has_value());
  EXPECT_FALSE(builder.add(name.view(), kTypeMx, 60, bytes).has_value());
  EXPECT_FALSE(builder.add(name_of("*.lan").view(), kTypeNs, 60, make_name(name.view())).has_value());
  EXPECT_FALSE(builder.open_zone(name_of("*.lan").view()).has_value());
  EXPECT_TRUE(builder.add(name.view(), kTypeA, 60, bytes).has_value());
  EXPECT_TRUE(builder.add(name_of("b.lan").view(), kTypeA, 60, bytes).has_value());
  EXPECT_FALSE(builder.add(name_of("c.lan").view(), kTypeA, 60, bytes).has_value());
}

TEST(ZoneBuilder, RefusesRrsetsOver64KiB) {
  ZoneSetBuilder builder;
  const Name name = name_of("big.lan");
  for (int i = 0; i < 300; ++i) {
    const std::string text = std::to_string(i) + std::string(240, 'x');
    const std::string_view strings[] = {text};
    ASSERT_TRUE(builder.add(name.view(), kTypeTxt, 60, make_txt(strings)).has_value());
  }
  std::vector<ZoneProblem> problems;
  EXPECT_FALSE(builder.build(problems).has_value());
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].to_string(), "big.lan. TXT: over 64 KiB: no message can carry it");
}

TEST(ZoneBuilder, FlatNamesAreZonesOfTheirOwn) {
  const ZoneSet zones = flat_zones(
      "cache.lan A 192.0.2.4\nshop.lan A 192.0.2.10\n_http._tcp.shop.lan SRV 0 100 8080 shop.lan\n"
      "lan.example A 192.0.2.1\nlan.example NS ns1.lan.example\n*.apps.lan A 192.0.2.7\n!.apps.lan A 192.0.2.8");
  EXPECT_EQ(zones.zone_count(), 4U);  // apps.lan is the fourth, whatever sorts before its "*"
  EXPECT_EQ(zones.record_count(), 7U);
  EXPECT_EQ(ask(zones, "lan", kTypeA).rcode, kRcodeRefused);
  EXPECT_EQ(ask(zones, "other.lan", kTypeA).rcode, kRcodeRefused);
  EXPECT_EQ(ask(zones, "x.cache.lan", kTypeA).rcode, kRcodeNxDomain);
  EXPECT_EQ(lines_of(ask(zones, "_tcp.shop.lan", kTypeA).authorities),
            Lines{"shop.lan. 300 SOA shop.lan. hostmaster.shop.lan. 1 3600 600 604800 300"});
  EXPECT_EQ(ask(zones, "_tcp.shop.lan", kTypeA).rcode, kRcodeNoError);
  EXPECT_EQ(lines_of(ask(zones, "x.lan.example", kTypeA).authorities),
            Lines{"lan.example. 300 SOA ns1.lan.example. hostmaster.lan.example. 1 3600 600 604800 300"});
  EXPECT_EQ(lines_of(ask(zones, "cache.lan", kTypeSoa).answers),
            Lines{"cache.lan. 300 SOA cache.lan. hostmaster.cache.lan. 1 3600 600 604800 300"});
  EXPECT_EQ(lines_of(ask(zones, "x.y.apps.lan", kTypeA).answers), Lines{"x.y.apps.lan. 300 A 192.0.2.7"});
  EXPECT_EQ(ask(zones, "apps.lan", kTypeA).rcode, kRcodeNoError);
}

TEST(ZoneBuilder, ImpliedSoaOfALongName) {
  const std::string label(60, 'a');
  const std::string name = label + "." + label + "." + label + "." + label + ".";  // 245 bytes
  const ZoneSet zones = flat_zones(name + " A 192.0.2.1");
  const Message response = ask(zones, name, kTypeAaaa);
  ASSERT_EQ(response.authorities.size(), 1U);
  EXPECT_TRUE(print_rdata(kTypeSoa, response.authorities[0].rdata).find(" hostmaster. ") != std::string::npos);
}

TEST(ZoneBuilder, AutomaticPtr) {
  ZoneSetBuilder builder(ZoneSetBuilder::Options{.auto_ptr = true});
  add_flat(builder,
           "a.lan A 192.0.2.1\nb.lan A 192.0.2.1\nc.lan AAAA 2001:db8::1\n*.lan A 192.0.2.9\nd.lan A 192.0.2.2\n"
           "2.2.0.192.in-addr.arpa PTR given.lan\ne.lan A 192.0.2.3\n3.2.0.192.in-addr.arpa CNAME 3.sub.example");
  const ZoneSet zones = build_or_fail(builder);
  EXPECT_EQ(lines_of(ask(zones, "1.2.0.192.in-addr.arpa", kTypePtr).answers),
            (Lines{"1.2.0.192.in-addr.arpa. 300 PTR a.lan.", "1.2.0.192.in-addr.arpa. 300 PTR b.lan."}));
  EXPECT_EQ(
      lines_of(ask(zones, Name::reverse(make_address(*IpAddress::parse("2001:db8::1"))).to_string(), kTypePtr).answers)
          .size(),
      1U);
  EXPECT_EQ(ask(zones, "9.2.0.192.in-addr.arpa", kTypePtr).rcode, kRcodeRefused);
  EXPECT_EQ(lines_of(ask(zones, "2.2.0.192.in-addr.arpa", kTypePtr).answers),
            Lines{"2.2.0.192.in-addr.arpa. 300 PTR given.lan."});
  EXPECT_EQ(lines_of(ask(zones, "3.2.0.192.in-addr.arpa", kTypePtr).answers),
            Lines{"3.2.0.192.in-addr.arpa. 300 CNAME 3.sub.example."});
}

TEST(ZoneBuilder, FallThrough) {
  ZoneSetBuilder builder;
  ASSERT_TRUE(builder.open_zone(name_of("lan").view(), true).has_value());
  add_flat(builder, "a.lan A 192.0.2.1\nb.example A 192.0.2.2");
  const ZoneSet zones = build_or_fail(builder);
  const auto falls = [&](std::string_view name, uint16_t type) {
    AnswerReport report;
    ask(zones, query_for(name, type), {}, &report);
    return report.falls_through;
  };
  EXPECT_TRUE(falls("x.lan", kTypeA));
  EXPECT_FALSE(falls("a.lan", kTypeA));
  EXPECT_FALSE(falls("a.lan", kTypeAaaa));  // the name is ours
  EXPECT_FALSE(falls("x.b.example", kTypeA));
}

TEST(ZoneBuilder, CatchesAllWithARootWildcard) {
  const ZoneSet zones = flat_zones("* A 192.0.2.1\nreal.lan A 192.0.2.2");
  EXPECT_EQ(lines_of(ask(zones, "any.thing", kTypeA).answers), Lines{"any.thing. 300 A 192.0.2.1"});
  EXPECT_EQ(lines_of(ask(zones, "real.lan", kTypeA).answers), Lines{"real.lan. 300 A 192.0.2.2"});
  EXPECT_EQ(ask(zones, "x.lan", kTypeA).rcode, kRcodeNxDomain);  // below the existing name "lan" (RFC 4592 3.3.1)
}

}  // namespace
}  // namespace headgate::dns
