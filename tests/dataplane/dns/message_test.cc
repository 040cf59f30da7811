#include "dataplane/dns/message.h"

#include <gtest/gtest.h>

#include "dataplane/base/random.h"
#include "tests/dataplane/dns/dns_fixture.h"

namespace headgate::dns {
namespace {

Message sample() {
  Message message = query_for("www.example.com", kTypeA);
  message.is_response = true;
  message.recursion_available = true;
  const auto add = [](std::vector<Record>& into, const char* owner, uint16_t type, const char* data) {
    into.push_back({name_of(owner), type, kClassIn, 60, *parse_rdata(type, data)});
  };
  add(message.answers, "www.example.com", kTypeCname, "web.example.com.");
  add(message.answers, "web.example.com", kTypeA, "192.0.2.1");
  add(message.answers, "web.example.com", kTypeA, "192.0.2.2");
  add(message.authorities, "example.com", kTypeNs, "ns.example.com.");
  add(message.authorities, "example.com", kTypeSoa, "ns.example.com. admin.example.com. 1 2 3 4 5");
  add(message.additionals, "ns.example.com", kTypeSrv, "1 2 3 web.example.com.");
  add(message.additionals, "x.example.com", 731, "\\# 3 C00C00");
  message.edns->options.push_back({10, {1, 2, 3}});
  return message;
}

TEST(Message, RoundTrip) {
  const Message message = sample();
  const auto bytes = write_message(message);
  const auto back = parse_message(bytes);
  ASSERT_TRUE(back.has_value()) << back.error().detail;
  EXPECT_EQ(write_message(*back), bytes);
  EXPECT_EQ(lines_of(back->answers), lines_of(message.answers));
  EXPECT_EQ(lines_of(back->authorities), lines_of(message.authorities));
  EXPECT_EQ(lines_of(back->additionals), lines_of(message.additionals));
  EXPECT_EQ(back->edns->options.size(), 1U);
  EXPECT_EQ(bytes.size(), 212U);  // compressed; 356 without
}

TEST(Message, EveryPrefixAndFlippedByteIsSafe) {
  const auto bytes = write_message(sample());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(parse_message(Bytes(bytes).first(size)).has_value()) << size;
  }
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      auto changed = bytes;
      changed[at] = static_cast<uint8_t>(value);
      const auto message = parse_message(changed);
      if (!message.has_value()) continue;
      EXPECT_LE(write_message(*message, 512).size(), 512U);
    }
  }
}

TEST(Message, TruncatesByWholeRrsets) {
  const Message message = sample();
  const auto whole = write_message(message);
  for (size_t limit = 0; limit < whole.size(); ++limit) {
    const auto bytes = write_message(message, limit);
    EXPECT_LE(bytes.size(), limit);
    if (bytes.empty()) continue;
    const auto cut = parse_message(bytes);
    ASSERT_TRUE(cut.has_value());
    EXPECT_NE(cut->answers.size(), 2U);  // the two addresses come and go together
    EXPECT_EQ(cut->truncated, cut->answers.size() + cut->authorities.size() < 5) << limit;
    EXPECT_TRUE(cut->edns.has_value());
  }
}

TEST(Message, LimitsRecords) {
  std::vector<uint8_t> bytes(12, 0);
  bytes[6] = 0x20;  // 8192 answers
  const auto message = parse_message(bytes);
  ASSERT_FALSE(message.has_value());
  EXPECT_EQ(message.error().code, Errc::kTooLarge);
}

TEST(Message, ClientSide) {
  const auto bytes = build_query(name_of("WwW.example.com").view(), kTypeA, 99);
  const auto query = parse_message(bytes);
  ASSERT_TRUE(query.has_value());
  EXPECT_TRUE(query->recursion_desired);
  ASSERT_TRUE(query->edns.has_value());
  Message response = sample();
  response.id = 99;
  const Question& asked = query->questions[0];
  EXPECT_FALSE(is_response_to(response, 99, asked));  // the case differs
  response.questions[0] = asked;
  EXPECT_TRUE(is_response_to(response, 99, asked));
  EXPECT_FALSE(is_response_to(response, 98, asked));
  response.is_response = false;
  EXPECT_FALSE(is_response_to(response, 99, asked));

  std::vector<const Record*> records;
  EXPECT_EQ(follow_chain(response, asked.name.view(), kTypeA, records), name_of("web.example.com"));
  EXPECT_EQ(records.size(), 2U);
  EXPECT_EQ(follow_chain(response, asked.name.view(), kTypeAaaa, records), name_of("web.example.com"));
  EXPECT_TRUE(records.empty());
  response.answers[1] = {name_of("web.example.com"), kTypeCname, kClassIn, 1, make_name(asked.name.view())};
  response.answers.pop_back();
  follow_chain(response, asked.name.view(), kTypeA, records);  // a loop ends
  EXPECT_TRUE(records.empty());
}

}  // namespace
}  // namespace headgate::dns
