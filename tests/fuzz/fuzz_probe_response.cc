// fuzz_probe_response.cc -- any answer to a health check, whole and byte by byte, gives the same verdict.
// links: headgate_upstream
#include <cstddef>
#include <cstdint>

#include "dataplane/base/check.h"
#include "dataplane/upstream/probe_response.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using headgate::upstream::ProbeResponse;
  headgate::upstream::ActiveHealthCheck check;
  check.body_contains = "hello";
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  ProbeResponse whole(check);
  auto verdict = whole.feed(text);
  if (verdict == ProbeResponse::Verdict::kMore) verdict = whole.finish();
  ProbeResponse pieces(check);
  auto other = ProbeResponse::Verdict::kMore;
  for (size_t i = 0; i < size && other == ProbeResponse::Verdict::kMore; ++i) other = pieces.feed(text.substr(i, 1));
  if (other == ProbeResponse::Verdict::kMore) other = pieces.finish();
  HG_CHECK(verdict == other);
  return 0;
}
