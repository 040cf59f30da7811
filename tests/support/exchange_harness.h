// exchange_harness.h -- runs one Exchange through filters and a handler without a connection, and records the answer.
//
//   ExchangeHarness harness;
//   Answer answer = harness.run({.target = "/a.txt", .headers = {{"Range", "bytes=0-9"}}}, {&compress}, static_files);
//
// The harness is the transport: it pulls the body like a connection would, on a real event::Loop with a fake clock.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/counters.h"
#include "dataplane/base/random.h"
#include "dataplane/event/loop.h"
#include "dataplane/http/date.h"
#include "dataplane/http/exchange.h"

namespace headgate::test {

using FieldList = std::vector<std::pair<std::string, std::string>>;

struct RequestText {
  std::string method = "GET";
  std::string target = "/";  // origin-form; parsed and normalized as a connection would
  FieldList headers{};       // "Host: example.com" is there unless given
  http::Scheme scheme = http::Scheme::kHttp;
  std::string remote = "192.0.2.1:40000";
  // Chunks as they arrive; no body when `has_body` is false. Content-Length is set unless `chunked`.
  std::vector<std::string> body{};
  bool has_body = false;
  bool chunked = false;
  FieldList trailers{};
  bool body_fails = false;  // an error instead of the end
  bool expect_continue = false;
};

struct Answer {
  bool head = false;  // a response head was sent
  uint16_t status = 0;
  std::string reason;
  std::optional<uint64_t> content_length;
  FieldList headers;
  std::string body;
  std::vector<size_t> chunk_sizes;
  FieldList trailers;
  std::vector<uint16_t> informational;
  bool has_body = false;   // a source was given
  bool complete = false;   // clean end
  bool failed = false;     // the body ended in an error
  bool aborted = false;    // the exchange was aborted
  bool tunnel = false;
  bool by_file = false;    // the body was offered as a file range and taken
  Error error;
  // First value of that name, without case; "" when there is none.
  [[nodiscard]] std::string_view header(std::string_view name) const;
  [[nodiscard]] size_t count(std::string_view name) const;
};

// A body whose chunks are given by the test: at once, each on a later turn of the loop, or when told.
class ScriptedBody final : public http::BodySource {
 public:
  enum class Pace : uint8_t { kAtOnce, kLater, kManual };
  ScriptedBody(event::Loop& loop, std::vector<std::string> chunks, Pace pace);
  void set_trailers(const http::Trailers* trailers) { trailers_ = trailers; }
  void set_failure(const Error& error) {
    fails_ = true;
    error_ = error;
  }
  void set_remaining(uint64_t size) { remaining_ = size; }
  void set_content_id(uint64_t id) { content_id_ = id; }
  // kManual: answers the pull that is outstanding. False when there is none.
  bool release();
  [[nodiscard]] bool canceled() const { return canceled_; }
  [[nodiscard]] size_t pulls() const { return pulls_; }
  [[nodiscard]] std::optional<uint64_t> remaining() const override { return remaining_; }
  [[nodiscard]] uint64_t content_id() const override { return content_id_; }

 private:
  void on_pull() override;
  void on_cancel() override { canceled_ = true; }
  void answer();

  std::vector<std::string> chunks_;
  size_t next_ = 0;
  Pace pace_;
  event::DeferredCall later_;
  const http::Trailers* trailers_ = nullptr;
  std::optional<uint64_t> remaining_;
  uint64_t content_id_ = 0;
  bool fails_ = false;
  bool canceled_ = false;
  size_t pulls_ = 0;
  Error error_;
};

class ExchangeHarness final : private http::ExchangeTransport, private http::ExchangeSink, private http::BodySink {
 public:
  ExchangeHarness();
  ~ExchangeHarness();

  // Runs to the end, at most `max_turns` turns of the loop. `handler` may be a lambda wrapped by HandlerFunction.
  Answer run(const RequestText& request, const std::vector<const http::Filter*>& filters, const http::Handler& handler);
  // The same in steps: begin(), then turn() as often as wanted, then end() destroys the exchange.
  http::Exchange& begin(const RequestText& request, const std::vector<const http::Filter*>& filters,
                        const http::Handler& handler);
  void turn();
  Answer end();
  [[nodiscard]] const Answer& answer() const { return answer_; }
  [[nodiscard]] bool ended() const { return ended_; }

  event::Loop& loop() { return loop_; }
  FakeClock& clock() { return clock_; }
  WorkerContext& worker() { return worker_; }
  Counters& counters() { return counters_; }
  ConnectionFacts& facts_of_connection() { return facts_; }
  ScriptedBody* request_body() { return request_body_.get(); }

  // How bodies are taken.
  bool take_files = false;    // as a plain socket: the file range instead of pulling
  bool pull_at_once = true;   // false: only pull() pulls
  ScriptedBody::Pace request_pace = ScriptedBody::Pace::kAtOnce;
  void pull();
  // Called with every chunk of the response body.
  std::function<void(std::string_view)> on_body;

 private:
  const ConnectionFacts& facts() const override { return facts_; }
  void send_informational(http::Exchange& exchange, const http::ResponseHead& head) override;
  void send_response(http::Exchange& exchange, http::ResponseHead& head, http::BodySource* body) override;
  http::BodySource& start_tunnel(http::Exchange& exchange, http::ResponseHead& head,
                                 http::BodySource& from_upstream) override;
  void abort(http::Exchange& exchange, const Error& error) override;
  void on_exchange(http::Exchange& exchange) override;
  void on_exchange_end(http::Exchange& exchange) override;
  void on_refused(uint16_t status, const Error& error) override;
  void on_chunk(Buffer chunk) override;
  void on_end(const http::Trailers* trailers) override;
  void on_error(const Error& error) override;
  void record_head(const http::ResponseHead& head);
  void take_file(const http::FileRange& range);
  void finish();

  FakeClock clock_;
  event::Loop loop_{clock_};
  Counters counters_;
  Random random_{1};
  http::DateCache date_;
  WorkerContext worker_{.loop = loop_, .counters = counters_, .random = random_};
  ConnectionFacts facts_;
  std::unique_ptr<ScriptedBody> request_body_;
  std::unique_ptr<http::Exchange> exchange_;
  std::vector<const http::Filter*> filters_;
  http::BodySource* body_ = nullptr;
  Answer answer_;
  bool ended_ = false;
};

// A handler made of a function, for tests of filters.
class HandlerFunction final : public http::Handler {
 public:
  explicit HandlerFunction(std::function<void(http::Exchange&)> function) : function_(std::move(function)) {}
  http::Run* start(http::Exchange& exchange, WorkerContext&) const override {
    function_(exchange);
    return nullptr;
  }

 private:
  std::function<void(http::Exchange&)> function_;
};

inline const HandlerFunction kHello([](http::Exchange& exchange) { exchange.respond_text(200, "text/plain", "hello"); });

}  // namespace headgate::test
