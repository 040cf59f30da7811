#include "dataplane/dns/answer.h"

#include <gtest/gtest.h>

#include "tests/dataplane/dns/dns_fixture.h"

namespace headgate::dns {
namespace {

constexpr std::string_view kZone = R"(
$TTL 300
@       SOA ns1 admin 7 3600 600 604800 60
@       NS  ns1
@       NS  ns2.other.example.
@       MX  10 mail
ns1     A   192.0.2.53
        AAAA 2001:db8::53
mail    A   192.0.2.25
www     A   192.0.2.80
        A   192.0.2.81
        TXT "hello"
alias   CNAME www
alias2  CNAME alias
out     CNAME www.elsewhere.org.
gone    CNAME nothing
loop1   CNAME loop2
loop2   CNAME loop1
self    CNAME self
intosub CNAME host.sub
*.wild  A   192.0.2.99
        TXT "wild"
real.wild MX 10 mail
*.alias.wild CNAME www
a.b.ent A 192.0.2.7
sub     NS  ns.sub
sub     NS  ns1
sub     DS  1 8 2 ABCD
ns.sub  A   192.0.2.100
_s._tcp SRV 0 0 80 www
svc     HTTPS 1 . alpn=h2
svc     A   192.0.2.44
)";

const ZoneSet& zone() {
  static const ZoneSet zones = zone_of(kZone, "lan");
  return zones;
}

const Lines kSoa = {"lan. 60 SOA ns1.lan. admin.lan. 7 3600 600 604800 60"};

TEST(Answer, Names) {
  struct Case {
    const char* name;
    uint16_t type;
    uint16_t rcode;
    bool authoritative;
    Lines answers;
    Lines authorities{};
    Lines additionals{};
  };
  const Case cases[] = {
      {"www.lan", kTypeA, 0, true, {"www.lan. 300 A 192.0.2.80", "www.lan. 300 A 192.0.2.81"}},
      {"WwW.lAn", kTypeTxt, 0, true, {"WwW.lAn. 300 TXT \"hello\""}},
      {"www.lan", kTypeAaaa, 0, true, {}, kSoa},
      {"www.lan", 1000, 0, true, {}, kSoa},
      {"nothing.lan", kTypeA, 3, true, {}, kSoa},
      {"x.www.lan", kTypeA, 3, true, {}, kSoa},
      {"lan", kTypeSoa, 0, true, {"lan. 300 SOA ns1.lan. admin.lan. 7 3600 600 604800 60"}},
      {"lan", kTypeMx, 0, true, {"lan. 300 MX 10 mail.lan."}, {}, {"mail.lan. 300 A 192.0.2.25"}},
      {"_s._tcp.lan",
       kTypeSrv,
       0,
       true,
       {"_s._tcp.lan. 300 SRV 0 0 80 www.lan."},
       {},
       {"www.lan. 300 A 192.0.2.80", "www.lan. 300 A 192.0.2.81"}},
      {"svc.lan", kTypeHttps, 0, true, {"svc.lan. 300 HTTPS 1 . alpn=\"h2\""}, {}, {"svc.lan. 300 A 192.0.2.44"}},
      // CNAME: whatever the type, followed within our data.
      {"alias.lan", kTypeCname, 0, true, {"alias.lan. 300 CNAME www.lan."}},
      {"alias.lan",
       kTypeA,
       0,
       true,
       {"alias.lan. 300 CNAME www.lan.", "www.lan. 300 A 192.0.2.80", "www.lan. 300 A 192.0.2.81"}},
      {"alias2.lan",
       kTypeTxt,
       0,
       true,
       {"alias2.lan. 300 CNAME alias.lan.", "alias.lan. 300 CNAME www.lan.", "www.lan. 300 TXT \"hello\""}},
      {"alias.lan", kTypeMx, 0, true, {"alias.lan. 300 CNAME www.lan."}, kSoa},
      {"gone.lan", kTypeA, 3, true, {"gone.lan. 300 CNAME nothing.lan."}, kSoa},
      {"out.lan", kTypeA, 0, true, {"out.lan. 300 CNAME www.elsewhere.org."}},
      {"loop1.lan", kTypeA, 0, true, {"loop1.lan. 300 CNAME loop2.lan.", "loop2.lan. 300 CNAME loop1.lan."}},
      {"self.lan", kTypeA, 0, true, {"self.lan. 300 CNAME self.lan."}},
      // RFC 4592: synthesis, blocked by names that exist.
      {"x.wild.lan", kTypeA, 0, true, {"x.wild.lan. 300 A 192.0.2.99"}},
      {"x.y.wild.lan", kTypeTxt, 0, true, {"x.y.wild.lan. 300 TXT \"wild\""}},
      {"x.wild.lan", kTypeMx, 0, true, {}, kSoa},
      {"*.wild.lan", kTypeA, 0, true, {"*.wild.lan. 300 A 192.0.2.99"}},
      {"real.wild.lan", kTypeA, 0, true, {}, kSoa},
      {"x.real.wild.lan", kTypeA, 3, true, {}, kSoa},
      {"wild.lan", kTypeA, 0, true, {}, kSoa},
      {"x.alias.wild.lan", kTypeTxt, 0, true, {"x.alias.wild.lan. 300 CNAME www.lan.", "www.lan. 300 TXT \"hello\""}},
      // Empty non-terminals exist.
      {"ent.lan", kTypeA, 0, true, {}, kSoa},
      {"b.ent.lan", kTypeA, 0, true, {}, kSoa},
      {"x.ent.lan", kTypeA, 3, true, {}, kSoa},
      // Delegation.
      {"host.sub.lan",
       kTypeA,
       0,
       false,
       {},
       {"sub.lan. 300 NS ns.sub.lan.", "sub.lan. 300 NS ns1.lan."},
       {"ns.sub.lan. 300 A 192.0.2.100", "ns1.lan. 300 A 192.0.2.53", "ns1.lan. 300 AAAA 2001:db8::53"}},
      {"ns.sub.lan",
       kTypeA,
       0,
       false,
       {},
       {"sub.lan. 300 NS ns.sub.lan.", "sub.lan. 300 NS ns1.lan."},
       {"ns.sub.lan. 300 A 192.0.2.100", "ns1.lan. 300 A 192.0.2.53", "ns1.lan. 300 AAAA 2001:db8::53"}},
      {"sub.lan", kTypeDs, 0, true, {"sub.lan. 300 DS 1 8 2 ABCD"}},
      {"intosub.lan",
       kTypeA,
       0,
       true,
       {"intosub.lan. 300 CNAME host.sub.lan."},
       {"sub.lan. 300 NS ns.sub.lan.", "sub.lan. 300 NS ns1.lan."},
       {"ns.sub.lan. 300 A 192.0.2.100", "ns1.lan. 300 A 192.0.2.53", "ns1.lan. 300 AAAA 2001:db8::53"}},
      {"example", kTypeA, 5, false, {}},
      {".", kTypeNs, 5, false, {}},
  };
  for (const Case& c : cases) {
    const Message response = ask(zone(), c.name, c.type);
    const std::string what = std::string(c.name) + " " + type_name(c.type);
    EXPECT_EQ(response.rcode, c.rcode) << what;
    EXPECT_EQ(response.authoritative, c.authoritative) << what;
    EXPECT_FALSE(response.truncated) << what;
    EXPECT_EQ(lines_of(response.answers), c.answers) << what;
    EXPECT_EQ(lines_of(response.authorities), c.authorities) << what;
    EXPECT_EQ(lines_of(response.additionals), c.additionals) << what;
  }
}

TEST(Answer, KeepsTheCaseOfTheQuestionByteForByte) {
  const auto query = write_message(query_for("wWw.LAn", kTypeA));
  const auto response = answer_bytes(zone(), query);
  ASSERT_GT(response.size(), 25U);
  EXPECT_TRUE(std::equal(query.begin() + 12, query.begin() + 12 + 9 + 4, response.begin() + 12));
  // Owners point to it.
  EXPECT_EQ(response[25], 0xc0);
  EXPECT_EQ(response[26], 0x0c);
}

TEST(Answer, CompressesNames) {
  // Question 9+4, header 12, OPT 11; MX record 12 + 2 + "4mail" + pointer; address 2 + 10 + 4.
  const auto response = answer_bytes(zone(), write_message(query_for("lan", kTypeMx)));
  EXPECT_EQ(response.size(), 12U + 5 + 4 + 12 + 2 + 5 + 2 + 16 + 11);
}

TEST(Answer, AnyIsMinimalOrFull) {
  EXPECT_EQ(lines_of(ask(zone(), "www.lan", kTypeAny).answers),
            (Lines{"www.lan. 300 A 192.0.2.80", "www.lan. 300 A 192.0.2.81"}));
  EXPECT_EQ(lines_of(ask(zone(), "www.lan", kTypeAny, {.any_full = true}).answers),
            (Lines{"www.lan. 300 A 192.0.2.80", "www.lan. 300 A 192.0.2.81", "www.lan. 300 TXT \"hello\""}));
  EXPECT_EQ(lines_of(ask(zone(), "alias.lan", kTypeAny).answers), Lines{"alias.lan. 300 CNAME www.lan."});
  EXPECT_EQ(lines_of(ask(zone(), "ent.lan", kTypeAny).authorities), kSoa);
  EXPECT_EQ(ask(zone(), "none.lan", kTypeAny).rcode, kRcodeNxDomain);
}

TEST(Answer, CapsTtls) {
  const AnswerOptions options{.ttl_cap_s = 30};
  EXPECT_EQ(lines_of(ask(zone(), "www.lan", kTypeTxt, options).answers), Lines{"www.lan. 30 TXT \"hello\""});
  EXPECT_EQ(lines_of(ask(zone(), "www.lan", kTypeMx, options).authorities),
            Lines{"lan. 30 SOA ns1.lan. admin.lan. 7 3600 600 604800 60"});
}

TEST(Answer, TruncatesByWholeRrsets) {
  std::string text = "@ SOA ns1 admin 7 3600 600 604800 60\nns1 A 192.0.2.1\n";
  for (int i = 0; i < 60; ++i) text += "big A 192.0.2." + std::to_string(i) + "\n";
  for (int i = 0; i < 100; ++i) text += "huge A 192.0.3." + std::to_string(i) + "\n";
  text += "alias CNAME big\n";
  const ZoneSet zones = zone_of(text, "lan");
  Message query = query_for("big.lan", kTypeA, false);
  Message response = ask(zones, query);  // 60 * 16 bytes do not fit 512
  EXPECT_TRUE(response.truncated);
  EXPECT_TRUE(response.answers.empty());
  EXPECT_TRUE(response.authoritative);
  query.edns.emplace().udp_payload = 512;
  response = ask(zones, query);
  EXPECT_TRUE(response.truncated);
  EXPECT_TRUE(response.answers.empty());
  ASSERT_TRUE(response.edns.has_value());
  query.edns->udp_payload = 4096;
  EXPECT_EQ(ask(zones, query).answers.size(), 60U);
  EXPECT_FALSE(ask(zones, query).truncated);
  query = query_for("huge.lan", kTypeA);
  query.edns->udp_payload = 65535;  // we never send more than 1232 bytes
  EXPECT_TRUE(ask(zones, query).truncated);
  EXPECT_EQ(ask(zones, query, {.is_udp = false}).answers.size(), 100U);
  query = query_for("alias.lan", kTypeA, false);
  response = ask(zones, query);
  EXPECT_TRUE(response.truncated);
  EXPECT_EQ(lines_of(response.answers), Lines{"alias.lan. 300 CNAME big.lan."});
  query.edns.emplace().udp_payload = 1;  // below 512 counts as 512 (RFC 6891 6.2.3)
  EXPECT_EQ(ask(zones, query).answers.size(), 1U);
}

TEST(Answer, MissingGlueSetsTc) {
  std::string text = "@ SOA ns1 admin 7 3600 600 604800 60\n";
  for (int i = 0; i < 12; ++i) {
    const std::string server = "a-rather-long-server-name-" + std::to_string(i) + ".sub";
    text += "sub NS " + server + "\n" + server + " AAAA 2001:db8::" + std::to_string(i) + "\n";
  }
  const ZoneSet zones = zone_of(text, "lan");
  const Message cut = ask(zones, query_for("x.sub.lan", kTypeA, false));
  EXPECT_TRUE(cut.truncated);  // RFC 9471 3.1
  const Message whole = ask(zones, query_for("x.sub.lan", kTypeA));
  EXPECT_FALSE(whole.truncated);
  EXPECT_EQ(whole.authorities.size(), 12U);
  EXPECT_EQ(whole.additionals.size(), 12U);
}

TEST(Answer, EverySizeOfBufferIsSafe) {
  for (const char* name : {"lan", "www.lan", "x.sub.lan", "alias2.lan", "none.lan"}) {
    for (const uint16_t type : {kTypeA, kTypeNs, kTypeMx, kTypeAny}) {
      const auto query = write_message(query_for(name, type));
      for (size_t size = 0; size < 300; ++size) {
        std::vector<uint8_t> out(size);
        const size_t used = answer(zone(), query, out, {.is_udp = false, .any_full = true});
        ASSERT_LE(used, size);
        if (used == 0) continue;
        const auto response = parse_message(Bytes(out).first(used));
        ASSERT_TRUE(response.has_value()) << response.error().detail;
        EXPECT_TRUE(response->edns.has_value());
      }
    }
  }
}

TEST(Answer, ReportsOutcomes) {
  const std::pair<const char*, Outcome> cases[] = {
      {"www.lan", Outcome::kAnswer},       {"mail.lan", Outcome::kAnswer},    {"ent.lan", Outcome::kNoData},
      {"nothing.lan", Outcome::kNxDomain}, {"x.sub.lan", Outcome::kReferral}, {"example", Outcome::kNotOurs},
  };
  for (const auto& [name, outcome] : cases) {
    AnswerReport report;
    ask(zone(), query_for(name, kTypeA), {}, &report);
    EXPECT_EQ(report.outcome, outcome) << name;
  }
}

TEST(Answer, NestedZonesAnswerForThemselves) {
  ZoneSetBuilder builder;
  std::vector<ZoneFileProblem> problems;
  ASSERT_TRUE(read_zone_file("@ SOA a b 1 2 3 4 5\nin NS ns.in\nx.in A 192.0.2.1\ndeep.er.in TXT \"outer\"\n",
                             name_of("lan").view(), {}, builder, problems));
  ASSERT_TRUE(
      read_zone_file("@ SOA c d 9 2 3 4 5\n@ NS ns\nx A 192.0.2.2\n", name_of("in.lan").view(), {}, builder, problems));
  std::vector<ZoneProblem> found;
  const auto zones = builder.build(found);
  ASSERT_TRUE(zones.has_value());
  EXPECT_EQ(lines_of(ask(*zones, "y.in.lan", kTypeA).authorities),
            Lines{"in.lan. 5 SOA c.in.lan. d.in.lan. 9 2 3 4 5"});
  EXPECT_EQ(lines_of(ask(*zones, "y.lan", kTypeA).authorities), Lines{"lan. 5 SOA a.lan. b.lan. 1 2 3 4 5"});
  EXPECT_TRUE(ask(*zones, "x.in.lan", kTypeA).authoritative);
}

TEST(Answer, WritesErrorsAndSlips) {
  const auto bytes = write_message(query_for("www.lan", kTypeA));
  const QueryView view = parse_query(bytes);
  std::array<uint8_t, 512> out;
  size_t size = write_error(bytes, view, kRcodeServFail, out, {.recursion_available = true});
  auto response = parse_message(Bytes(out).first(size));
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->rcode, kRcodeServFail);
  EXPECT_TRUE(response->recursion_available);
  EXPECT_EQ(response->questions.size(), 1U);
  size = write_truncated(bytes, view, out, {});
  response = parse_message(Bytes(out).first(size));
  ASSERT_TRUE(response.has_value());
  EXPECT_TRUE(response->truncated);
  EXPECT_TRUE(response->answers.empty());
  EXPECT_LE(size, bytes.size());  // no gain for whoever forged the source
  const auto itself = parse_query(Bytes(out).first(size));
  EXPECT_EQ(write_error(Bytes(out).first(size), itself, kRcodeServFail, out, {}), 0U);
}

}  // namespace
}  // namespace headgate::dns
