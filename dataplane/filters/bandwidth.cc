#include "dataplane/filters/bandwidth.h"

#include <algorithm>

#include "dataplane/http/exchange.h"

namespace headgate::filters {
namespace {

// The timer's tick is 10 ms; pieces of a quarter of a second keep the wake-ups few and the flow even.
constexpr int kPiecesPerSecond = 4;
constexpr uint64_t kSmallestPiece = 512;

// Pulls when the schedule says so. Each piece is due when what was sent before it would have taken that long.
class PacedBody final : public http::BodySource, private http::BodySink {
 public:
  PacedBody(http::BodySource& source, event::Loop& loop, uint64_t rate, uint64_t after)
      : source_(source),
        loop_(loop),
        timer_(loop.timers(), event::Timer::call<&PacedBody::go_on>, this),
        rate_(rate),
        free_(after),
        piece_(std::max(rate / kPiecesPerSecond, kSmallestPiece)) {}
  [[nodiscard]] std::optional<uint64_t> remaining() const override {
    const auto rest = source_.remaining();
    return rest ? std::optional(*rest + kept_.size()) : std::nullopt;
  }

 private:
  void on_pull() override {
    if (due_ > loop_.now()) {
      timer_.arm_at(due_);
    } else {
      go_on();
    }
  }
  void on_cancel() override {
    timer_.cancel();
    source_.cancel();
  }
  void go_on() {
    if (!kept_.empty()) {
      deliver_piece();
    } else {
      source_.pull(*this);
    }
  }

  void on_chunk(Buffer chunk) override {
    kept_ = std::move(chunk);
    deliver_piece();
  }
  void on_end(const http::Trailers* trailers) override { finish(trailers); }
  void on_error(const Error& error) override { fail(error); }

  void deliver_piece() {
    if (free_ > 0) {
      const size_t size = static_cast<size_t>(std::min<uint64_t>(free_, kept_.size()));
      free_ -= size;
      deliver(take(size));
      return;
    }
    const size_t size = static_cast<size_t>(std::min<uint64_t>(piece_, kept_.size()));
    const auto took = std::chrono::nanoseconds(static_cast<int64_t>(1e9 * static_cast<double>(size) / static_cast<double>(rate_)));
    // A source that is slower than the limit saves nothing up.
    due_ = std::max(due_, loop_.now()) + took;
    deliver(take(size));
  }
  Buffer take(size_t size) {
    if (size == kept_.size()) return std::exchange(kept_, Buffer());
    return kept_.take_prefix(size);
  }

  http::BodySource& source_;
  event::Loop& loop_;
  event::Timer timer_;
  uint64_t rate_;
  uint64_t free_;
  uint64_t piece_;
  Buffer kept_;
  MonotonicTime due_{};
};

class BandwidthRun final : public http::FilterRun {
 public:
  BandwidthRun(uint64_t rate, uint64_t after) : rate_(rate), after_(after) {}
  http::BodySource* wrap_response_body(http::Exchange& exchange, http::ResponseHead&, http::BodySource* body) override {
    if (body == nullptr || exchange.is_tunnel()) return body;
    return exchange.arena().make<PacedBody>(*body, exchange.worker().loop, rate_, after_);
  }

 private:
  uint64_t rate_;
  uint64_t after_;
};

}  // namespace

http::FilterRun* Bandwidth::start(http::Exchange& exchange, WorkerContext&) const {
  return exchange.arena().make<BandwidthRun>(rate_, after_);
}

}  // namespace headgate::filters
