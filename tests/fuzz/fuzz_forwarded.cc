// fuzz_forwarded.cc -- the walk through forwarded addresses: only ever an address of the list or the peer itself, and
// without trust never anything but the peer. Also dates, ranges, weights, entity tags: they must not crash.
// links: headgate_http
#include <cstdint>
#include <cstdlib>
#include <string>

#include "dataplane/http/accept.h"
#include "dataplane/http/conditional.h"
#include "dataplane/http/date.h"
#include "dataplane/http/forwarded.h"
#include "dataplane/http/grpc.h"
#include "dataplane/http/range.h"
#include "dataplane/http/variables.h"

using namespace headgate;        // NOLINT
using namespace headgate::http;  // NOLINT

namespace {
void require(bool condition) {
  if (!condition) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const IpAddress peer = IpAddress::v4(0x0a000001);
  CidrSet trusted;
  trusted.add(*Cidr::parse("10.0.0.0/8"));
  CidrSet everyone;
  everyone.add(*Cidr::parse("0.0.0.0/0"));
  everyone.add(*Cidr::parse("::/0"));
  for (const FieldId id : {FieldId::kXForwardedFor, FieldId::kForwarded, FieldId::kXRealIp}) {
    Arena arena;
    HeaderMap map(arena);
    map.add(id, text);
    require(client_address_of(map, peer, CidrSet()) == peer);
    // Trusting more can only walk further; where a trusted walk stopped at an outsider, that outsider is in the text.
    (void)client_address_of(map, peer, everyone);
    const IpAddress client = client_address_of(map, peer, trusted);
    require(client == peer || text.find_first_of(".:") != std::string::npos);
  }
  for (const uint64_t length : {uint64_t{0}, uint64_t{1}, uint64_t{100}, UINT64_MAX}) {
    const RangeSet set = RangeSet::parse(text, length);
    for (const ByteRange& range : set.ranges()) require(range.first <= range.last && range.last < length);
  }
  Arena arena;
  HeaderMap map(arena);
  map.add(FieldId::kAcceptEncoding, text);
  const AcceptEncoding accept = AcceptEncoding::parse(map);
  for (const Coding coding : {Coding::kIdentity, Coding::kGzip, Coding::kBrotli, Coding::kZstd}) {
    require(accept.weight(coding) <= 1000);
  }
  if (const auto seconds = parse_date(text, 1'700'000'000)) {
    char again[kDateSize];
    write_date(again, *seconds);
    require(parse_date({again, kDateSize}, 1'700'000'000) == seconds);
  }
  require(!etag_list_matches(text, "", false) || text.find('*') != std::string::npos);
  (void)etag_list_matches(text, "\"a\"", true);
  (void)parse_grpc_timeout(text);
  if (const auto made = TextTemplate::parse(text)) {
    require(!made->is_literal() || made->literal().size() <= text.size());
  }
  (void)cookie_value(map, text);
  (void)query_argument(text, "a");
  return 0;
}
