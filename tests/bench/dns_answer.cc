// dns_answer.cc -- what a zone of 100,000 names costs to load and hold, and nanoseconds per answer.
// links: headgate_dns
// Prints figures; asserts nothing. Queries are drawn at random: 80 % hits, 10 % NODATA, 10 % NXDOMAIN.
#include <sys/resource.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "dataplane/base/check.h"
#include "dataplane/base/random.h"
#include "dataplane/dns/answer.h"
#include "dataplane/dns/message.h"
#include "dataplane/dns/zone_file.h"

namespace {

using namespace headgate;
using namespace headgate::dns;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Resident memory of this process in KiB.
size_t resident_kib() {
  std::ifstream statm("/proc/self/statm");
  size_t total = 0;
  size_t resident = 0;
  statm >> total >> resident;
  return resident * 4;
}

Name host(size_t i, bool is_flat) {
  return *Name::parse("host-" + std::to_string(i) + (is_flat ? ".home.lan" : ".lan"));
}

ZoneSet load(size_t count, bool is_flat) {
  const size_t before = resident_kib();
  const auto start = std::chrono::steady_clock::now();
  ZoneSetBuilder builder;
  if (!is_flat) HG_CHECK(builder.open_zone(Name::parse("lan")->view()).has_value());
  for (size_t i = 0; i < count; ++i) {
    const std::array<uint8_t, 4> address = {10, static_cast<uint8_t>(i >> 16), static_cast<uint8_t>(i >> 8),
                                            static_cast<uint8_t>(i)};
    HG_CHECK(builder.add(host(i, is_flat).view(), kTypeA, 300, address).has_value());
  }
  std::vector<ZoneProblem> problems;
  auto zones = builder.build(problems);
  HG_CHECK(zones.has_value());
  std::printf("%7zu names, %-9s: %6.1f ms to build, %6.2f MiB (%.0f B/name), resident +%.1f MiB\n", count,
              is_flat ? "flat" : "one zone", seconds_since(start) * 1e3,
              static_cast<double>(zones->memory_bytes()) / 1048576,
              static_cast<double>(zones->memory_bytes()) / static_cast<double>(count),
              static_cast<double>(resident_kib() - before) / 1024);
  return std::move(*zones);
}

void load_file(size_t count) {
  std::string text = "$TTL 300\n@ SOA ns1 admin 1 3600 600 604800 300\n@ NS ns1\nns1 A 192.0.2.1\n";
  for (size_t i = 0; i < count; ++i) {
    text += "host-" + std::to_string(i) + " IN A 10." + std::to_string(i >> 16 & 255) + "." +
            std::to_string(i >> 8 & 255) + "." + std::to_string(i & 255) + "\n";
  }
  const auto start = std::chrono::steady_clock::now();
  ZoneSetBuilder builder;
  std::vector<ZoneFileProblem> problems;
  HG_CHECK(read_zone_file(text, Name::parse("lan")->view(), {}, builder, problems));
  std::vector<ZoneProblem> found;
  HG_CHECK(builder.build(found).has_value());
  std::printf("%7zu names, zone file: %6.1f ms to read and build\n", count, seconds_since(start) * 1e3);
}

void measure(const ZoneSet& zones, size_t count, const char* what, int kind) {
  Random random(7);
  std::vector<std::vector<uint8_t>> queries;
  for (size_t i = 0; i < 4096; ++i) {
    const uint64_t draw = kind < 0 ? random.below(10) : static_cast<uint64_t>(kind);
    const Name name = draw == 9 ? *Name::parse("none-" + std::to_string(i) + ".lan") : host(random.below(count), false);
    queries.push_back(build_query(name.view(), draw == 8 ? kTypeAaaa : kTypeA, static_cast<uint16_t>(i)));
  }
  std::array<uint8_t, 1232> out;
  size_t bytes = 0;
  double best = 1e9;
  for (int round = 0; round < 5; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (int repeat = 0; repeat < 50; ++repeat) {
      for (const auto& query : queries) bytes += answer(zones, query, out, {});
    }
    best = std::min(best, seconds_since(start) * 1e9 / (50.0 * static_cast<double>(queries.size())));
  }
  std::printf("%7zu names, %-9s: %6.1f ns per answer (%zu bytes written)\n", count, what, best, bytes);
}

}  // namespace

int main() {
  for (const size_t count : {size_t{100}, size_t{100'000}}) {
    const ZoneSet zones = load(count, false);
    measure(zones, count, "mixed", -1);
    measure(zones, count, "hits", 0);
    measure(zones, count, "NODATA", 8);
    measure(zones, count, "NXDOMAIN", 9);
  }
  load(100'000, true);
  load_file(100'000);
  return 0;
}
