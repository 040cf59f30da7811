#include "dataplane/dns/cache.h"

#include <gtest/gtest.h>

#include "tests/dataplane/dns/dns_fixture.h"

namespace headgate::dns {
namespace {

using std::chrono::seconds;
using Stored = AnswerCache::Stored;
constexpr MonotonicTime kStart{std::chrono::hours(1)};

Message reply_to(const Message& query) {
  Message response = query;
  response.is_response = true;
  response.recursion_available = true;
  return response;
}
Record record(std::string_view owner, uint16_t type, uint32_t ttl_s, std::string_view data) {
  return {name_of(owner), type, kClassIn, ttl_s, *parse_rdata(type, data)};
}
Stored store(AnswerCache& cache, const Message& query, const Message& response, MonotonicTime now = kStart) {
  const auto bytes = write_message(query);
  return cache.store(parse_query(bytes), write_message(response), now);
}
std::optional<Message> find(AnswerCache& cache, const Message& query, MonotonicTime now, bool is_udp = true) {
  const auto bytes = write_message(query);
  std::vector<uint8_t> out(65535);
  const size_t size = cache.find(bytes, parse_query(bytes), out, is_udp, now);
  if (size == 0) return std::nullopt;
  const auto response = parse_message(Bytes(out).first(size));
  EXPECT_TRUE(response.has_value());
  return *response;
}

TEST(Cache, AnswersUntilTheFirstTtlEnds) {
  AnswerCache cache;
  Message query = query_for("www.Example.com", kTypeA);
  Message response = reply_to(query);
  response.authoritative = true;
  response.answers = {record("www.example.com", kTypeCname, 100, "web.example.com."),
                      record("web.example.com", kTypeA, 60, "192.0.2.1")};
  ASSERT_EQ(store(cache, query, response), Stored::kStored);
  query.id = 77;
  query.questions[0].name = name_of("WWW.EXAMPLE.COM");
  query.recursion_desired = true;
  const auto hit = find(cache, query, kStart + seconds(59) + std::chrono::milliseconds(999));
  ASSERT_TRUE(hit.has_value());
  EXPECT_EQ(hit->id, 77);
  EXPECT_EQ(hit->questions[0].name.to_string(), "WWW.EXAMPLE.COM.");
  EXPECT_TRUE(hit->is_response && hit->recursion_available && hit->recursion_desired && !hit->authoritative);
  EXPECT_EQ(lines_of(hit->answers),
            (Lines{"WWW.EXAMPLE.COM. 41 CNAME web.EXAMPLE.COM.", "web.EXAMPLE.COM. 1 A 192.0.2.1"}));
  ASSERT_TRUE(hit->edns.has_value());
  query.edns.reset();
  EXPECT_FALSE(find(cache, query, kStart)->edns.has_value());
  EXPECT_FALSE(find(cache, query, kStart + seconds(60)).has_value());
  EXPECT_EQ(cache.size(), 0U);
  EXPECT_EQ(cache.bytes(), 0U);
}

TEST(Cache, KeysByTypeClassAndBits) {
  AnswerCache cache;
  const Message query = query_for("a.example", kTypeA);
  Message response = reply_to(query);
  response.answers = {record("a.example", kTypeA, 60, "192.0.2.1")};
  ASSERT_EQ(store(cache, query, response), Stored::kStored);
  EXPECT_TRUE(find(cache, query, kStart).has_value());
  EXPECT_FALSE(find(cache, query_for("a.example", kTypeAaaa), kStart).has_value());
  EXPECT_FALSE(find(cache, query_for("b.example", kTypeA), kStart).has_value());
  Message other = query;
  other.edns->dnssec_ok = true;
  EXPECT_FALSE(find(cache, other, kStart).has_value());
  other = query;
  other.checking_disabled = true;
  EXPECT_FALSE(find(cache, other, kStart).has_value());
}

TEST(Cache, NegativeAnswers) {
  AnswerCache cache;
  const Message query = query_for("none.example", kTypeA);
  Message response = reply_to(query);
  response.rcode = kRcodeNxDomain;
  EXPECT_EQ(store(cache, query, response), Stored::kNotCacheable);  // no SOA (RFC 2308 5)
  response.authorities = {record("example", kTypeSoa, 900, "a. b. 1 2 3 4 30")};
  ASSERT_EQ(store(cache, query, response), Stored::kStored);
  EXPECT_EQ(find(cache, query, kStart + seconds(29))->rcode, kRcodeNxDomain);
  EXPECT_FALSE(find(cache, query, kStart + seconds(30)).has_value());
  response.rcode = kRcodeNoError;
  response.authorities = {record("example", kTypeSoa, 86400, "a. b. 1 2 3 4 86400")};
  ASSERT_EQ(store(cache, query, response), Stored::kStored);
  EXPECT_TRUE(find(cache, query, kStart + seconds(3599)).has_value());
  EXPECT_FALSE(find(cache, query, kStart + seconds(3600)).has_value());
  response.authorities.clear();
  response.rcode = kRcodeServFail;
  ASSERT_EQ(store(cache, query, response), Stored::kStored);
  EXPECT_EQ(find(cache, query, kStart + seconds(4))->rcode, kRcodeServFail);
  EXPECT_FALSE(find(cache, query, kStart + seconds(5)).has_value());
}

TEST(Cache, KeepsNothingDoubtful) {
  AnswerCache cache;
  const Message query = query_for("a.example", kTypeA);
  Message response = reply_to(query);
  response.answers = {record("a.example", kTypeA, 0, "192.0.2.1")};
  EXPECT_EQ(store(cache, query, response), Stored::kNotCacheable);
  response.answers[0].ttl_s = 60;
  response.truncated = true;
  EXPECT_EQ(store(cache, query, response), Stored::kNotCacheable);
  response.truncated = false;
  response.rcode = kRcodeRefused;
  EXPECT_EQ(store(cache, query, response), Stored::kNotCacheable);
  response.rcode = kRcodeNoError;
  response.questions[0].name = name_of("b.example");
  EXPECT_EQ(store(cache, query, response), Stored::kMalformed);
  response = reply_to(query);
  response.is_response = false;
  EXPECT_EQ(store(cache, query, response), Stored::kMalformed);
  EXPECT_EQ(cache.store(parse_query(write_message(query)), as_bytes("garbage"), kStart), Stored::kMalformed);
  EXPECT_EQ(cache.size(), 0U);
}

TEST(Cache, StaysWithinItsBytesAndDropsTheLeastUsed) {
  AnswerCache cache(AnswerCache::Options{.max_bytes = 20000});
  const auto query_of = [](int i) { return query_for("h" + std::to_string(i) + ".example", kTypeA); };
  for (int i = 0; i < 200; ++i) {
    Message response = reply_to(query_of(i));
    response.answers = {record("h" + std::to_string(i) + ".example", kTypeA, 60, "192.0.2.1")};
    ASSERT_EQ(store(cache, query_of(i), response), Stored::kStored);
    EXPECT_LE(cache.bytes(), 20000U);
    EXPECT_TRUE(find(cache, query_of(0), kStart).has_value()) << i;  // used each time, so never dropped
  }
  EXPECT_GT(cache.size(), 20U);
  EXPECT_LT(cache.size(), 100U);
  EXPECT_FALSE(find(cache, query_of(1), kStart).has_value());
  EXPECT_TRUE(find(cache, query_of(199), kStart).has_value());
  Message big = reply_to(query_of(0));
  for (int i = 0; i < 100; ++i) big.answers.push_back(record("h0.example", kTypeTxt, 60, std::string(250, 'x')));
  EXPECT_EQ(store(cache, query_of(0), big), Stored::kNotCacheable);
}

TEST(Cache, CutsForUdp) {
  AnswerCache cache;
  Message query = query_for("a.example", kTypeA, false);
  Message response = reply_to(query);
  for (int i = 0; i < 60; ++i) {
    response.answers.push_back(record("a.example", kTypeA, 60, "192.0.2." + std::to_string(i)));
  }
  ASSERT_EQ(store(cache, query, response), Stored::kStored);
  EXPECT_TRUE(find(cache, query, kStart)->truncated);
  EXPECT_TRUE(find(cache, query, kStart)->answers.empty());
  EXPECT_EQ(find(cache, query, kStart, false)->answers.size(), 60U);
}

}  // namespace
}  // namespace headgate::dns
