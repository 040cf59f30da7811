// fuzz_zone_file.cc -- master files: a zone that loads must answer for its apex.
// links: headgate_dns
#include <array>
#include <cstdint>

#include "dataplane/base/check.h"
#include "dataplane/dns/answer.h"
#include "dataplane/dns/message.h"
#include "dataplane/dns/zone_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  using namespace headgate::dns;
  const Name origin = *Name::parse("lan");
  ZoneSetBuilder builder;
  std::vector<ZoneFileProblem> problems;
  const bool good = read_zone_file(as_text(Bytes(data, size)), origin.view(), {.auto_ptr = true}, builder, problems);
  HG_CHECK(good == problems.empty());
  for (const ZoneFileProblem& problem : problems) HG_CHECK(problem.line > 0 && problem.column > 0);
  std::vector<ZoneProblem> found;
  const auto zones = builder.build(found);
  if (!zones.has_value()) return 0;
  for (const uint16_t type : {kTypeSoa, kTypeNs, kTypeAny}) {
    const auto query = build_query(origin.view(), type, 1);
    std::array<uint8_t, 4096> out;
    const size_t used = answer(*zones, query, out, {.is_udp = false, .any_full = true});
    const auto response = parse_message(Bytes(out).first(used));
    HG_CHECK(response.has_value() && response->rcode == kRcodeNoError && response->authoritative);
  }
  return 0;
}
