#include "dataplane/handlers/replay_body.h"

namespace headgate::handlers {

std::optional<uint64_t> ReplayBody::remaining() const {
  const auto rest = from_.remaining();
  if (!rest) return std::nullopt;
  uint64_t total = *rest;
  for (size_t i = next_; i < kept_.size(); ++i) total += kept_[i].size();
  return total;
}

void ReplayBody::rewind() {
  HG_DCHECK(replayable_);
  next_ = 0;
}

void ReplayBody::forget() {
  keeping_ = false;
  replayable_ = false;
  kept_.clear();
  next_ = 0;
}

void ReplayBody::on_pull() {
  begun_ = true;
  if (next_ < kept_.size()) {
    deliver(kept_[next_++]);
    return;
  }
  if (failed_) {
    fail(error_);
  } else if (ended_) {
    finish(trailers_);
  } else if (!pulling_) {
    pulling_ = true;
    from_.pull(*this);
  }
}

void ReplayBody::on_chunk(Buffer chunk) {
  pulling_ = false;
  if (keeping_ && kept_bytes_ + chunk.size() <= limit_) {
    kept_bytes_ += chunk.size();
    kept_.push_back(std::move(chunk));
    // When the attempt that asked is gone, the next one finds it in the list.
    if (pulled()) deliver(kept_[next_++]);
    return;
  }
  if (!pulled()) {
    // Too late for one attempt and too long to keep for another.
    replayable_ = false;
    failed_ = true;
    error_ = {.code = Errc::kTooLarge, .detail = "request body too long to send again"};
    return;
  }
  // Everything kept so far has been passed on; from here on there is no way back.
  keeping_ = false;
  replayable_ = false;
  kept_.clear();
  next_ = 0;
  deliver(std::move(chunk));
}

void ReplayBody::on_end(const http::Trailers* trailers) {
  pulling_ = false;
  ended_ = true;
  trailers_ = trailers;
  finish(trailers);
}

void ReplayBody::on_error(const Error& error) {
  pulling_ = false;
  failed_ = true;
  error_ = error;
  fail(error);
}

}  // namespace headgate::handlers
