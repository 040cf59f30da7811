#include "dataplane/http2/abuse_budget.h"

#include <algorithm>

namespace headgate::http2 {

namespace {

constexpr Duration kSpan = std::chrono::seconds(10);
// Browsers cancel hundreds of requests when a page is left; only a peer that mostly cancels is stopped earlier.
constexpr uint32_t kResets = 1000;
constexpr uint32_t kEarlyResets = 200;

struct Rate {
  double burst;
  double per_second;
};
// By AbuseBudget::Frame. Clients send one SETTINGS and a PING now and then; old browsers build a priority tree.
constexpr std::array<Rate, 6> kRates = {{{50, 5}, {100, 10}, {500, 100}, {100, 20}, {100, 20}, {5000, 500}}};

}  // namespace

bool AbuseBudget::allow(Frame frame, MonotonicTime now) {
  const auto index = static_cast<size_t>(frame);
  Bucket& bucket = buckets_[index];
  const Rate& rate = kRates[index];
  if (bucket.tokens < 0) {
    bucket.tokens = rate.burst;
  } else {
    const double seconds = std::chrono::duration<double>(now - bucket.filled).count();
    bucket.tokens = std::min(rate.burst, bucket.tokens + seconds * rate.per_second);
  }
  bucket.filled = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

void AbuseBudget::turn_span(MonotonicTime now) {
  if (now - span_began_ < kSpan) return;
  span_began_ = now;
  span_streams_ = span_resets_ = span_early_ = 0;
}

void AbuseBudget::note_stream(MonotonicTime now) {
  turn_span(now);
  ++span_streams_;
  ++streams_;
}

bool AbuseBudget::allow_reset(bool early, MonotonicTime now) {
  turn_span(now);
  ++span_resets_;
  if (early) ++span_early_;
  return span_resets_ < kResets && (span_early_ < kEarlyResets || span_early_ * 2 <= span_streams_);
}

}  // namespace headgate::http2
