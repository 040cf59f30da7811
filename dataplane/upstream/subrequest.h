// subrequest.h -- one request of our own to an Upstream: an authorization, an error page, a mirrored copy.
//
//   kIdle     request() is filled in                      -> kWaiting by start()
//   kWaiting  for a connection, or for the response head  -> kAnswered | kFailed
//   kAnswered the observer has the head and the body      -> kIdle again is not possible
//   kFailed   the observer has the error
//
// An endpoint that cannot be connected to, or a connection that had died in the pool, costs one more try; one deadline
// covers both. Health and load are counted as for requests of clients.
// Thread: worker.   Owner: a Run in an Exchange's arena, or whoever started it on its own; destroying it withdraws it.
#pragma once

#include <memory>
#include <optional>

#include "dataplane/event/loop.h"
#include "dataplane/http/client_exchange.h"
#include "dataplane/upstream/balancer.h"
#include "dataplane/upstream/pool_set.h"

namespace headgate::upstream {

// Exactly one of the two, never from inside start(). May destroy the Subrequest, after cancelling the body.
class SubrequestObserver {
 public:
  // response() is filled in; `body` null: none. Pull it, cancel it, or give it away; it lives as long as the Subrequest.
  virtual void on_subrequest_answer(http::BodySource* body) = 0;
  virtual void on_subrequest_failed(const Error& error) = 0;

 protected:
  ~SubrequestObserver() = default;
};

class Subrequest final : private http::ClientObserver, private PoolWaiter {
 public:
  // Texts go to `arena`, which outlives this.
  Subrequest(WorkerContext& worker, Arena& arena, SubrequestObserver& observer);
  ~Subrequest();
  Subrequest(const Subrequest&) = delete;
  Subrequest& operator=(const Subrequest&) = delete;

  // What is asked for: method, target, authority, headers (Host included), content_length. Until start().
  [[nodiscard]] http::RequestHead& request() { return request_; }
  // `body` null: none; a body is sent once, so there is no second try after its first byte. kUnreachable: nobody can be
  // asked; the observer is not called then. The Upstream of the slot stays in use whatever becomes of the Snapshot.
  Result<void> start(uint32_t slot, Duration timeout, http::BodySource* body = nullptr);

  [[nodiscard]] http::ResponseHead& response() { return response_; }
  // The memory of its texts.
  [[nodiscard]] const BlockRef& response_memory() const { return memory_; }
  // Of the endpoint asked last.
  [[nodiscard]] std::string_view address() const { return address_; }

 private:
  enum class State : uint8_t { kIdle, kWaiting, kAnswered, kFailed };

  // http::ClientObserver
  void on_informational(const http::ResponseHead&) override {}
  void on_response_head(http::BodySource* body, BlockRef memory) override;
  void on_tunnel(http::BodySource& from_upstream, BlockRef memory) override;
  void on_failed(const Error& error) override;
  // PoolWaiter
  void on_connection(http::ClientStream& stream) override { send(stream); }
  void on_no_connection(const Error& error) override;

  Result<void> attempt();
  void send(http::ClientStream& stream);
  void end_attempt();
  void try_again_or_fail(const Error& error, bool may_try_again);
  void on_deadline();

  WorkerContext& worker_;
  Arena& arena_;
  SubrequestObserver& observer_;
  http::RequestHead request_;
  http::ResponseHead response_;
  BlockRef memory_;
  std::shared_ptr<const Upstream> upstream_;
  WorkerLoad* load_ = nullptr;
  EndpointLoad* endpoint_load_ = nullptr;
  http::ClientStream* stream_ = nullptr;
  http::BodySource* body_ = nullptr;
  TriedSet tried_;
  event::Timer deadline_;
  std::string_view address_;
  MonotonicTime sent_{};
  uint32_t endpoint_ = 0;
  uint32_t attempts_ = 0;
  State state_ = State::kIdle;
};

}  // namespace headgate::upstream
