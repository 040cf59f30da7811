#include "dataplane/filters/body_limit.h"

#include "dataplane/http/exchange.h"

namespace headgate::filters {
namespace {

constexpr Error kTooLarge{.code = Errc::kBodyTooLarge,
                          .origin = Origin::kDownstream,
                          .detail = "request body over the limit of the route"};

class CountedBody final : public http::BodySource, private http::BodySink {
 public:
  CountedBody(http::BodySource& source, uint64_t left) : source_(source), left_(left) {}
  [[nodiscard]] std::optional<uint64_t> remaining() const override { return source_.remaining(); }

 private:
  void on_pull() override {
    if (over_) {
      fail(kTooLarge);
    } else {
      source_.pull(*this);
    }
  }
  void on_cancel() override { source_.cancel(); }
  void on_chunk(Buffer chunk) override {
    if (chunk.size() > left_) {
      over_ = true;
      source_.cancel();
      fail(kTooLarge);
      return;
    }
    left_ -= chunk.size();
    deliver(std::move(chunk));
  }
  void on_end(const http::Trailers* trailers) override { finish(trailers); }
  void on_error(const Error& error) override { fail(error); }

  http::BodySource& source_;
  uint64_t left_;
  bool over_ = false;
};

class BodyLimitRun final : public http::FilterRun {
 public:
  explicit BodyLimitRun(uint64_t max_bytes) : max_bytes_(max_bytes) {}

  http::Verdict on_request(http::Exchange& exchange) override {
    if (exchange.request().content_length.value_or(0) <= max_bytes_) return http::Verdict::kContinue;
    exchange.respond_error(kTooLarge);
    return http::Verdict::kAnswered;
  }
  http::BodySource* wrap_request_body(http::Exchange& exchange, http::BodySource* body) override {
    // A length that was told is kept by the framing.
    if (body == nullptr || exchange.request().content_length.has_value()) return body;
    return exchange.arena().make<CountedBody>(*body, max_bytes_);
  }

 private:
  uint64_t max_bytes_;
};

}  // namespace

http::FilterRun* BodyLimit::start(http::Exchange& exchange, WorkerContext&) const {
  if (max_bytes_ == 0 || exchange.request_body() == nullptr) return nullptr;
  return exchange.arena().make<BodyLimitRun>(max_bytes_);
}

}  // namespace headgate::filters
