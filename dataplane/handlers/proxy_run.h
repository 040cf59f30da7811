// proxy_run.h -- the state of one proxied exchange; see proxy.h for its states.
// Thread: worker.   Owner: the Exchange's arena; destroying it withdraws whatever is pending.
#pragma once

#include "dataplane/handlers/buffered_body.h"
#include "dataplane/handlers/proxy.h"
#include "dataplane/handlers/replay_body.h"
#include "dataplane/http/client_exchange.h"
#include "dataplane/http/exchange.h"
#include "dataplane/upstream/balancer.h"
#include "dataplane/upstream/pool.h"
#include "dataplane/upstream/pool_set.h"
#include "dataplane/upstream/retry.h"

namespace headgate::handlers {

class ProxyRun final : public http::Run,
                       private http::ClientObserver,
                       private upstream::PoolWaiter,
                       private BufferedBody::Observer {
 public:
  // `proxy` is only used until the response head is passed on: the Snapshot that owns it may go then.
  ProxyRun(const Proxy& proxy, http::Exchange& exchange, WorkerContext& worker);
  ~ProxyRun() override;
  void start();

 private:
  enum class State : uint8_t { kPicking, kConnecting, kSent, kAnswered, kFailed };

  // http::ClientObserver
  void on_informational(const http::ResponseHead& head) override;
  void on_response_head(http::BodySource* body, BlockRef memory) override;
  void on_tunnel(http::BodySource& from_upstream, BlockRef memory) override;
  void on_failed(const Error& error) override;
  // upstream::PoolWaiter
  void on_connection(http::ClientStream& stream) override;
  void on_no_connection(const Error& error) override;
  [[nodiscard]] const ConnectionFacts* client() const override { return &exchange_.connection(); }
  // BufferedBody::Observer
  void on_body_collected(const Error* error) override;

  // The Upstream of `slot`, if it can be used at all.
  [[nodiscard]] const upstream::Upstream* usable_upstream(uint32_t slot) const;
  [[nodiscard]] bool take_fallback();
  // Everything that depends on which Upstream is asked.
  void aim();
  void set_deadline();
  void attempt();
  void send(http::ClientStream& stream);
  void end_attempt();
  // The exchange is over, and is destroyed at the end of this turn: nothing is worth doing any more.
  bool client_left();
  bool retry(const Error& error, upstream::FailureKind kind, uint16_t status);
  void give_up(const Error& error);
  void on_deadline();
  void on_backoff_over();
  [[nodiscard]] std::optional<uint32_t> pick_endpoint();
  void finish_head();
  [[nodiscard]] uint64_t hash_key();
  [[nodiscard]] const upstream::RetryPolicy& policy() const;
  [[nodiscard]] Duration per_try_timeout() const;

  const Proxy& proxy_;
  http::Exchange& exchange_;
  WorkerContext& worker_;
  http::RequestHead head_;  // what goes upstream
  RewindableBody* body_ = nullptr;
  BufferedBody* buffered_ = nullptr;  // the same, when it is read first
  const upstream::Upstream* upstream_ = nullptr;  // of the pinned Snapshot: until the response head is passed on
  upstream::WorkerLoad* worker_load_ = nullptr;   // of its slot; outlives Snapshots
  const ProxyBackend* backend_ = nullptr;         // null: the fallback
  std::optional<StickyPick> sticky_;
  upstream::EndpointLoad* load_ = nullptr;
  upstream::SharedCount* in_flight_ = nullptr;  // counts this attempt; lives as long as load_
  http::ClientStream* stream_ = nullptr;
  upstream::TriedSet tried_;
  std::optional<event::Timer> timer_;    // request_timeout, per-try time-out
  std::optional<event::Timer> backoff_;
  MonotonicTime began_{};
  MonotonicTime deadline_ = MonotonicTime::max();  // of the whole exchange, over all attempts
  MonotonicTime sent_{};
  uint32_t endpoint_ = 0;
  uint32_t attempts_ = 0;
  bool client_deadline_ = false;   // deadline_ is the client's (grpc-timeout): it holds for the body too
  bool never_processed_ = false;   // the last attempt: its endpoint may be asked again when there is no other
  bool fell_back_ = false;
  State state_ = State::kPicking;
};

}  // namespace headgate::handlers
