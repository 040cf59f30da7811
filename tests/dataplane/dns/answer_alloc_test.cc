// Counts every allocation of this program: answer(), the cache's hits and rate limits make none.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "dataplane/dns/cache.h"
#include "dataplane/dns/rate.h"
#include "tests/dataplane/dns/dns_fixture.h"

namespace {
size_t allocations = 0;
}  // namespace

// Not inlined: the compiler would take the malloc inside for the caller's own.
[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations;
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) std::abort();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace headgate::dns {
namespace {

TEST(AnswerAlloc, NoneOnTheHotPath) {
  const ZoneSet zones = zone_of(
      "@ SOA ns1 admin 7 3600 600 604800 60\n@ NS ns1\nns1 A 192.0.2.53\nwww A 192.0.2.1\nalias CNAME www\n"
      "@ MX 10 www\n*.wild A 192.0.2.2\nsub NS ns.sub\nns.sub A 192.0.2.3\nsvc SRV 0 0 80 www\n",
      "lan");
  std::vector<std::vector<uint8_t>> queries;
  for (const char* name : {"www.lan", "alias.lan", "lan", "x.wild.lan", "x.sub.lan", "svc.lan", "none.lan", "other"}) {
    for (const uint16_t type : {kTypeA, kTypeMx, kTypeSrv, kTypeSoa, kTypeAny, kTypeAxfr}) {
      queries.push_back(write_message(query_for(name, type)));
    }
  }
  queries.push_back({1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0});  // FORMERR
  queries.push_back({1, 2, 0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0});     // NOTIMP
  AnswerCache cache;
  const auto response = answer_bytes(zones, queries[0]);
  const MonotonicTime now{std::chrono::hours(1)};
  ASSERT_EQ(cache.store(parse_query(queries[0]), response, now), AnswerCache::Stored::kStored);
  RateLimiter limiter;
  const IpAddress client = IpAddress::v4(0xc0000201);
  std::array<uint8_t, 4096> out;
  size_t bytes = 0;
  const size_t before = allocations;
  for (const auto& query : queries) {
    AnswerReport report;
    for (const bool is_udp : {true, false}) {
      bytes += answer(zones, query, out, {.is_udp = is_udp, .any_full = true}, &report);
      limiter.check(client, report.outcome, now);
    }
    const QueryView view = parse_query(query);
    bytes += cache.find(query, view, out, true, now);
  }
  EXPECT_EQ(allocations - before, 0U);
  EXPECT_GT(bytes, 1000U);
  operator delete(operator new(8));
  const size_t after = allocations;
  EXPECT_EQ(after, before + 1);  // the counter counts
}

}  // namespace
}  // namespace headgate::dns
