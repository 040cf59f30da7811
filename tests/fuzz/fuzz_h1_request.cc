// fuzz_h1_request.cc -- request heads: the same outcome however the bytes are cut, and what we would send parses equal.
// links: headgate_http1
#include <cstdint>
#include <cstdlib>
#include <string>

#include "dataplane/http/uri.h"
#include "dataplane/http1/parser.h"
#include "dataplane/http1/serializer.h"

using namespace headgate;         // NOLINT
using namespace headgate::http1;  // NOLINT

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

struct Parsed {
  Arena arena;
  http::RequestHead head{arena};
  RequestParser parser;
  Outcome outcome = Outcome::kNeedMore;
};

bool equal(const Parsed& a, const Parsed& b) {
  if (a.outcome != b.outcome) return false;
  if (a.outcome == Outcome::kError) return a.parser.error().code == b.parser.error().code;
  if (a.outcome == Outcome::kNeedMore) return true;
  if (a.head.target != b.head.target || a.head.path != b.head.path || a.head.host != b.head.host ||
      a.head.protocol != b.head.protocol || a.head.expect_continue != b.head.expect_continue ||
      a.parser.head_size() != b.parser.head_size() || !(a.parser.framing() == b.parser.framing()) ||
      a.parser.keep_alive() != b.parser.keep_alive() || a.head.headers.size() != b.head.headers.size()) {
    return false;
  }
  for (size_t i = 0; i < a.head.headers.size(); ++i) {
    const http::Field& one = a.head.headers.fields()[i];
    const http::Field& two = b.head.headers.fields()[i];
    if (one.name != two.name || one.value != two.value || one.id != two.id) return false;
  }
  return true;
}

void check_round_trip(Parsed& whole) {
  // What goes upstream: the normalized target, our framing.
  const std::string_view target = http::forward_target(whole.head, whole.arena);
  HeadOptions options{.framing = whole.parser.framing()};
  std::string again(request_head_room(whole.head, whole.head.headers, target, options), '\0');
  if (whole.head.authority.empty()) return;  // HTTP/1.0 without Host becomes 1.1 with an empty one: refused, rightly
  again.resize(static_cast<size_t>(
      write_request_head(again.data(), whole.head, whole.head.headers, target, options) - again.data()));
  Parsed second;
  // Connection and Upgrade are not ours to repeat; limits are those of the text as it was.
  second.outcome = second.parser.parse(again, {.header_bytes = 1 << 20, .header_fields = 4096, .target_bytes = 1 << 16},
                                       second.head);
  if (whole.head.headers.has(http::FieldId::kExpect) && second.outcome == Outcome::kError) {
    require(second.parser.error().code == Errc::kExpectation);
    return;
  }
  require(second.outcome == Outcome::kDone);
  require(second.head.path == whole.head.path && second.head.query == whole.head.query);
  require(second.head.host == whole.head.host);
  require(second.parser.framing() == whole.parser.framing());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const http::HttpLimits limits{.header_bytes = 4096, .header_fields = 20, .target_bytes = 512};
  Parsed whole;
  whole.outcome = whole.parser.parse(bytes, limits, whole.head);

  // Two pieces, the second at another address.
  const size_t cut = size == 0 ? 0 : data[size / 2] % size;
  Parsed halves;
  const std::string first = bytes.substr(0, cut);
  halves.outcome = halves.parser.parse(first, limits, halves.head);
  if (halves.outcome == Outcome::kNeedMore) halves.outcome = halves.parser.parse(bytes, limits, halves.head);
  require(equal(whole, halves));

  Parsed bytewise;
  for (size_t end = 1; end <= size && bytewise.outcome == Outcome::kNeedMore; ++end) {
    bytewise.outcome = bytewise.parser.parse({bytes.data(), end}, limits, bytewise.head);
  }
  require(equal(whole, bytewise));
  if (whole.outcome == Outcome::kDone) check_round_trip(whole);
  return 0;
}
