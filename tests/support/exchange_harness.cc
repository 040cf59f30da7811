#include "tests/support/exchange_harness.h"

#include <unistd.h>

#include "dataplane/base/text.h"
#include "dataplane/http/uri.h"

namespace headgate::test {
namespace {

void copy_fields(const http::HeaderMap& from, FieldList& into) {
  for (const http::Field& field : from.fields()) into.emplace_back(field.name, field.value);
}

}  // namespace

std::string_view Answer::header(std::string_view name) const {
  for (const auto& [field, value] : headers) {
    if (equals_ignore_case(field, name)) return value;
  }
  return {};
}

size_t Answer::count(std::string_view name) const {
  size_t found = 0;
  for (const auto& [field, value] : headers) found += equals_ignore_case(field, name) ? 1 : 0;
  return found;
}

ScriptedBody::ScriptedBody(event::Loop& loop, std::vector<std::string> chunks, Pace pace)
    : chunks_(std::move(chunks)),
      pace_(pace),
      later_(loop, [](void* self) { static_cast<ScriptedBody*>(self)->answer(); }, this) {}

void ScriptedBody::on_pull() {
  ++pulls_;
  switch (pace_) {
    case Pace::kAtOnce: answer(); break;
    case Pace::kLater: later_.schedule(); break;
    case Pace::kManual: break;
  }
}

bool ScriptedBody::release() {
  if (!pulled()) return false;
  answer();
  return true;
}

void ScriptedBody::answer() {
  if (next_ < chunks_.size()) {
    deliver(Buffer::copy(chunks_[next_++]));
  } else if (fails_) {
    fail(error_);
  } else {
    finish(trailers_);
  }
}

ExchangeHarness::ExchangeHarness() {
  worker_.date = &date_;
  loop_.run_once(Duration::zero());
}

ExchangeHarness::~ExchangeHarness() {
  exchange_.reset();
  if (worker_.release_files != nullptr) worker_.release_files(worker_);
}

http::Exchange& ExchangeHarness::begin(const RequestText& text, const std::vector<const http::Filter*>& filters,
                                       const http::Handler& handler) {
  exchange_.reset();
  answer_ = {};
  ended_ = false;
  body_ = nullptr;
  const Result<SocketAddress> remote = SocketAddress::parse(text.remote);
  HG_CHECK(remote.has_value());
  facts_.remote = facts_.peer = *remote;
  exchange_ = std::make_unique<http::Exchange>(worker_, static_cast<http::ExchangeTransport&>(*this),
                                               static_cast<http::ExchangeSink&>(*this));
  http::RequestHead& head = exchange_->request();
  Arena& arena = exchange_->arena();
  head.method_text = arena.copy(text.method);
  head.method = http::parse_method(head.method_text);
  head.scheme = text.scheme;
  head.expect_continue = text.expect_continue;
  bool has_host = false;
  for (const auto& [name, value] : text.headers) {
    has_host = has_host || equals_ignore_case(name, "host");
    head.headers.add(arena.copy(name), arena.copy(value));
  }
  if (!has_host) head.headers.add(http::FieldId::kHost, "example.com");
  head.authority = head.headers.get(http::FieldId::kHost);
  const Result<std::string_view> host = http::parse_host(head.authority, arena);
  HG_CHECK(host.has_value());
  head.host = *host;
  HG_CHECK(http::parse_target(arena.copy(text.target), head).has_value());

  if (text.has_body || !text.body.empty()) {
    request_body_ = std::make_unique<ScriptedBody>(loop_, text.body, request_pace);
    if (!text.chunked) {
      size_t size = 0;
      for (const std::string& chunk : text.body) size += chunk.size();
      head.content_length = size;
      request_body_->set_remaining(size);
    }
    if (!text.trailers.empty()) {
      auto* trailers = arena.make<http::Trailers>(arena);
      for (const auto& [name, value] : text.trailers) trailers->add(arena.copy(name), arena.copy(value));
      request_body_->set_trailers(trailers);
    }
    if (text.body_fails) {
      request_body_->set_failure({.code = Errc::kReset, .origin = Origin::kDownstream, .detail = "scripted"});
    }
    exchange_->set_request_body(request_body_.get());
  } else {
    request_body_.reset();
  }
  filters_ = filters;
  exchange_->start(filters_, handler);
  return *exchange_;
}

Answer ExchangeHarness::run(const RequestText& request, const std::vector<const http::Filter*>& filters,
                            const http::Handler& handler) {
  begin(request, filters, handler);
  for (int i = 0; i < 100'000 && !ended_; ++i) turn();
  return end();
}

void ExchangeHarness::turn() { loop_.run_once(Duration::zero()); }

Answer ExchangeHarness::end() {
  exchange_.reset();
  request_body_.reset();
  return std::move(answer_);
}

void ExchangeHarness::pull() {
  HG_CHECK(body_ != nullptr);
  body_->pull(*this);
}

void ExchangeHarness::record_head(const http::ResponseHead& head) {
  answer_.head = true;
  answer_.status = head.status;
  answer_.reason = head.reason;
  answer_.content_length = head.content_length;
  copy_fields(head.headers, answer_.headers);
}

void ExchangeHarness::send_informational(http::Exchange&, const http::ResponseHead& head) {
  answer_.informational.push_back(head.status);
}

void ExchangeHarness::send_response(http::Exchange&, http::ResponseHead& head, http::BodySource* body) {
  HG_CHECK(!answer_.head);
  record_head(head);
  body_ = body;
  answer_.has_body = body != nullptr;
  if (body == nullptr) {
    answer_.complete = true;
    finish();
    return;
  }
  if (take_files && body->file() != nullptr) {
    take_file(*body->file());
    return;
  }
  if (pull_at_once) body->pull(*this);
}

void ExchangeHarness::take_file(const http::FileRange& range) {
  answer_.by_file = true;
  std::string content(range.size, '\0');
  const ssize_t got = ::pread(range.fd, content.data(), content.size(), static_cast<off_t>(range.offset));
  content.resize(got < 0 ? 0 : static_cast<size_t>(got));
  answer_.complete = content.size() == range.size;
  answer_.failed = !answer_.complete;
  answer_.body = std::move(content);
  finish();
}

http::BodySource& ExchangeHarness::start_tunnel(http::Exchange&, http::ResponseHead& head,
                                                http::BodySource& from_upstream) {
  record_head(head);
  answer_.tunnel = true;
  answer_.has_body = true;
  body_ = &from_upstream;
  if (pull_at_once) from_upstream.pull(*this);
  if (request_body_ == nullptr) {
    request_body_ = std::make_unique<ScriptedBody>(loop_, std::vector<std::string>{}, ScriptedBody::Pace::kAtOnce);
  }
  return *request_body_;
}

void ExchangeHarness::abort(http::Exchange&, const Error& error) {
  answer_.aborted = true;
  answer_.error = error;
  finish();
}

void ExchangeHarness::on_exchange(http::Exchange&) {}
void ExchangeHarness::on_exchange_end(http::Exchange&) {}
void ExchangeHarness::on_refused(uint16_t, const Error&) {}

void ExchangeHarness::on_chunk(Buffer chunk) {
  HG_CHECK(!chunk.empty());
  answer_.chunk_sizes.push_back(chunk.size());
  if (on_body) {
    on_body(chunk.view());
  } else {
    answer_.body += chunk.view();
  }
  if (pull_at_once) body_->pull(*this);
}

void ExchangeHarness::on_end(const http::Trailers* trailers) {
  if (trailers != nullptr) copy_fields(*trailers, answer_.trailers);
  answer_.complete = true;
  finish();
}

void ExchangeHarness::on_error(const Error& error) {
  answer_.failed = true;
  answer_.error = error;
  finish();
}

void ExchangeHarness::finish() {
  ended_ = true;
  if (exchange_ != nullptr) exchange_->end();
}

}  // namespace headgate::test
