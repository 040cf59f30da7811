// fuzz_h1_response.cc -- response heads: the same outcome however the bytes are cut, and what we write parses equal.
// links: headgate_http1
#include <cstdint>
#include <cstdlib>
#include <string>

#include "dataplane/http1/parser.h"
#include "dataplane/http1/serializer.h"

using namespace headgate;         // NOLINT
using namespace headgate::http1;  // NOLINT

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

struct Parsed {
  explicit Parsed(http::Method method) : parser(method) {}
  Arena arena;
  http::ResponseHead head{arena};
  ResponseParser parser;
  Outcome outcome = Outcome::kNeedMore;
};

bool equal(const Parsed& a, const Parsed& b) {
  if (a.outcome != b.outcome) return false;
  if (a.outcome != Outcome::kDone) return true;
  if (a.head.status != b.head.status || a.head.reason != b.head.reason || !(a.parser.framing() == b.parser.framing()) ||
      a.parser.keep_alive() != b.parser.keep_alive() || a.head.headers.size() != b.head.headers.size()) {
    return false;
  }
  for (size_t i = 0; i < a.head.headers.size(); ++i) {
    if (a.head.headers.fields()[i].value != b.head.headers.fields()[i].value) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  constexpr http::Method kMethods[] = {http::Method::kGet, http::Method::kHead, http::Method::kConnect};
  const http::Method method = kMethods[data[size - 1] % 3];
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const http::HttpLimits limits{.header_bytes = 4096, .header_fields = 20};
  Parsed whole(method);
  whole.outcome = whole.parser.parse(bytes, limits, whole.head);
  Parsed halves(method);
  const std::string first = bytes.substr(0, data[size / 2] % size);
  halves.outcome = halves.parser.parse(first, limits, halves.head);
  if (halves.outcome == Outcome::kNeedMore) halves.outcome = halves.parser.parse(bytes, limits, halves.head);
  require(equal(whole, halves));
  Parsed bytewise(method);
  for (size_t end = 1; end <= size && bytewise.outcome == Outcome::kNeedMore; ++end) {
    bytewise.outcome = bytewise.parser.parse({bytes.data(), end}, limits, bytewise.head);
  }
  require(equal(whole, bytewise));
  if (whole.outcome != Outcome::kDone) return 0;

  const HeadOptions options{.framing = whole.parser.framing()};
  std::string again(response_head_room(whole.head, options), '\0');
  again.resize(static_cast<size_t>(write_response_head(again.data(), whole.head, options) - again.data()));
  Parsed second(method);
  second.outcome = second.parser.parse(again, {.header_bytes = 1 << 20, .header_fields = 4096}, second.head);
  require(second.outcome == Outcome::kDone);
  require(second.head.status == whole.head.status);
  require(second.head.headers.size() + (whole.head.headers.count(http::FieldId::kConnection)) ==
          whole.head.headers.size());
  return 0;
}
