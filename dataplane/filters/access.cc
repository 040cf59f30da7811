#include "dataplane/filters/access.h"

namespace headgate::filters {

class AccessFilter::AccessFilterRun final : public http::FilterRun, private AccessSink {
 public:
  AccessFilterRun(const AccessFilter& filter, http::Exchange& exchange) : filter_(filter), exchange_(exchange) {
    const size_t count = filter.checks_.size();
    runs_ = static_cast<AccessRun**>(exchange.arena().allocate(sizeof(AccessRun*) * count, alignof(AccessRun*)));
  }

  http::Verdict on_request(http::Exchange&) override { return go_on(); }

  void on_response(http::Exchange& exchange, http::ResponseHead& head) override {
    for (size_t i = 0; i < started_; ++i) runs_[i]->on_response(exchange, head);
  }

 private:
  http::Verdict go_on() {
    while (started_ < filter_.checks_.size()) {
      AccessRun* const run = filter_.checks_[started_]->start(exchange_);
      runs_[started_++] = run;
      const Access access = run->check(exchange_, *this);
      if (access == Access::kPending) return http::Verdict::kPending;
      if (const auto verdict = take(access)) return *verdict;
    }
    return at_the_end();
  }

  // Of the check started last; nothing: the next one is asked.
  std::optional<http::Verdict> take(Access access) {
    AccessRun* const run = runs_[started_ - 1];
    if (access == Access::kGranted) {
      if (filter_.need_ == Need::kAny) return http::Verdict::kContinue;
      return std::nullopt;
    }
    if (denied_ == nullptr || (run->denial() == 401 && denied_->denial() != 401)) denied_ = run;
    if (filter_.need_ == Need::kAll) return deny();
    return std::nullopt;
  }

  http::Verdict at_the_end() {
    // kAny got here without a grant; kAll without a denial.
    return denied_ == nullptr ? http::Verdict::kContinue : deny();
  }

  http::Verdict deny() {
    if (denied_->denial() == 401) {
      for (const auto& check : filter_.checks_) {
        if (check->sign_in(exchange_)) return http::Verdict::kAnswered;
      }
    }
    denied_->deny(exchange_);
    return http::Verdict::kAnswered;
  }

  void on_access(Access access) override {
    if (exchange_.is_answered()) return;  // the client has just left
    const auto taken = take(access);
    const http::Verdict verdict = taken ? *taken : go_on();
    if (verdict == http::Verdict::kContinue) exchange_.resume(verdict);
  }

  const AccessFilter& filter_;
  http::Exchange& exchange_;
  AccessRun** runs_;
  AccessRun* denied_ = nullptr;
  size_t started_ = 0;
};

http::FilterRun* AccessFilter::start(http::Exchange& exchange, WorkerContext&) const {
  return exchange.arena().make<AccessFilterRun>(*this, exchange);
}

}  // namespace headgate::filters
