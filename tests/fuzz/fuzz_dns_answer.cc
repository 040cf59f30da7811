// fuzz_dns_answer.cc -- answers to any packet: none to a response, always a message that reads, never over the limit.
// links: headgate_dns
#include <algorithm>
#include <array>
#include <cstdint>

#include "dataplane/base/check.h"
#include "dataplane/dns/answer.h"
#include "dataplane/dns/message.h"
#include "dataplane/dns/zone_file.h"

namespace {

const headgate::dns::ZoneSet& zones() {
  using namespace headgate::dns;
  static const ZoneSet built = [] {
    ZoneSetBuilder builder;
    std::vector<ZoneFileProblem> problems;
    HG_CHECK(
        read_zone_file("@ SOA ns1 admin 7 3600 600 604800 60\n@ NS ns1\n@ MX 10 www\nns1 A 192.0.2.53\n"
                       "www A 192.0.2.1\nwww TXT hello\nalias CNAME www\nloop CNAME loop\n*.wild A 192.0.2.2\n"
                       "a.b.ent A 192.0.2.3\nsub NS ns.sub\nns.sub A 192.0.2.4\n_s._tcp SRV 0 0 80 www\n",
                       Name::parse("lan")->view(), {}, builder, problems));
    std::vector<ZoneProblem> found;
    auto result = builder.build(found);
    HG_CHECK(result.has_value());
    return std::move(*result);
  }();
  return built;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  using namespace headgate::dns;
  const Bytes query(data, size);
  for (const bool is_udp : {true, false}) {
    std::array<uint8_t, 4096> out;
    AnswerReport report;
    const size_t used = answer(zones(), query, out, {.is_udp = is_udp, .any_full = !is_udp}, &report);
    if (size < kHeaderBytes || (data[2] & 0x80) != 0) HG_CHECK(used == 0);
    HG_CHECK((used == 0) == (report.outcome == Outcome::kDrop));
    if (used == 0) continue;
    HG_CHECK(!is_udp || used <= kUdpPayload);
    const auto response = parse_message(Bytes(out).first(used));
    HG_CHECK(response.has_value() && response->is_response && response->id == (data[0] << 8 | data[1]));
    const QueryView view = parse_query(query);
    // The question comes back byte for byte.
    if (view.question_end != 0) HG_CHECK(std::equal(data + 12, data + view.question_end, out.begin() + 12));
    std::array<uint8_t, 4096> second;
    HG_CHECK(answer(zones(), Bytes(out).first(used), second, {}) == 0);
  }
  return 0;
}
