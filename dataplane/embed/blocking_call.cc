#include "dataplane/embed/blocking_call.h"

#include <exception>

#include "dataplane/base/log.h"
#include "dataplane/embed/answer.h"

namespace headgate::embed {
namespace {

constexpr size_t kPieceBytes = 32 * 1024;  // of a long write: what is copied on the worker at a time

}  // namespace

// -- the pool's thread ------------------------------------------------------------------------------------------------

void BlockingCall::run() {
  if (client_has_left()) return;
  Responder responder(shared_from_this());
  try {
    handler_(request_, responder);
  } catch (const std::exception& thrown) {
    HG_LOG(kError, kHttp, "a handler threw", {"path", request_.path()}, {"error", thrown.what()});
    give_up(thrown.what());
    return;
  } catch (...) {
    HG_LOG(kError, kHttp, "a handler threw", {"path", request_.path()});
    give_up("unknown exception");
    return;
  }
  if (stage_ == Stage::kDone) return;
  if (!client_has_left()) {
    HG_LOG(kError, kHttp, "a handler returned without a complete answer", {"path", request_.path()});
  }
  give_up("no complete answer");
}

template <typename Fn>
void BlockingCall::post(Fn fn) {
  mailbox_.post_fn([self = shared_from_this(), fn = std::move(fn)]() mutable {
    if (self->run_ != nullptr) fn(*self->run_);
  });
}

void BlockingCall::post_failure(std::string reason) {
  stage_ = Stage::kDone;
  post([reason = std::move(reason)](BlockingRun& run) { run.respond_failure(reason); });
}

// Before the head a 500; after it a break that the client can see.
void BlockingCall::give_up(std::string_view reason) {
  switch (stage_) {
    case Stage::kNone: post_failure(std::string(reason)); break;
    case Stage::kBegun: {
      stage_ = Stage::kDone;
      std::unique_lock lock(mutex_);
      broken_ = true;
      wake_worker(lock);
      break;
    }
    case Stage::kDone: break;
  }
}

bool BlockingCall::send(Response response) {
  if (stage_ != Stage::kNone || client_has_left()) return false;
  stage_ = Stage::kDone;
  post([response = std::move(response)](BlockingRun& run) mutable { run.respond(std::move(response)); });
  return true;
}

bool BlockingCall::begin(Response head, std::optional<uint64_t> length) {
  if (stage_ != Stage::kNone || client_has_left()) return false;
  std::string_view problem = head.problem();
  if (problem.empty() && (!head.body().empty() || head.is_stream())) problem = "begin() with a body";
  if (problem.empty() && (head.status() == 204 || head.status() == 304)) problem = "begin() with a status that has no body";
  if (!problem.empty()) {
    HG_LOG(kError, kHttp, "a handler's answer cannot be sent", {"path", request_.path()}, {"error", problem});
    post_failure(std::string(problem));
    return false;
  }
  stage_ = Stage::kBegun;
  post([head = std::move(head), length](BlockingRun& run) { run.respond_streaming(head, length); });
  return true;
}

bool BlockingCall::write(std::string_view bytes) {
  if (stage_ != Stage::kBegun) return false;
  std::unique_lock lock(mutex_);
  do {
    room_.wait(lock, [this] { return gone_ || unsent_ <= Responder::kMaxUnsent; });
    if (gone_) return false;
    const std::string_view piece = bytes.substr(0, kPieceBytes);
    if (piece.empty()) return true;
    bytes.remove_prefix(piece.size());
    // Small writes share a piece: one chunk on the wire, one turn of the worker.
    if (!pieces_.empty() && pieces_.back().size() + piece.size() <= kPieceBytes) {
      pieces_.back().append(piece);
    } else {
      pieces_.emplace_back(piece);
    }
    unsent_ += piece.size();
    wake_worker(lock);
    lock.lock();
  } while (!bytes.empty());
  return !gone_;
}

bool BlockingCall::end() {
  if (stage_ != Stage::kBegun) return false;
  stage_ = Stage::kDone;
  std::unique_lock lock(mutex_);
  if (gone_) return false;
  ended_ = true;
  wake_worker(lock);
  return true;
}

bool BlockingCall::client_has_left() {
  const std::lock_guard lock(mutex_);
  return gone_;
}

// Unlocks. One wake-up for all that is written until the worker comes.
void BlockingCall::wake_worker(std::unique_lock<std::mutex>& lock) {
  const bool posted = std::exchange(wake_posted_, true);
  lock.unlock();
  if (posted) return;
  post([](BlockingRun& run) { run.resume(); });
}

// -- the worker -------------------------------------------------------------------------------------------------------

void BlockingCall::detach() {
  run_ = nullptr;
  {
    const std::lock_guard lock(mutex_);
    gone_ = true;
    pieces_.clear();
    unsent_ = 0;
  }
  room_.notify_all();
}

BlockingCall::Next BlockingCall::take(std::string& piece) {
  {
    const std::lock_guard lock(mutex_);
    wake_posted_ = false;
    if (pieces_.empty()) {
      if (broken_) return Next::kBroken;
      return ended_ ? Next::kEnd : Next::kWait;
    }
    piece = std::move(pieces_.front());
    pieces_.pop_front();
    unsent_ -= piece.size();
  }
  room_.notify_all();
  return Next::kPiece;
}

BlockingRun::~BlockingRun() {
  if (call_ != nullptr) call_->detach();
}

void BlockingRun::respond(Response response) {
  if (!exchange_.head_sent()) answer(exchange_, std::move(response), hook_);
}

void BlockingRun::respond_streaming(const Response& head, std::optional<uint64_t> length) {
  if (!exchange_.head_sent()) answer_with(exchange_, head, *this, length);
}

void BlockingRun::respond_failure(std::string_view reason) { answer_failure(exchange_, 500, reason, hook_); }

void BlockingRun::resume() {
  // Without a pull the connection is full; when it has room it asks.
  if (pulled()) on_pull();
}

void BlockingRun::on_pull() {
  std::string piece;
  switch (call_->take(piece)) {
    case BlockingCall::Next::kPiece: deliver(Buffer::copy(piece)); break;
    case BlockingCall::Next::kEnd: finish(); break;
    case BlockingCall::Next::kBroken: fail({.code = Errc::kInternal, .detail = "a handler broke its answer off"}); break;
    case BlockingCall::Next::kWait: break;
  }
}

void BlockingRun::on_cancel() { call_->detach(); }

}  // namespace headgate::embed

namespace headgate {

bool Responder::send(Response response) { return call_->send(std::move(response)); }
bool Responder::begin(Response head, std::optional<uint64_t> length) { return call_->begin(std::move(head), length); }
bool Responder::write(std::string_view bytes) { return call_->write(bytes); }
bool Responder::end() { return call_->end(); }
bool Responder::has_answered() const { return call_->has_answered(); }
bool Responder::client_has_left() const { return call_->client_has_left(); }

}  // namespace headgate
