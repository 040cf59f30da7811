#include "dataplane/http2/incoming_body.h"

#include <algorithm>
#include <cstring>

namespace headgate::http2 {

namespace {

// A slice of an input block keeps the whole block: smaller pieces are copied together.
constexpr size_t kKeepSlice = 2048;
static_assert(kKeepSlice <= Block::kSmall, "what is gathered fits into an empty block");

}  // namespace

IncomingBody::~IncomingBody() {
  IncomingBodyOwner* const stream = stream_;
  part();
  if (stream != nullptr) stream->on_body_dropped();
}

std::optional<uint64_t> IncomingBody::remaining() const {
  if (length_) return *length_ - std::min(*length_, delivered_);
  if (ended_ && received_ == delivered_) return 0;
  return std::nullopt;
}

// RFC 9113 8.1.1: a message whose body is not as long as it said is malformed.
bool IncomingBody::refuse_length(const char* detail) {
  break_off({.code = Errc::kMalformed, .origin = from_, .detail = detail});
  return false;
}

bool IncomingBody::receive(BodyInput& input, std::string_view data) {
  received_ += data.size();
  held_ += data.size();
  if (canceled_ || failed_ || stream_ == nullptr) {
    give_back(data.size());
    return true;
  }
  if (length_ && received_ > *length_) return refuse_length("body longer than its length");
  if (limit_ != 0 && received_ > limit_) {
    give_back(data.size());
    break_off({.code = Errc::kBodyTooLarge, .origin = from_, .detail = "body over the limit"});
    return true;
  }
  if (pulled()) {
    take(Buffer(input.block, data.data(), data.size()));
  } else {
    queue(input, data);
  }
  return true;
}

// The first piece that waits, and often the only one: beside those of other streams that came with it.
void IncomingBody::gather(BodyInput& input, std::string_view data) {
  if (!input.gathered || input.gathered->capacity() - input.gathered_used < data.size()) {
    input.gathered = BlockRef(Block::allocate(Block::kSmall));
    input.gathered_used = 0;
  }
  char* const into = input.gathered->data() + input.gathered_used;
  std::memcpy(into, data.data(), data.size());
  input.gathered_used += data.size();
  waiting_.push_back(Buffer(input.gathered, into, data.size()));
}

void IncomingBody::queue(BodyInput& input, std::string_view data) {
  if (data.size() >= kKeepSlice) {
    small_.reset();
    waiting_.push_back(Buffer(input.block, data.data(), data.size()));
    return;
  }
  if (waiting_.empty()) {
    gather(input, data);
    return;
  }
  if (!small_ || small_->capacity() - small_used_ < data.size()) {
    small_ = BlockRef(Block::allocate(Block::kSmall));
    small_used_ = 0;
  }
  char* const into = small_->data() + small_used_;
  std::memcpy(into, data.data(), data.size());
  small_used_ += data.size();
  if (waiting_.back().block().get() == small_.get()) {
    Buffer& last = waiting_.back();
    last = Buffer(small_, last.data(), last.size() + data.size());
  } else {
    waiting_.push_back(Buffer(small_, into, data.size()));
  }
}

void IncomingBody::take(Buffer chunk) {
  taken_ = chunk.size();
  delivered_ += chunk.size();
  if (stream_ != nullptr) stream_->on_body_delivered(chunk.size());
  deliver(std::move(chunk));
}

void IncomingBody::give_back(size_t bytes) {
  if (bytes == 0) return;
  held_ -= bytes;
  if (stream_ != nullptr) stream_->give_back(bytes);
}

void IncomingBody::drop_waiting() {
  waiting_.clear();
  first_waiting_ = 0;
  small_.reset();
  taken_ = 0;
  give_back(held_);
}

void IncomingBody::on_pull() {
  give_back(std::exchange(taken_, 0));
  if (failed_) {
    fail(error_);
  } else if (stream_ == nullptr && !ended_) {
    fail({.code = Errc::kCanceled, .origin = from_, .detail = "the exchange is over"});
  } else if (first_waiting_ < waiting_.size()) {
    Buffer next = std::move(waiting_[first_waiting_++]);
    if (first_waiting_ == waiting_.size()) {
      waiting_.clear();
      first_waiting_ = 0;
      small_.reset();
    }
    take(std::move(next));
  } else if (ended_) {
    finish(trailers_.size() == 0 ? nullptr : &trailers_);
  } else {
    waiting_since_ = stream_->on_body_awaited();
  }
}

void IncomingBody::on_cancel() {
  if (canceled_) return;
  canceled_ = true;
  drop_waiting();
  if (stream_ != nullptr) stream_->on_body_dropped();
}

bool IncomingBody::end() {
  if (length_ && received_ < *length_ && !canceled_ && !failed_) return refuse_length("body shorter than its length");
  ended_ = true;
  if (pulled()) finish(trailers_.size() == 0 ? nullptr : &trailers_);
  return true;
}

void IncomingBody::break_off(const Error& error) {
  failed_ = true;
  error_ = error;
  drop_waiting();
  fail(error);
}

void IncomingBody::part() {
  taken_ = 0;
  give_back(held_);
  stream_ = nullptr;
}

}  // namespace headgate::http2
