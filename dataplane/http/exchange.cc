#include "dataplane/http/exchange.h"

#include "dataplane/http/error_response.h"

namespace headgate::http {

Exchange::Exchange(WorkerContext& worker, ExchangeTransport& transport, ExchangeSink& sink)
    : started(worker.loop.now()),
      worker_(worker),
      transport_(transport),
      facts_(transport.facts()),
      sink_(sink),
      request_(arena_),
      response_(arena_) {
  client_address = facts_.remote.address();
}

Exchange::~Exchange() {
  // Runs and bodies first: they may still look at us while they withdraw.
  arena_.clear();
  unpin();
}

void Exchange::start(std::span<const Filter* const> filters, const Handler& handler) {
  filters_ = filters;
  handler_ = &handler;
  original_target_ = request_.target;
  if (!filters.empty()) {
    started_filters_ = static_cast<FilterRun**>(
        arena_.allocate(sizeof(FilterRun*) * filters.size(), alignof(FilterRun*)));
  }
  run_filters();
}

void Exchange::run_filters() {
  while (next_filter_ < filters_.size()) {
    FilterRun* run = filters_[next_filter_++]->start(*this, worker_);
    if (is_answered()) return;
    if (run == nullptr) continue;
    started_filters_[started_count_++] = run;
    const Verdict verdict = run->on_request(*this);
    if (verdict != Verdict::kContinue) return;
    request_body_ = run->wrap_request_body(*this, request_body_);
  }
  handler_->start(*this, worker_);
}

void Exchange::resume(Verdict verdict) {
  if (is_answered() || verdict != Verdict::kContinue) return;
  FilterRun* run = started_filters_[started_count_ - 1];
  request_body_ = run->wrap_request_body(*this, request_body_);
  run_filters();
}

void Exchange::apply_response_filters(BodySource*& body) {
  for (uint32_t i = started_count_; i > 0; --i) {
    FilterRun* run = started_filters_[i - 1];
    run->on_response(*this, response_);
    body = run->wrap_response_body(*this, response_, body);
  }
}

void Exchange::respond(BodySource* body) {
  if (head_sent()) {
    HG_BUG("a second response for one exchange");
    return;
  }
  ResponseInterceptor* next = std::exchange(interceptors_, nullptr);
  while (next != nullptr) {
    ResponseInterceptor* const asked = std::exchange(next, next->next_interceptor);
    intercepted_ = true;  // before: the answer may be there at once
    if (asked->intercept(*this, body)) return;
    intercepted_ = false;
  }
  apply_response_filters(body);
  state_ = State::kResponding;
  // The head no longer depends on routes: let an old Snapshot go.
  unpin();
  transport_.send_response(*this, response_, body);
}

void Exchange::respond_text(uint16_t status, std::string_view content_type, std::string_view body) {
  response_.status = status;
  if (!content_type.empty()) response_.headers.set(FieldId::kContentType, content_type);
  response_.content_length = body.size();
  respond(body.empty() ? nullptr : arena_.make<BufferBody>(Buffer::borrow(body)));
}

void Exchange::respond_error(const Error& why) {
  error = why;
  failed = true;
  if (head_sent()) {
    abort(why);
    return;
  }
  write_error_response(*this, why);
}

void Exchange::respond_informational(const ResponseHead& head) {
  if (!head_sent()) transport_.send_informational(*this, head);
}

BodySource& Exchange::start_tunnel(BodySource& from_upstream) {
  BodySource* unused = nullptr;
  apply_response_filters(unused);
  state_ = State::kResponding;
  is_tunnel_ = true;
  unpin();
  return transport_.start_tunnel(*this, response_, from_upstream);
}

void Exchange::abort(const Error& why) {
  error = why;
  failed = true;
  if (state_ == State::kDone) return;
  state_ = State::kResponding;
  transport_.abort(*this, why);
}

void Exchange::add_interceptor(ResponseInterceptor& interceptor) {
  ResponseInterceptor** last = &interceptors_;
  while (*last != nullptr) last = &(*last)->next_interceptor;
  *last = &interceptor;
}

void Exchange::pin(Pin& snapshot) {
  snapshot.retain();
  unpin();
  pin_ = &snapshot;
}

void Exchange::unpin() {
  if (Pin* pin = std::exchange(pin_, nullptr)) pin->release();
}

void Exchange::end() {
  if (ended_) return;
  ended_ = true;
  state_ = State::kDone;
  sink_.on_exchange_end(*this);
}

}  // namespace headgate::http
