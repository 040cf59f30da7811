// The 24 probes of RFC 8906 8 and malformed or hostile packets, through parse_query() and answer().
#include "dataplane/dns/query.h"

#include <gtest/gtest.h>

#include <functional>

#include "dataplane/base/random.h"
#include "dataplane/dns/text_escape.h"
#include "tests/dataplane/dns/dns_fixture.h"

namespace headgate::dns {
namespace {

const ZoneSet& small_zone() {
  static const ZoneSet zones = [] {
    std::string text = "@ SOA ns1 admin 7 3600 600 604800 60\n@ NS ns1\nns1 A 192.0.2.53\n@ TXT one\n@ A 192.0.2.1\n";
    for (int i = 0; i < 40; ++i) text += "big A 192.0.2." + std::to_string(i) + "\n";
    return zone_of(text, "lan");
  }();
  return zones;
}

struct Raw {
  uint16_t flags = 0;
  std::array<uint16_t, 4> counts = {1, 0, 0, 0};
  std::string body{};  // hex after the header

  [[nodiscard]] std::vector<uint8_t> bytes() const {
    std::vector<uint8_t> out = {0xab, 0xcd, static_cast<uint8_t>(flags >> 8), static_cast<uint8_t>(flags)};
    for (const uint16_t count : counts) {
      out.push_back(static_cast<uint8_t>(count >> 8));
      out.push_back(static_cast<uint8_t>(count));
    }
    const auto tail = parse_hex_bytes(body);
    EXPECT_TRUE(tail.has_value()) << body;
    if (tail.has_value()) out.insert(out.end(), tail->begin(), tail->end());
    return out;
  }
};

const std::string kLan = "036C616E00";
const std::string kSoaIn = kLan + "00060001";
// OPT: payload 1232, extended code 0, then version, flags, options.
std::string opt(const char* version, const char* flags, const char* options = "0000", const char* payload = "04D0") {
  return std::string("000029") + payload + "00" + version + flags + options;
}

struct Probe {
  const char* name;
  Raw query;
  uint16_t rcode;
  // What else must hold of the response.
  std::function<void(const Message&)> check = [](const Message&) {};
};

void has_soa_answer(const Message& response) {
  ASSERT_EQ(response.answers.size(), 1U);
  EXPECT_EQ(response.answers[0].type, kTypeSoa);
  EXPECT_TRUE(response.authoritative);
}
void has_edns_only(const Message& response) {
  has_soa_answer(response);
  ASSERT_TRUE(response.edns.has_value());
  EXPECT_EQ(response.edns->udp_payload, 1232);
  EXPECT_EQ(response.edns->version, 0);
  EXPECT_FALSE(response.edns->dnssec_ok);
  EXPECT_TRUE(response.edns->options.empty());
}
void is_bad_version(const Message& response) {
  ASSERT_TRUE(response.edns.has_value());
  EXPECT_EQ(response.edns->version, 0);
  EXPECT_TRUE(response.edns->options.empty());
  EXPECT_TRUE(response.answers.empty());
  EXPECT_TRUE(response.authorities.empty());
}
void is_bare(const Message& response) {
  EXPECT_TRUE(response.answers.empty());
  EXPECT_TRUE(response.authorities.empty());
  EXPECT_TRUE(response.additionals.empty());
}
void echoes_no_bit(const Message& response) {
  has_soa_answer(response);
  EXPECT_FALSE(response.authentic_data);
  EXPECT_FALSE(response.checking_disabled);
  EXPECT_FALSE(response.recursion_available);
}

TEST(Query, TwentyFourProbes) {
  const Probe probes[] = {
      {"noedns soa",
       {0, {1, 0, 0, 0}, kSoaIn},
       0,
       [](const Message& r) {
         has_soa_answer(r);
         EXPECT_FALSE(r.edns.has_value());
       }},
      {"type1000",
       {0, {1, 0, 0, 0}, kLan + "03E80001"},
       0,
       [](const Message& r) {
         EXPECT_TRUE(r.answers.empty());
         ASSERT_EQ(r.authorities.size(), 1U);
         EXPECT_EQ(r.authorities[0].type, kTypeSoa);
       }},
      {"CD=1", {0x0010, {1, 0, 0, 0}, kSoaIn}, 0, echoes_no_bit},
      {"AD=1", {0x0020, {1, 0, 0, 0}, kSoaIn}, 0, echoes_no_bit},
      {"Z=1", {0x0040, {1, 0, 0, 0}, kSoaIn}, 0, echoes_no_bit},
      {"opcode 15, header only",
       {15 << 11, {0, 0, 0, 0}, ""},
       kRcodeNotImp,
       [](const Message& r) { EXPECT_EQ(r.opcode, 15); }},
      {"RD=1",
       {0x0100, {1, 0, 0, 0}, kSoaIn},
       0,
       [](const Message& r) {
         echoes_no_bit(r);
         EXPECT_TRUE(r.recursion_desired);
       }},
      {"EDNS 0", {0, {1, 0, 0, 1}, kSoaIn + opt("00", "0000")}, 0, has_edns_only},
      {"EDNS version 100", {0, {1, 0, 0, 1}, kSoaIn + opt("64", "0000")}, kRcodeBadVers, is_bad_version},
      {"option 100", {0, {1, 0, 0, 1}, kSoaIn + opt("00", "0000", "000400640000")}, 0, has_edns_only},
      {"flag 0x40", {0, {1, 0, 0, 1}, kSoaIn + opt("00", "0040")}, 0, has_edns_only},
      {"version 100, flag", {0, {1, 0, 0, 1}, kSoaIn + opt("64", "0040")}, kRcodeBadVers, is_bad_version},
      {"version 100, option",
       {0, {1, 0, 0, 1}, kSoaIn + opt("64", "0000", "000400640000")},
       kRcodeBadVers,
       is_bad_version},
      {"bufsize 512",
       {0, {1, 0, 0, 1}, "03626967" + kLan + "00010001" + opt("00", "0000", "0000", "0200")},
       0,
       [](const Message& r) {
         EXPECT_TRUE(r.truncated);
         EXPECT_TRUE(r.answers.empty());
       }},
      {"DO",
       {0, {1, 0, 0, 1}, kSoaIn + opt("00", "8000")},
       0,
       [](const Message& r) {
         has_soa_answer(r);
         EXPECT_TRUE(r.edns->dnssec_ok);
       }},
      {"version 100, DO", {0, {1, 0, 0, 1}, kSoaIn + opt("64", "8000")}, kRcodeBadVers, is_bad_version},
      {"NSID, ECS, EXPIRE, COOKIE",
       {0,
        {1, 0, 0, 1},
        kSoaIn + opt("00", "0000",
                     "001F"
                     "00030000"
                     "0008000700011800C00002"
                     "00090000"
                     "000A00080102030405060708")},
       0,
       has_edns_only},
      {"ANY",
       {0, {1, 0, 0, 0}, kLan + "00FF0001"},
       0,
       [](const Message& r) {
         ASSERT_EQ(r.answers.size(), 1U);
         EXPECT_EQ(r.answers[0].type, kTypeA);
       }},
      {"CH TXT version.bind",
       {0,
        {1, 0, 0, 0},
        "0776657273696F6E0462696E6400"
        "00100003"},
       kRcodeRefused,
       is_bare},
      {"class HS", {0, {1, 0, 0, 0}, kLan + "00060004"}, kRcodeRefused, is_bare},
      {"class ANY", {0, {1, 0, 0, 0}, kLan + "000600FF"}, kRcodeRefused, is_bare},
      {"class NONE", {0, {1, 0, 0, 0}, kLan + "000600FE"}, kRcodeRefused, is_bare},
      {"AXFR", {0, {1, 0, 0, 0}, kLan + "00FC0001"}, kRcodeRefused, is_bare},
      {"IXFR with SOA",
       {0,
        {1, 0, 1, 0},
        kLan + "00FB0001"
               "C00C00060001000000000016"
               "0000"
               "000000010000000100000001000000010000"
               "0001"},
       kRcodeRefused,
       is_bare},
      {"other zone",
       {0,
        {1, 0, 0, 0},
        "076578616D706C6500"
        "00060001"},
       kRcodeRefused,
       [](const Message& r) {
         is_bare(r);
         EXPECT_FALSE(r.authoritative);
       }},
  };
  for (const Probe& probe : probes) {
    SCOPED_TRACE(probe.name);
    for (const bool is_udp : {true, false}) {  // the probe "same over TCP", for each of them
      if (!is_udp && std::string_view(probe.name) == "bufsize 512") continue;
      const auto bytes = answer_bytes(small_zone(), probe.query.bytes(), {.is_udp = is_udp});
      const auto response = parse_message(bytes);
      ASSERT_TRUE(response.has_value());
      EXPECT_TRUE(response->is_response);
      EXPECT_EQ(response->id, 0xabcd);
      EXPECT_EQ(response->rcode, probe.rcode);
      EXPECT_FALSE(response->recursion_available);
      probe.check(*response);
    }
  }
}

TEST(Query, SendsNsidOnlyWhenConfigured) {
  Message query = query_for("lan", kTypeSoa);
  query.edns->options.push_back({3, {}});
  const Message response = ask(small_zone(), query, {.nsid = as_bytes("gw-1")});
  ASSERT_EQ(response.edns->options.size(), 1U);
  EXPECT_EQ(response.edns->options[0].code, 3);
  EXPECT_EQ(as_text(response.edns->options[0].value), "gw-1");
  EXPECT_TRUE(ask(small_zone(), query_for("lan", kTypeSoa), {.nsid = as_bytes("gw-1")}).edns->options.empty());
}

// D1: malformed. The header is whole, so FORMERR is sent, without a guess at EDNS.
TEST(Query, MalformedPackets) {
  const std::string label64 = "40" + std::string(128, '6');
  std::string name256;
  for (int i = 0; i < 4; ++i) name256 += "3F" + std::string(126, '6');
  const std::pair<const char*, Raw> cases[] = {
      {"QDCOUNT 0", {0, {0, 0, 0, 0}, ""}},
      {"QDCOUNT 2", {0, {2, 0, 0, 0}, kSoaIn + kSoaIn}},
      {"QDCOUNT 1 and no question", {0, {1, 0, 0, 0}, ""}},
      {"half a question", {0, {1, 0, 0, 0}, kLan + "0006"}},
      {"name without an end", {0, {1, 0, 0, 0}, "036C616E"}},
      {"label of 64",
       {0,
        {1, 0, 0, 0},
        label64 + "00"
                  "00060001"}},
      {"label type 10",
       {0,
        {1, 0, 0, 0},
        "81"
        "6100"
        "00060001"}},
      {"name of 257",
       {0,
        {1, 0, 0, 0},
        name256 + "00"
                  "00060001"}},
      {"pointer to itself",
       {0,
        {1, 0, 0, 0},
        "C00C"
        "00060001"}},
      {"pointer forward",
       {0,
        {1, 0, 0, 0},
        "C012"
        "00060001"
        "0161"
        "00"}},
      {"pointer into the header",
       {0,
        {1, 0, 0, 0},
        "C004"
        "00060001"}},
      {"pointer loop after a label",
       {0,
        {1, 0, 0, 0},
        "0161C00C"
        "00060001"}},
      {"trailing byte", {0, {1, 0, 0, 0}, kSoaIn + "00"}},
      {"ARCOUNT lies", {0, {1, 0, 0, 1}, kSoaIn}},
      {"ANCOUNT lies", {0, {1, 65535, 0, 0}, kSoaIn}},
      {"NSCOUNT lies", {0, {1, 0, 65535, 65535}, kSoaIn + opt("00", "0000")}},
      {"data past the end",
       {0,
        {1, 0, 0, 1},
        kSoaIn + "00"
                 "00100001"
                 "00000000"
                 "0004"
                 "61"}},
      {"two OPT records", {0, {1, 0, 0, 2}, kSoaIn + opt("00", "0000") + opt("00", "0000")}},
      {"OPT with an owner", {0, {1, 0, 0, 1}, kSoaIn + "0161" + opt("00", "0000")}},
      {"OPT with a pointer as owner", {0, {1, 0, 0, 1}, kSoaIn + "C010" + opt("00", "0000").substr(2)}},
      {"OPT as an answer", {0, {1, 1, 0, 0}, kSoaIn + opt("00", "0000")}},
      {"OPT in authority", {0, {1, 0, 1, 0}, kSoaIn + opt("00", "0000")}},
      {"option past the end", {0, {1, 0, 0, 1}, kSoaIn + opt("00", "0000", "000400640001")}},
      {"half an option", {0, {1, 0, 0, 1}, kSoaIn + opt("00", "0000", "00020064")}},
      {"OPT as type", {0, {1, 0, 0, 0}, kLan + "00290001"}},
      {"TSIG as type", {0, {1, 0, 0, 0}, kLan + "00FA0001"}},
  };
  for (const auto& [name, raw] : cases) {
    SCOPED_TRACE(name);
    AnswerReport report;
    const auto bytes = answer_bytes(small_zone(), raw.bytes(), {}, &report);
    const auto response = parse_message(bytes);
    ASSERT_TRUE(response.has_value());
    EXPECT_EQ(response->rcode, kRcodeFormErr);
    EXPECT_EQ(report.outcome, Outcome::kFormErr);
    EXPECT_FALSE(response->edns.has_value());
    is_bare(*response);
    EXPECT_LE(bytes.size(), raw.bytes().size());
  }
}

// D2: other operations and meta types.
TEST(Query, OtherOperations) {
  for (const uint16_t opcode : {1, 2, 3, 4, 5, 6, 9, 14, 15}) {
    const Raw raw{static_cast<uint16_t>(opcode << 11), {1, 0, 0, 0}, kSoaIn};
    const auto response = parse_message(answer_bytes(small_zone(), raw.bytes()));
    ASSERT_TRUE(response.has_value());
    EXPECT_EQ(response->rcode, kRcodeNotImp);
    EXPECT_EQ(response->opcode, opcode);
    EXPECT_EQ(response->questions.size(), 1U);
  }
  // The sections of an UPDATE are not questions and records of ours to read; nothing in them may matter.
  const Raw update{5 << 11, {1, 9, 9, 9}, kSoaIn + "FFFFFFFF"};
  EXPECT_EQ(parse_message(answer_bytes(small_zone(), update.bytes()))->rcode, kRcodeNotImp);
  for (const char* type : {"00FD", "00FE", "0081", "00F8"}) {
    const Raw raw{0, {1, 0, 0, 0}, kLan + type + "0001"};
    EXPECT_EQ(parse_message(answer_bytes(small_zone(), raw.bytes()))->rcode, kRcodeNotImp) << type;
  }
  // Every class and type gets some answer that reads back.
  for (uint32_t value = 0; value < 65536; value += value < 300 ? 1 : 251) {
    for (const bool is_class : {true, false}) {
      Message query = query_for("lan", is_class ? kTypeSoa : static_cast<uint16_t>(value));
      if (is_class) query.questions[0].klass = static_cast<uint16_t>(value);
      ask(small_zone(), query);
    }
  }
}

// D3: nothing is ever sent in return for a response, nor for less than a header.
TEST(Query, SilentCases) {
  for (const uint16_t flags : {0x8000, 0x8180, 0x8183, 0xffff, 0xf801}) {
    const Raw raw{flags, {1, 0, 0, 0}, kSoaIn};
    AnswerReport report;
    EXPECT_TRUE(answer_bytes(small_zone(), raw.bytes(), {}, &report).empty());
    EXPECT_EQ(report.outcome, Outcome::kDrop);
  }
  const auto whole = Raw{0, {1, 0, 0, 0}, kSoaIn}.bytes();
  for (size_t size = 0; size < kHeaderBytes; ++size) {
    EXPECT_TRUE(answer_bytes(small_zone(), Bytes(whole).first(size)).empty()) << size;
  }
  // Our own responses, errors included, fed back.
  for (size_t size = kHeaderBytes; size <= whole.size(); ++size) {
    const auto response = answer_bytes(small_zone(), Bytes(whole).first(size));
    EXPECT_FALSE(response.empty());
    EXPECT_TRUE(answer_bytes(small_zone(), response).empty());
  }
}

TEST(Query, RandomBytes) {
  const uint64_t seed = Random().next();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random(seed);
  const auto good = write_message(query_for("lan", kTypeSoa));
  for (int round = 0; round < 200000; ++round) {
    std::vector<uint8_t> bytes;
    if (round % 2 == 0) {
      bytes.resize(random.below(80));
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.next());
      if (bytes.size() > 2) bytes[2] &= 0x07;  // else half are responses
    } else {
      bytes = good;
      for (uint64_t flips = 1 + random.below(3); flips > 0; --flips) {
        bytes[random.below(bytes.size())] = static_cast<uint8_t>(random.next());
      }
    }
    std::array<uint8_t, 1232> out;
    const size_t size = answer(small_zone(), bytes, out, {});
    if (bytes.size() < kHeaderBytes || (bytes[2] & 0x80) != 0) {
      ASSERT_EQ(size, 0U);
      continue;
    }
    const auto response = parse_message(Bytes(out).first(size));
    ASSERT_TRUE(response.has_value()) << response.error().detail;
    ASSERT_TRUE(response->is_response);
  }
}

}  // namespace
}  // namespace headgate::dns
