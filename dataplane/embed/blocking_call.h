// blocking_call.h -- one request of on_blocking(): where the thread that answers it and the worker that has its
// connection meet.
//
//   pool thread   run() -> the user's handler -> send | begin, write..., end     each posts to the worker's mailbox
//   worker        BlockingRun (in the Exchange) takes what was posted and feeds the connection as it pulls
//
// Bytes wait here, at most Responder::kMaxUnsent and one piece; what the connection has pulled is in its own, bounded
// queue. When the Exchange goes first, detach() wakes a writer that waits.
// Thread: see each part.   Owner: shared by the Exchange, the pool and tasks in the mailbox.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "dataplane/embed/server.h"
#include "dataplane/event/mailbox.h"
#include "dataplane/http/exchange.h"

namespace headgate::embed {

class BlockingRun;

class BlockingCall final : public std::enable_shared_from_this<BlockingCall> {
 public:
  // `handler` and `mailbox` outlive the call.
  BlockingCall(const BlockingHandler& handler, event::Mailbox& mailbox, BlockingRun& run, const RequestView& head,
               std::string body)
      : handler_(handler), mailbox_(mailbox), request_(head, std::move(body)), run_(&run) {}

  // -- the pool's thread
  void run();
  // responder.h
  bool send(Response response);
  bool begin(Response head, std::optional<uint64_t> length);
  bool write(std::string_view bytes);
  bool end();
  [[nodiscard]] bool has_answered() const { return stage_ != Stage::kNone; }
  [[nodiscard]] bool client_has_left();

  // -- the worker
  // The exchange is over: nothing that is sent from now on has a place to go.
  void detach();
  enum class Next : uint8_t { kPiece, kEnd, kBroken, kWait };
  // The next piece of the body, in `piece`.
  Next take(std::string& piece);

 private:
  enum class Stage : uint8_t { kNone, kBegun, kDone };

  // Runs fn(BlockingRun&) on the worker, if the exchange is still there.
  template <typename Fn>
  void post(Fn fn);
  void post_failure(std::string reason);
  void give_up(std::string_view reason);
  void wake_worker(std::unique_lock<std::mutex>& lock);

  const BlockingHandler& handler_;
  event::Mailbox& mailbox_;
  const Request request_;
  Stage stage_ = Stage::kNone;  // pool thread
  BlockingRun* run_;            // worker; null: the exchange is over

  std::mutex mutex_;  // what follows
  std::condition_variable room_;
  std::deque<std::string> pieces_;
  size_t unsent_ = 0;
  bool wake_posted_ = false;
  bool ended_ = false;
  bool broken_ = false;
  bool gone_ = false;
};

// The worker's side: lives in the Exchange's arena.
class BlockingRun final : public http::Run, public http::BodySource {
 public:
  BlockingRun(http::Exchange& exchange, const ErrorHook& hook) : exchange_(exchange), hook_(hook) {}
  ~BlockingRun() override;
  void bind(std::shared_ptr<BlockingCall> call) { call_ = std::move(call); }

  void respond(Response response);
  void respond_streaming(const Response& head, std::optional<uint64_t> length);
  void respond_failure(std::string_view reason);
  // There may be something to take.
  void resume();

 private:
  void on_pull() override;
  void on_cancel() override;

  http::Exchange& exchange_;
  const ErrorHook& hook_;
  std::shared_ptr<BlockingCall> call_;
};

}  // namespace headgate::embed
