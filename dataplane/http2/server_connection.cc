#include "dataplane/http2/server_connection.h"

#include <algorithm>
#include <array>

#include "dataplane/base/log.h"

namespace headgate::http2 {

namespace {

// Between the two GOAWAYs: longer than a request needs that was on its way when the first was sent.
constexpr Duration kDrainStep = std::chrono::seconds(1);
// Of idleness, after which memory is given back that the next request will want again.
constexpr Duration kRestAfter = std::chrono::seconds(2);
// What clients may send ahead of us: per stream, and all streams together. Bounds memory.
constexpr int32_t kServerStreamWindow = 128 * 1024;
constexpr int32_t kServerConnectionWindow = 2 * 1024 * 1024;

}  // namespace

ServerConnection::ServerConnection(WorkerContext& worker, std::unique_ptr<net::ByteStream> stream,
                                   const http::HttpLimits& limits, http::ExchangeSink& sink,
                                   ServerConnectionOwner& owner, http::Scheme scheme)
    : Session(worker, std::move(stream), Role::kServer, "client", limits.send_timeout),
      limits_(limits),
      sink_(sink),
      owner_(owner),
      scheme_(scheme) {}

ServerConnection::~ServerConnection() {
  // Only when the owner goes without having closed us: nothing may refer to us after this.
  while (Stream* const stream = streams_.pop_front()) {
    stream->on_closed();
    delete stream;
  }
}

void ServerConnection::start(Buffer initial) {
  const std::array<SettingEntry, 4> settings = {
      {{Setting::kMaxConcurrentStreams, limits_.max_streams},
       {Setting::kInitialWindowSize, kServerStreamWindow},
       {Setting::kMaxHeaderListSize, static_cast<uint32_t>(std::min<size_t>(limits_.header_bytes, 1U << 30))},
       {Setting::kEnableConnectProtocol, 1}}};
  begin(settings, kServerStreamWindow, kServerConnectionWindow);
  header_since_ = idle_since_ = worker().loop.now();
  expect_at(header_since_ + limits_.header_timeout);
  if (!initial.empty()) feed(std::move(initial));
}

void ServerConnection::drain() {
  if (draining_ || state() != State::kOpen) return;
  draining_ = true;
  drain_since_ = worker().loop.now();
  announce_goaway();
  expect_at(drain_since_ + kDrainStep);
}

void ServerConnection::say_last_goaway() {
  drain_since_ = MonotonicTime::max();
  say_goaway();
}

// -- frames -----------------------------------------------------------------------------------------------------------

bool ServerConnection::on_frame_begin(const FrameHeader& frame) {
  const MonotonicTime now = worker().loop.now();
  if (frame.type == FrameType::kHeaders) {
    header_since_ = now;
    expect_at(now + limits_.header_timeout);
  } else if (frame.type != FrameType::kContinuation && settings_received()) {
    header_since_ = MonotonicTime::max();
  }
  if (frame.type != FrameType::kRstStream) return true;
  const auto* const stream = static_cast<const Stream*>(find(frame.stream_id));
  return budget_.allow_reset(stream != nullptr && !stream->response_begun(), now) || calm("too many resets");
}

// RFC 9113 5.1: frames of a stream that is closed are ignored only where we closed it and the client could not know yet.
bool ServerConnection::on_late_frame(const FrameHeader& frame) {
  if (reset_.has(frame.stream_id)) {
    const bool allowed = budget_.allow(AbuseBudget::Frame::kIgnored, worker().loop.now());
    return allowed || calm("too many frames on streams that were reset");
  }
  if (ended_.has(frame.stream_id)) {
    return refuse(ErrorCode::kStreamClosed, "a frame on a stream that the client has ended");
  }
  // RFC 9113 5.1.1: opening a higher stream closed it.
  if (frame.type == FrameType::kHeaders && reset_.complete()) {
    return refuse(ErrorCode::kProtocolError, "a stream opened out of order");
  }
  return true;
}

void ServerConnection::on_stream_opened(int32_t id) {
  budget_.note_stream(worker().loop.now());
  if (alive_ >= limits_.max_streams) {
    refuse_stream(id);
    return;
  }
  auto* const stream = new Stream(*this, id);
  ++alive_;
  streams_.push_back(*stream);
  take_stream(*stream);
}

void ServerConnection::on_request() {
  ++requests_;
  if (limits_.max_requests_per_connection != 0 && requests_ >= limits_.max_requests_per_connection) drain();
}

void ServerConnection::on_header_block_end() {
  header_since_ = MonotonicTime::max();
  if (alive_ == 0) expect_idleness();
}

void ServerConnection::on_settings_received() {
  header_since_ = MonotonicTime::max();
  if (alive_ == 0) expect_idleness();
}

bool ServerConnection::on_reset_sent(int32_t id, const SessionStream* base, ErrorCode code) {
  if (!ended_.has(id)) reset_.add(id);
  if (code == ErrorCode::kNoError) return true;
  // T4: resets that the client provokes cost as much as those it sends.
  const auto* const stream = static_cast<const Stream*>(base);
  const bool provoked = stream == nullptr || !stream->given_up();
  const bool early = stream == nullptr || !stream->response_begun();
  return !provoked || budget_.allow_reset(early, worker().loop.now()) || calm("too many resets provoked");
}

void ServerConnection::on_stream_closed(SessionStream& base, ErrorCode) {
  auto& stream = static_cast<Stream&>(base);
  stream.on_closed();
  stream.ListNode<>::unlink();
  worker().loop.defer_delete(std::unique_ptr<Stream>(&stream));
}

void ServerConnection::on_stream_gone() {
  if (--alive_ > 0 || state() != State::kOpen) return;
  idle_since_ = worker().loop.now();
  expect_idleness();
}

void ServerConnection::expect_idleness() {
  resting_ = false;
  expect_at(idle_since_ + std::min<Duration>(limits_.idle_timeout, kRestAfter));
}

// -- deadlines --------------------------------------------------------------------------------------------------------

void ServerConnection::on_alarm(MonotonicTime now) {
  const auto passed = [now](MonotonicTime since, Duration time) {
    return since != MonotonicTime::max() && now - since >= time;
  };
  if (passed(header_since_, limits_.header_timeout)) {
    // A header block blocks every other stream; before SETTINGS there is nobody to talk to.
    settings_received() ? fail(ErrorCode::kEnhanceYourCalm, protocol_error()) : close_now();
  } else if (passed(drain_since_, kDrainStep)) {
    say_last_goaway();
  } else if (alive_ == 0 && passed(idle_since_, limits_.idle_timeout)) {
    fail(ErrorCode::kNoError, protocol_error());
  } else if (alive_ == 0 && !resting_ && passed(idle_since_, kRestAfter)) {
    resting_ = true;
    rest();
  } else {
    check_streams(now);
  }
}

void ServerConnection::check_streams(MonotonicTime now) {
  bool stalled = false;
  streams_.for_each([&](Stream& stream) {
    if (stream.deadline() > now) return;
    stalled = true;
    stream.on_deadline();
  });
  // Nothing can move on a connection whose own window is shut.
  if (stalled && state() == State::kOpen && send_window_shut()) {
    (void)calm("the client's window stays shut");
    fail(ErrorCode::kEnhanceYourCalm, protocol_error());
  }
}

MonotonicTime ServerConnection::next_alarm() {
  MonotonicTime next = MonotonicTime::max();
  const auto consider = [&next](MonotonicTime since, Duration time) {
    if (since != MonotonicTime::max()) next = std::min<MonotonicTime>(next, since + time);
  };
  consider(header_since_, limits_.header_timeout);
  consider(drain_since_, kDrainStep);
  if (alive_ == 0) consider(idle_since_, resting_ ? limits_.idle_timeout : std::min<Duration>(limits_.idle_timeout, kRestAfter));
  streams_.for_each([&](Stream& stream) { next = std::min(next, stream.deadline()); });
  return next;
}

void ServerConnection::end_streams(const Error&) {
  while (Stream* const stream = streams_.pop_front()) {
    forget_stream(*stream);
    stream->on_closed();
    worker().loop.defer_delete(std::unique_ptr<Stream>(stream));
  }
}

}  // namespace headgate::http2
