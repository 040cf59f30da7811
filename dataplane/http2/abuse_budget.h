// abuse_budget.h -- what one connection may do that costs us more than the client: frames without work, resets.
//
// A frame kind has a token bucket. Window updates are measured against the data they make room for, and so are pings:
// gRPC measures bandwidth by a PING for each piece of data. Resets are counted in spans of ten seconds, those a client
// sends and those it makes us send alike.
// Spec: RFC 9113 10.5, CVE-2019-9511 to 9518, CVE-2023-44487, CVE-2025-8671.
// Thread: worker.   Owner: Session.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/base/clock.h"

namespace headgate::http2 {

class AbuseBudget {
 public:
  enum class Frame : uint8_t { kSettings, kPing, kPriority, kEmpty, kUnknown, kIgnored };

  // False: the budget is spent and the connection should be told to calm down.
  [[nodiscard]] bool allow(Frame frame, MonotonicTime now);
  [[nodiscard]] bool allow_window_update() { return ++window_updates_ <= kFreeUpdates + 10 * (data_frames_ + streams_); }
  [[nodiscard]] bool allow_ping(MonotonicTime now) {
    return ++pings_ <= data_frames_ + streams_ || allow(Frame::kPing, now);
  }
  // `early`: before a response was begun, so that work was thrown away.
  [[nodiscard]] bool allow_reset(bool early, MonotonicTime now);
  void note_data_frame() { ++data_frames_; }
  void note_stream(MonotonicTime now);

 private:
  static constexpr uint64_t kFreeUpdates = 1000;
  struct Bucket {
    double tokens = -1;  // negative: not used yet, full
    MonotonicTime filled{};
  };

  void turn_span(MonotonicTime now);

  std::array<Bucket, 6> buckets_;
  uint64_t window_updates_ = 0;
  uint64_t pings_ = 0;
  uint64_t data_frames_ = 0;
  uint64_t streams_ = 0;
  MonotonicTime span_began_{};
  uint32_t span_streams_ = 0;
  uint32_t span_resets_ = 0;
  uint32_t span_early_ = 0;
};

}  // namespace headgate::http2
