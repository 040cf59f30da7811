#include "dataplane/http2/session.h"

#include <algorithm>

#include "dataplane/base/check.h"
#include "dataplane/base/log.h"

namespace headgate::http2 {

namespace {

// For the other side to read our GOAWAY.
constexpr Duration kLingerTime = std::chrono::seconds(2);
// Frames that answer the peer and wait to be written, beside those of open streams (T7).
constexpr size_t kMaxQueuedFrames = 100;

}  // namespace

Session::Session(WorkerContext& worker, std::unique_ptr<net::ByteStream> stream, Role role, const char* other,
                 Duration send_timeout)
    : worker_(worker),
      stream_(std::move(stream)),
      timer_(worker.loop.timers(), event::Timer::call<&Session::on_timer>, this),
      send_later_(worker.loop, event::Timer::call<&Session::send_now>, this),
      resume_later_(worker.loop, event::Timer::call<&Session::resume_later>, this),
      reader_(role == Role::kServer ? FrameReader::Preface::kExpected : FrameReader::Preface::kNone),
      other_(other),
      send_timeout_(send_timeout),
      next_stream_(role == Role::kServer ? 0 : 1),
      role_(role) {}

Session::~Session() = default;

void Session::begin(std::span<const SettingEntry> settings, int32_t stream_window, int32_t connection_window) {
  if (role_ == Role::kClient) writer_.preface();
  writer_.settings(settings);
  stream_window_ = stream_window;
  writer_.window_update(0, receive_window_.resize(connection_window));
  schedule_send();
  stream_->watch(net::Interest::kBoth, *this);
}

// -- streams ----------------------------------------------------------------------------------------------------------

void Session::take_stream(SessionStream& stream) {
  stream.send_window_ = peer_.initial_window;
  stream.receive_window_ = FlowWindow(stream_window_);
  streams_.insert(stream);
}

void Session::refuse_stream(int32_t id) {
  writer_.reset(id, ErrorCode::kRefusedStream);
  (void)on_reset_sent(id, nullptr, ErrorCode::kRefusedStream);
}

void Session::forget_stream(SessionStream& stream) {
  stream.closed_ = true;
  stream.ListNode<DueTag>::unlink();
  streams_.erase(stream);
}

void Session::submit_request(SessionStream& stream) {
  stream.opens_ = true;
  due_.push_back(stream);
  schedule_send();
}

void Session::write_head(SessionStream& stream, const FieldArray& fields, bool end_stream) {
  if (state_ != State::kOpen || stream.closed_) return;
  writer_.head(stream.id_, fields, end_stream);
  if (end_stream) {
    stream.local_ended_ = true;
    due_.push_back(stream);
  }
  schedule_send();
}

void Session::submit_reset(SessionStream& stream, ErrorCode code) {
  if (state_ != State::kOpen || stream.closed_ || stream.reset_queued_) return;
  stream.reset_queued_ = true;
  stream.reset_code_ = code;
  due_.push_back(stream);
  schedule_send();
}

void Session::give_back(size_t bytes) {
  const uint32_t increment = receive_window_.give_back(bytes);
  if (increment == 0 || state_ != State::kOpen) return;
  writer_.window_update(0, increment);
  schedule_send();
}

void Session::give_back(SessionStream& stream, size_t bytes) {
  if (state_ != State::kOpen || stream.closed_ || stream.remote_ended_) return;
  const uint32_t increment = stream.receive_window_.give_back(bytes);
  if (increment == 0) return;
  writer_.window_update(stream.id_, increment);
  schedule_send();
}

void Session::close_stream(SessionStream& stream, ErrorCode code) {
  forget_stream(stream);
  on_stream_closed(stream, code);
}

void Session::close_if_ended(SessionStream& stream) {
  if (stream.closed_ || stream.reset_queued_ || !stream.remote_ended_ || !stream.end_told_) return;
  close_stream(stream, ErrorCode::kNoError);
}

// What a stream submitted takes effect.
void Session::process_due(SessionStream& stream) {
  if (stream.opens_) {
    stream.opens_ = false;
    stream.id_ = next_stream_;
    next_stream_ = next_stream_ > kMaxStreamId - 2 ? 0 : next_stream_ + 2;
    take_stream(stream);
    stream.write_request();
  }
  if (stream.local_ended_ && !stream.end_told_) {
    stream.end_told_ = true;
    stream.on_end_sent();
  }
  if (stream.closed_) return;  // with the connection
  if (!stream.reset_queued_) {
    close_if_ended(stream);
    return;
  }
  const ErrorCode code = stream.reset_code_;
  writer_.reset(stream.id_, code);
  (void)on_reset_sent(stream.id_, &stream, code);
  close_stream(stream, code);
}

// -- input ------------------------------------------------------------------------------------------------------------

void Session::on_stream_ready(bool readable, bool writable) {
  if (writable && !output_.empty()) send();
  if (readable && state_ != State::kClosed) read_input();
}

void Session::resume_later() {
  if (state_ == State::kOpen) send();
  if (state_ != State::kClosed) read_input();
}

bool Session::over_budget(size_t bytes) {
  if (turn_budget_.spend(worker_.loop.turns(), bytes)) return false;
  resume_later_.schedule();
  return true;
}

void Session::read_input() {
  while (state_ != State::kClosed && stream_->readable_hint()) {
    BlockRef block(Block::allocate(input_size_));
    const auto got = stream_->read({block->data(), block->capacity()});
    if (!got) {
      close(got.error());
      return;
    }
    if (got->state == net::IoState::kEof) {
      close({.code = Errc::kClosed, .detail = "the connection was closed"});
      return;
    }
    if (got->state == net::IoState::kWouldBlock) return;
    // Long bodies fill blocks: larger ones then, so that slices of them are few.
    input_size_ = got->bytes == block->capacity() ? Block::kLarge : Block::kMedium;
    if (state_ == State::kOpen) {
      const char* const data = block->data();
      feed(Buffer(std::move(block), data, got->bytes));
    }
    if (over_budget(got->bytes)) return;
  }
}

void Session::feed(Buffer bytes) {
  input_.block = bytes.block();
  receiving_ = true;
  on_input();
  process(bytes.view());
  receiving_ = false;
  input_ = {};
  if (state_ != State::kOpen) return;
  if (refused_) {
    fail(failure_, protocol_error());
  } else if (writer_.control_frames() > kMaxQueuedFrames + 3 * streams_alive()) {
    fail(ErrorCode::kEnhanceYourCalm, protocol_error());
  } else if (!output_.empty() || is_over()) {
    schedule_send();
  }
}

bool Session::refuse(ErrorCode code, const char* detail) {
  if (!refused_) {
    HG_LOG(kInfo, kHttp, "HTTP/2 connection ended", {other_, facts().remote.to_string()}, {"reason", detail});
    refused_ = true;
    failure_ = code;
  }
  return false;
}

// -- output -----------------------------------------------------------------------------------------------------------

void Session::wake(SessionStream& stream) {
  OutgoingBody& body = stream.outgoing();
  if (body.waiting()) want_send(body);
}

// One frame of the body, as far as the windows go, and its end. A body that has to wait for a window is not in the list.
void Session::frame_part(OutgoingBody& body) {
  SessionStream& stream = body.stream();
  if (stream.closed_ || stream.reset_queued_) return;
  const int64_t window = std::clamp<int64_t>(std::min<int64_t>(stream.send_window_, send_window_), 0, kDefaultFrameSize);
  const size_t size = std::min(static_cast<size_t>(window), body.held());
  if (size == 0 && body.held() > 0) return;
  const bool last = body.ended() && size == body.held();
  stream.send_window_ -= static_cast<int32_t>(size);
  send_window_ -= static_cast<int64_t>(size);
  if (last) {
    frame_end(body, size);
  } else {
    frame_data(body, size, false);
    if (body.waiting()) ready_.push_back(body);
  }
}

void Session::frame_data(OutgoingBody& body, size_t size, bool end_stream) {
  budget_.note_data_frame();
  writer_.data(body.stream().id_, body.take(size), end_stream);
  body.on_framed(size);
}

// What is left of the body, and its trailers when there are any that may be sent.
void Session::frame_end(OutgoingBody& body, size_t size) {
  SessionStream& stream = body.stream();
  if (body.trailers() == nullptr) {
    frame_data(body, size, true);
  } else if (const FieldArray fields(*body.trailers()); fields.size() == 0) {
    frame_data(body, size, true);
  } else {
    if (size > 0) frame_data(body, size, false);
    writer_.head(stream.id_, fields, true);
  }
  body.on_end_framed();
  stream.local_ended_ = true;
  process_due(stream);
}

// Frames until the queue is full or nothing more can be said.
void Session::gather() {
  while (!writer_.full()) {
    SessionStream* const stream = due_.pop_front();
    if (stream == nullptr) break;
    process_due(*stream);
  }
  while (!writer_.full()) {
    OutgoingBody* const body = ready_.pop_front();
    if (body == nullptr) break;
    frame_part(*body);
  }
}

void Session::send() {
  if (sending_ || receiving_ || state_ == State::kClosed) return;
  sending_ = true;
  for (;;) {
    while (state_ == State::kOpen && output_.bytes() < net::OutputQueue::kFullBytes) {
      OutgoingBody* const body = pulls_.pop_front();
      if (body == nullptr) break;
      body->pull();
    }
    writer_.catch_up();
    if (state_ == State::kOpen) gather();
    if (refused_ && state_ == State::kOpen) {
      fail(failure_, protocol_error());
      break;
    }
    if (state_ == State::kClosed || output_.empty()) break;
    const size_t before = output_.bytes();
    if (auto flushed = output_.flush(*stream_); !flushed) {
      sending_ = false;
      // What the other side said before it closed is worth hearing: answers, a reason.
      if (state_ == State::kOpen) read_input();
      close(flushed.error());
      return;
    }
    if (!output_.empty()) {
      if (output_.bytes() < before || blocked_since_ == MonotonicTime::max()) {
        blocked_since_ = worker_.loop.now();
        expect_at(blocked_since_ + send_timeout_);
      }
      break;
    }
    writer_.drained();
    blocked_since_ = MonotonicTime::max();
    if (over_budget(before)) break;
  }
  sending_ = false;
  if (state_ == State::kOpen && output_.empty() && is_over()) {
    close_gracefully(protocol_error());
  } else if (state_ == State::kClosing && output_.empty() && !fin_sent_) {
    fin_sent_ = true;
    stream_->shutdown_write();
  }
}

// -- deadlines --------------------------------------------------------------------------------------------------------

void Session::expect_at(MonotonicTime when) {
  if (when == MonotonicTime::max() || state_ == State::kClosed) return;
  // An earlier alarm looks at all deadlines when it rings.
  if (!timer_.armed() || timer_.deadline() > when) timer_.arm_at(when);
}

void Session::on_timer() {
  const MonotonicTime now = worker_.loop.now();
  const bool blocked = blocked_since_ != MonotonicTime::max();
  const Error no_progress{.code = Errc::kTimeout, .detail = "the connection takes no bytes"};
  if (now >= close_at_) {
    close(no_progress);
    return;
  }
  if (blocked && now - blocked_since_ >= send_timeout_) {
    stream_->reset_on_close();
    close(no_progress);
    return;
  }
  if (state_ == State::kOpen) on_alarm(now);
  if (state_ == State::kClosed) return;
  MonotonicTime next = close_at_;
  if (blocked_since_ != MonotonicTime::max()) next = std::min<MonotonicTime>(next, blocked_since_ + send_timeout_);
  if (state_ == State::kOpen) next = std::min(next, next_alarm());
  if (next != MonotonicTime::max()) timer_.arm_at(std::max<MonotonicTime>(next, now + event::TimerWheel::kTick));
}

// -- the end ----------------------------------------------------------------------------------------------------------

void Session::write_goaway(int32_t last_stream_id) {
  writer_.goaway(last_stream_id, ErrorCode::kNoError);
  schedule_send();
}

void Session::say_goaway() {
  said_goaway_ = true;
  write_goaway(last_stream_);
}

void Session::fail(ErrorCode code, const Error& why) {
  if (state_ != State::kOpen) return;
  writer_.goaway(last_stream_, code);
  close_gracefully(why);
}

// Closing while bytes of the other side are unread resets the connection and may destroy our GOAWAY on its way. So:
// FIN, then read a little longer.
void Session::close_gracefully(const Error& why) {
  state_ = State::kClosing;
  end_streams(why);
  pulls_.clear();
  ready_.clear();
  close_at_ = worker_.loop.now() + kLingerTime;
  expect_at(close_at_);
  send_later_.schedule();
}

void Session::close_now() { close({.code = Errc::kCanceled, .detail = "the connection is given up"}); }

void Session::close(const Error& why) {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  timer_.cancel();
  send_later_.cancel();
  resume_later_.cancel();
  stream_->unwatch();
  end_streams(why);
  pulls_.clear();
  ready_.clear();
  output_.clear();
  on_closed();
}

}  // namespace headgate::http2
