#include "dataplane/filters/rate_limit.h"

#include <algorithm>

#include "dataplane/base/log.h"
#include "dataplane/http/error_response.h"

namespace headgate::filters {
namespace {

class Refusal final : public http::FilterRun {
 public:
  Refusal(uint16_t status, uint32_t retry_after_s) : status_(status), retry_after_s_(retry_after_s) {}
  http::Verdict on_request(http::Exchange& exchange) override {
    http::write_status_response(exchange, status_, retry_after_s_);
    return http::Verdict::kAnswered;
  }

 private:
  uint16_t status_;
  uint32_t retry_after_s_;
};

}  // namespace

RateLimiter::RateLimiter(RateLimitOptions options, LimitKey key, std::shared_ptr<RateBuckets> buckets)
    : options_(std::move(options)),
      key_(std::move(key)),
      limit_(RateLimit::per(options_.requests, options_.period, options_.burst + 1)),
      buckets_(std::move(buckets)) {}

http::FilterRun* RateLimiter::start(http::Exchange& exchange, WorkerContext& worker) const {
  if (options_.exempt.contains(exchange.client_address)) return nullptr;
  const auto key = key_.of(exchange);
  if (!key) return nullptr;
  const RateVerdict verdict = buckets_->take(*key, limit_, worker.loop.now());
  if (verdict.allowed) return nullptr;
  if (options_.dry_run) {
    HG_LOG(kInfo, kHttp, "over the rate limit", {"host", exchange.request().host}, {"route", exchange.route_name});
    return nullptr;
  }
  const auto wait = std::chrono::ceil<std::chrono::seconds>(verdict.retry_after);
  return exchange.arena().make<Refusal>(options_.status, static_cast<uint32_t>(std::max<int64_t>(wait.count(), 1)));
}

}  // namespace headgate::filters
