// probe_response.h -- reads the answer to an HTTP health check: the status, and when asked for a part of the body.
//
// Far less than an HTTP client: one response on a connection that is closed after it. Interim responses are skipped,
// chunked bodies are unwrapped, at most kMaxBytes are looked at.
// Spec: RFC 9112 4, 6.3, 7.1.   Thread: any.   Owner: Probe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "dataplane/upstream/upstream.h"

namespace headgate::upstream {

class ProbeResponse {
 public:
  static constexpr size_t kMaxBytes = 65536;

  enum class Verdict : uint8_t { kMore, kHealthy, kUnhealthy };

  explicit ProbeResponse(const ActiveHealthCheck& check) : check_(check) {}
  // The next bytes of the connection. After anything but kMore nothing may follow.
  Verdict feed(std::string_view bytes);
  // The connection has ended.
  Verdict finish();
  // Why it is unhealthy: a static text.
  [[nodiscard]] const char* reason() const { return reason_; }
  [[nodiscard]] uint32_t status() const { return status_; }

 private:
  enum class Framing : uint8_t { kUntilClose, kLength, kChunked };

  Verdict fail(const char* reason);
  Verdict read_head();
  Verdict read_body(bool ended);
  bool read_field(std::string_view line);
  [[nodiscard]] bool unchunk(bool& complete);

  const ActiveHealthCheck& check_;
  std::string received_;  // of the response that is being read
  std::string body_;      // unwrapped; chunked only
  size_t body_at_ = 0;    // in received_; 0: the head is not complete
  size_t chunk_at_ = 0;   // in received_: the next chunk-size line
  uint64_t length_ = 0;
  size_t total_ = 0;
  Framing framing_ = Framing::kUntilClose;
  uint32_t status_ = 0;
  const char* reason_ = "";
};

}  // namespace headgate::upstream
