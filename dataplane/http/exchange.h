// exchange.h -- one request and its response, whatever HTTP version carries them.
//
// Life: the codec fills `request` and calls ExchangeSink::on_exchange -> start() runs the request filters in order ->
// the handler is started -> someone calls respond() -> response filters in reverse order -> the transport sends head
// and body -> ExchangeSink::on_exchange_end -> destroyed with everything in its arena.
//
//   state        respond()   tunnel()   abort()   next
//   kRequest     yes         yes        yes       kResponding after respond() or tunnel()
//   kResponding  no          no         yes       kDone when the body ended or the transport gave up
//
// Thread: worker.   Owner: the codec's connection (HTTP/1) or stream (HTTP/2).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/base/arena.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/intrusive_list.h"
#include "dataplane/base/pooled.h"
#include "dataplane/base/regex.h"
#include "dataplane/event/loop.h"
#include "dataplane/event/worker_context.h"
#include "dataplane/http/body.h"
#include "dataplane/http/exchange_sink.h"
#include "dataplane/http/filter.h"
#include "dataplane/http/handler.h"
#include "dataplane/http/message.h"

namespace headgate::http {

// Keeps a Snapshot alive for an Exchange that has not answered yet; a count local to the worker.
class Pin {
 public:
  void retain() { ++count_; }
  void release() {
    if (--count_ == 0) on_unpinned();
  }

 protected:
  ~Pin() = default;
  virtual void on_unpinned() = 0;

 private:
  uint32_t count_ = 0;
};

// Few are kept when a burst is over: each is more than a page.
class Exchange final : public event::Disposable, public Pooled<Exchange, 256> {
 public:
  enum class State : uint8_t { kRequest, kResponding, kDone };

  Exchange(WorkerContext& worker, ExchangeTransport& transport, ExchangeSink& sink);
  ~Exchange() override;

  // -- request ------------------------------------------------------------------------------------------------
  [[nodiscard]] const RequestHead& request() const { return request_; }
  [[nodiscard]] RequestHead& request() { return request_; }
  // Null when there is none. Filters may have wrapped it.
  [[nodiscard]] BodySource* request_body() const { return request_body_; }
  void set_request_body(BodySource* body) { request_body_ = body; }
  // Keeps the memory of the request head (views of `request`) for as long as the exchange.
  void keep(BlockRef block) { head_block_ = std::move(block); }
  // The same for the head of an upstream response.
  void keep_response(BlockRef block) { response_block_ = std::move(block); }

  // Runs filters and handler. Both outlive the response head (they are pinned).
  void start(std::span<const Filter* const> filters, const Handler& handler);
  // For a filter that answered kPending.
  void resume(Verdict verdict);

  // -- response -----------------------------------------------------------------------------------------------
  // Fill, then respond(). Filters see it on the way out.
  [[nodiscard]] ResponseHead& response() { return response_; }
  void respond(BodySource* body);
  // A body already in memory; sets Content-Length. The text must live as long as the exchange or be static.
  void respond_text(uint16_t status, std::string_view content_type, std::string_view body);
  // The answer that error_response.h names for the error: or abort() when the head has gone out.
  void respond_error(const Error& error);
  void respond_informational(const ResponseHead& head);
  // See ExchangeTransport::start_tunnel.
  BodySource& start_tunnel(BodySource& from_upstream);
  void abort(const Error& error);
  // Asked by respond(), in the order they were added, until one takes the answer. Lives as long as the exchange.
  void add_interceptor(ResponseInterceptor& interceptor);

  // -- facts --------------------------------------------------------------------------------------------------
  [[nodiscard]] Arena& arena() { return arena_; }
  [[nodiscard]] WorkerContext& worker() const { return worker_; }
  [[nodiscard]] const ConnectionFacts& connection() const { return facts_; }
  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool head_sent() const { return state_ != State::kRequest; }
  // Somebody has called respond(), although an interceptor may still be making another answer of it.
  [[nodiscard]] bool is_answered() const { return head_sent() || intercepted_; }
  [[nodiscard]] bool is_tunnel() const { return is_tunnel_; }

  // The client after trusted proxies were taken into account (forwarded.h); starts as the connection's.
  IpAddress client_address;
  // The connection comes from a trusted proxy (forwarded.h).
  bool from_trusted_proxy = false;
  // The target as it came, before filters changed `request`.
  [[nodiscard]] std::string_view original_target() const {
    return original_target_.empty() ? request_.target : original_target_;
  }
  // Made on first use by request_id.h, or taken from the X-Request-Id of a trusted proxy.
  std::string_view request_id;
  // For the access log: static or in the arena.
  std::string_view listener_name;
  std::string_view route_name;
  std::string_view upstream_name;
  std::string_view upstream_address;
  uint16_t upstream_status = 0;  // of the last attempt that got a response head
  uint32_t attempts = 0;
  uint64_t body_bytes_received = 0;
  uint64_t body_bytes_sent = 0;
  MonotonicTime started{};
  Duration upstream_duration{};  // request sent to response head
  Error error{.code = Errc::kInternal, .detail = ""};
  bool failed = false;  // `error` says why
  bool dispatched = false;       // reached the dispatcher: is counted and logged
  bool skip_access_log = false;  // the Route says so

  // The Snapshot (worker/dispatch sets it); released when the response head goes out.
  void pin(Pin& snapshot);
  void unpin();

  // Groups of the regex that matched the path ($1 ...); views into the request head.
  void set_captures(const Captures& captures) {
    if (captures.count > 0) captures_ = arena_.make<Captures>(captures);
  }
  [[nodiscard]] const Captures* captures() const { return captures_; }

  // For the transport: the response is complete, or the client is gone. Calls the sink; the caller destroys us.
  void end();

 private:
  void run_filters();
  void apply_response_filters(BodySource*& body);

  // What most exchanges need lies beside them: lists of fields, the Run of a handler, bodies. Not initialized.
  alignas(std::max_align_t) std::array<char, Block::kSmall> memory_;
  Arena arena_{memory_};  // before all that may point into it
  BlockRef head_block_;
  BlockRef response_block_;
  WorkerContext& worker_;
  ExchangeTransport& transport_;
  const ConnectionFacts& facts_;
  ExchangeSink& sink_;
  RequestHead request_;
  ResponseHead response_;
  BodySource* request_body_ = nullptr;
  std::span<const Filter* const> filters_;
  const Handler* handler_ = nullptr;
  FilterRun** started_filters_ = nullptr;  // array in the arena, as long as filters_
  uint32_t started_count_ = 0;
  uint32_t next_filter_ = 0;
  ResponseInterceptor* interceptors_ = nullptr;
  std::string_view original_target_;  // set by start()
  Pin* pin_ = nullptr;
  const Captures* captures_ = nullptr;
  State state_ = State::kRequest;
  bool is_tunnel_ = false;
  bool intercepted_ = false;
  bool ended_ = false;
};

}  // namespace headgate::http
