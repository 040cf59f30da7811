#include "dataplane/http2/session.h"

#include <algorithm>
#include <array>

#include "dataplane/base/check.h"
#include "dataplane/base/log.h"

namespace headgate::http2 {

namespace {

// Fairness: what one connection may read or send in one turn of the loop.
constexpr Duration kLingerTime = std::chrono::seconds(2);
// Frames that wait to be written, beside those of open streams (T7).
constexpr size_t kMaxQueuedFrames = 100;
constexpr size_t kMaxContinuations = 8;  // T5
constexpr size_t kMaxQueuedAcks = 100;   // T7
constexpr size_t kMaxSettings = 32;

}  // namespace

Session::Session(WorkerContext& worker, std::unique_ptr<net::ByteStream> stream, const char* other,
                 Duration send_timeout)
    : worker_(worker),
      stream_(std::move(stream)),
      timer_(worker.loop.timers(), event::Timer::call<&Session::on_timer>, this),
      send_later_(worker.loop, event::Timer::call<&Session::send_now>, this),
      resume_later_(worker.loop, event::Timer::call<&Session::resume_later>, this),
      other_(other),
      send_timeout_(send_timeout) {}

Session::~Session() { nghttp2_session_del(session_); }

// -- nghttp2 ----------------------------------------------------------------------------------------------------------

nghttp2_session_callbacks* Session::make_callbacks() {
  nghttp2_session_callbacks* made = nullptr;
  HG_CHECK(nghttp2_session_callbacks_new(&made) == 0);
  nghttp2_session_callbacks_set_on_invalid_header_callback(made, on_invalid_header);
  nghttp2_session_callbacks_set_send_data_callback(made, send_data);
  return made;
}

nghttp2_option* Session::make_options() {
  nghttp2_option* made = nullptr;
  HG_CHECK(nghttp2_option_new(&made) == 0);
  nghttp2_option_set_no_auto_window_update(made, 1);
  nghttp2_option_set_no_closed_streams(made, 1);
  nghttp2_option_set_max_outbound_ack(made, kMaxQueuedAcks);
  nghttp2_option_set_max_settings(made, kMaxSettings);
  nghttp2_option_set_max_continuations(made, kMaxContinuations);
  return made;
}

// RFC 9113 8.2.1: a message with an invalid field is malformed; by default nghttp2 would drop the field.
int Session::on_invalid_header(nghttp2_session*, const nghttp2_frame*, const uint8_t*, size_t, const uint8_t*, size_t,
                               uint8_t, void*) {
  return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

int Session::send_data(nghttp2_session*, nghttp2_frame*, const uint8_t* header, size_t size,
                       nghttp2_data_source* source, void* user) {
  switch (static_cast<OutgoingBody*>(source->ptr)->write_data(header, size)) {
    case OutgoingBody::Written::kDone: break;
    case OutgoingBody::Written::kNoRoom: return NGHTTP2_ERR_WOULDBLOCK;
    case OutgoingBody::Written::kGone: return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  static_cast<Session*>(user)->budget_.note_data_frame();
  return 0;
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

ssize_t Session::pass_on(std::string_view bytes) {
  return nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

void Session::feed(Buffer bytes) {
  input_.block = bytes.block();
  receiving_ = true;
  const ssize_t used = pass_on(bytes.view());
  receiving_ = false;
  input_ = {};
  if (state_ != State::kOpen) return;
  if (failure_ != 0) {
    fail(failure_, protocol_error());
  } else if (used == NGHTTP2_ERR_FLOODED || used == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS ||
             nghttp2_session_get_outbound_queue_size(session_) > kMaxQueuedFrames + 3 * streams_alive()) {
    fail(NGHTTP2_ENHANCE_YOUR_CALM, protocol_error());
  } else if (used < 0) {
    fail(used == NGHTTP2_ERR_NOMEM ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_PROTOCOL_ERROR, protocol_error());
  } else if (nghttp2_session_want_write(session_) != 0 || nghttp2_session_want_read(session_) == 0) {
    schedule_send();
  }
}

int Session::refuse(uint32_t code, const char* detail) {
  if (failure_ == 0) {
    HG_LOG(kInfo, kHttp, "HTTP/2 connection ended", {other_, facts().remote.to_string()}, {"reason", detail});
    failure_ = code;
  }
  return NGHTTP2_ERR_CALLBACK_FAILURE;
}

// -- output -----------------------------------------------------------------------------------------------------------

// Frames until the queue is full or nothing more can be said. False: the session failed.
bool Session::gather() {
  while (!output_.full()) {
    const uint8_t* frame = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &frame);
    if (size < 0) {
      fail(failure_ != 0 ? failure_ : uint32_t{NGHTTP2_INTERNAL_ERROR}, protocol_error());
      return false;
    }
    if (size == 0) break;
    output_.append_copy({reinterpret_cast<const char*>(frame), static_cast<size_t>(size)});
  }
  return true;
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
    if (state_ == State::kOpen && !gather()) break;
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
    blocked_since_ = MonotonicTime::max();
    if (over_budget(before)) break;
  }
  sending_ = false;
  if (state_ == State::kOpen && output_.empty() && nghttp2_session_want_read(session_) == 0 &&
      nghttp2_session_want_write(session_) == 0) {
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

// GOAWAY by hand: after an error nghttp2 promises nothing of its session. What was gathered before it are whole frames.
void Session::fail(uint32_t code, const Error& why) {
  if (state_ != State::kOpen) return;
  const auto last = static_cast<uint32_t>(nghttp2_session_get_last_proc_stream_id(session_));
  std::array<char, 17> frame{};
  frame[2] = 8;
  frame[3] = NGHTTP2_GOAWAY;
  for (int i = 0; i < 4; ++i) {
    frame[9 + i] = static_cast<char>(last >> (24 - 8 * i));
    frame[13 + i] = static_cast<char>(code >> (24 - 8 * i));
  }
  output_.append_copy({frame.data(), frame.size()});
  close_gracefully(why);
}

// Closing while bytes of the other side are unread resets the connection and may destroy our GOAWAY on its way. So:
// FIN, then read a little longer.
void Session::close_gracefully(const Error& why) {
  state_ = State::kClosing;
  end_streams(why);
  pulls_.clear();
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
  output_.clear();
  on_closed();
}

}  // namespace headgate::http2
