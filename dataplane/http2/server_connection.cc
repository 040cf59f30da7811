#include "dataplane/http2/server_connection.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/base/log.h"

namespace headgate::http2 {

namespace {

// Between the two GOAWAYs: longer than a request needs that was on its way when the first was sent.
constexpr Duration kDrainStep = std::chrono::seconds(1);
// Of idleness, after which memory is given back that the next request will want again.
constexpr Duration kRestAfter = std::chrono::seconds(2);
// What clients may send ahead of us: per stream, and all streams together. Bounds memory.
constexpr uint32_t kServerStreamWindow = 128 * 1024;
constexpr int32_t kServerConnectionWindow = 2 * 1024 * 1024;
}  // namespace

ServerConnection::ServerConnection(WorkerContext& worker, std::unique_ptr<net::ByteStream> stream,
                                   const http::HttpLimits& limits, http::ExchangeSink& sink,
                                   ServerConnectionOwner& owner, http::Scheme scheme)
    : Session(worker, std::move(stream), "client", limits.send_timeout),
      limits_(limits),
      sink_(sink),
      owner_(owner),
      scheme_(scheme) {
  adopt(make_session(*this));
}

ServerConnection::~ServerConnection() {
  // Only when the owner goes without having closed us: nothing may refer to us after this.
  while (Stream* const stream = streams_.pop_front()) {
    stream->on_closed();
    delete stream;
  }
}

void ServerConnection::start(Buffer initial) {
  const std::array<nghttp2_settings_entry, 4> settings = {
      {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits_.max_streams},
       {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kServerStreamWindow},
       {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(std::min<size_t>(limits_.header_bytes, 1U << 30))},
       {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}}};
  (void)nghttp2_submit_settings(session(), NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  (void)nghttp2_session_set_local_window_size(session(), NGHTTP2_FLAG_NONE, 0, kServerConnectionWindow);
  header_since_ = idle_since_ = worker().loop.now();
  expect_at(header_since_ + limits_.header_timeout);
  schedule_send();
  watch();
  if (!initial.empty()) feed(std::move(initial));
}

void ServerConnection::drain() {
  if (draining_ || state() != State::kOpen) return;
  draining_ = true;
  drain_since_ = worker().loop.now();
  (void)nghttp2_submit_shutdown_notice(session());
  expect_at(drain_since_ + kDrainStep);
  schedule_send();
}

void ServerConnection::say_last_goaway() {
  drain_since_ = MonotonicTime::max();
  (void)nghttp2_submit_goaway(session(), NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session()),
                              NGHTTP2_NO_ERROR, nullptr, 0);
  schedule_send();
}

// -- input ------------------------------------------------------------------------------------------------------------

// nghttp2 tells nobody of frames it ignores: DATA on a stream that it has closed, unknown types. So frames are told
// apart here as well: all before a DATA frame is passed on first, then its stream is looked at.
ssize_t ServerConnection::pass_on(std::string_view bytes) {
  const auto give = [this](std::string_view part) {
    return nghttp2_session_mem_recv(session(), reinterpret_cast<const uint8_t*>(part.data()), part.size());
  };
  size_t from = 0;  // not passed on yet
  size_t at = 0;
  while (at < bytes.size()) {
    if (frame_left_ > 0) {
      const size_t part = std::min<size_t>(frame_left_, bytes.size() - at);
      frame_left_ -= static_cast<uint32_t>(part);
      at += part;
      continue;
    }
    const size_t start = at;
    const size_t part = std::min<size_t>(frame_header_.size() - frame_header_size_, bytes.size() - at);
    std::memcpy(frame_header_.data() + frame_header_size_, bytes.data() + at, part);
    frame_header_size_ = static_cast<uint8_t>(frame_header_size_ + part);
    at += part;
    if (frame_header_size_ < frame_header_.size()) break;
    frame_header_size_ = 0;
    const auto byte = [this](size_t index) { return static_cast<uint32_t>(static_cast<uint8_t>(frame_header_[index])); };
    frame_left_ = byte(0) << 16 | byte(1) << 8 | byte(2);
    if (byte(3) > NGHTTP2_CONTINUATION && !budget_.allow(AbuseBudget::Frame::kUnknown, worker().loop.now())) {
      return calm("too many frames of unknown types");
    }
    if (byte(3) != NGHTTP2_DATA) continue;
    if (start > from) {
      if (const ssize_t used = give(bytes.substr(from, start - from)); used < 0) return used;
      from = start;
    }
    const auto id = static_cast<int32_t>((byte(5) & 0x7f) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8));
    nghttp2_frame_hd frame{};
    frame.type = NGHTTP2_DATA;
    frame.stream_id = id;
    if (state() != State::kOpen || check_closed_stream(frame) != 0) return NGHTTP2_ERR_CALLBACK_FAILURE;
  }
  return from < bytes.size() ? give(bytes.substr(from)) : 0;
}

int ServerConnection::on_frame_begins(const nghttp2_frame_hd& frame) {
  if (state() != State::kOpen) return NGHTTP2_ERR_CALLBACK_FAILURE;
  const MonotonicTime now = worker().loop.now();
  bool allowed = true;
  if (frame.type == NGHTTP2_HEADERS) {
    header_since_ = now;
    expect_at(now + limits_.header_timeout);
  } else if (frame.type != NGHTTP2_CONTINUATION && settings_seen_) {
    header_since_ = MonotonicTime::max();
  }
  if (frame.type == NGHTTP2_HEADERS) {
    if (const int closed = check_closed_stream(frame); closed != 0) return closed;
  }
  switch (frame.type) {
    case NGHTTP2_DATA:
      if (frame.length == 0 && (frame.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
        allowed = budget_.allow(AbuseBudget::Frame::kEmpty, now);
      }
      break;
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
    case NGHTTP2_GOAWAY: break;
    case NGHTTP2_SETTINGS:
      if ((frame.flags & NGHTTP2_FLAG_ACK) == 0) allowed = budget_.allow(AbuseBudget::Frame::kSettings, now);
      break;
    case NGHTTP2_PING:
      if ((frame.flags & NGHTTP2_FLAG_ACK) == 0) allowed = budget_.allow_ping(now);
      break;
    case NGHTTP2_PRIORITY: allowed = budget_.allow(AbuseBudget::Frame::kPriority, now); break;
    case NGHTTP2_WINDOW_UPDATE: allowed = budget_.allow_window_update(); break;
    case NGHTTP2_RST_STREAM: {
      const Stream* const stream = stream_of(frame.stream_id);
      allowed = budget_.allow_reset(stream != nullptr && !stream->response_begun(), now);
      if (stream != nullptr) ended_.add(frame.stream_id);
      break;
    }
    default: break;
  }
  return allowed ? 0 : calm("too many frames or resets");
}

// nghttp2 ignores frames of streams it has closed. RFC 9113 5.1 wants that only where we closed the stream and the
// client could not know yet.
int ServerConnection::check_closed_stream(const nghttp2_frame_hd& frame) {
  const int32_t id = frame.stream_id;
  if (id > last_stream_) {
    if (frame.type == NGHTTP2_HEADERS) last_stream_ = id;
    return 0;
  }
  if (nghttp2_session_find_stream(session(), id) != nullptr) return 0;
  if (reset_.has(id)) {
    const bool allowed = budget_.allow(AbuseBudget::Frame::kIgnored, worker().loop.now());
    return allowed ? 0 : calm("too many frames on streams that were reset");
  }
  if (ended_.has(id)) return refuse(NGHTTP2_STREAM_CLOSED, "a frame on a stream that the client has ended");
  // RFC 9113 5.1.1: opening a higher stream closed it.
  if (frame.type == NGHTTP2_HEADERS && reset_.complete() && (id & 1) != 0) {
    return refuse(NGHTTP2_PROTOCOL_ERROR, "a stream opened out of order");
  }
  return 0;
}

int ServerConnection::on_headers_begin(const nghttp2_frame& frame) {
  if (frame.hd.type != NGHTTP2_HEADERS || frame.headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  budget_.note_stream(worker().loop.now());
  if (alive_ >= limits_.max_streams) {
    // nghttp2 counts streams that are open; ours may still be at work for one that was reset in this turn.
    (void)nghttp2_submit_rst_stream(session(), NGHTTP2_FLAG_NONE, frame.hd.stream_id, NGHTTP2_REFUSED_STREAM);
    return 0;
  }
  auto* const stream = new Stream(*this, frame.hd.stream_id);
  ++alive_;
  streams_.push_back(*stream);
  table_.set(session(), frame.hd.stream_id, stream);
  return 0;
}

int ServerConnection::on_frame_received(const nghttp2_frame& frame) {
  if (frame.hd.type == NGHTTP2_HEADERS || (frame.hd.type == NGHTTP2_SETTINGS && !settings_seen_)) {
    if (frame.hd.type == NGHTTP2_SETTINGS) settings_seen_ = true;
    header_since_ = MonotonicTime::max();
    if (alive_ == 0) expect_idleness();
  }
  if (frame.hd.type != NGHTTP2_HEADERS && frame.hd.type != NGHTTP2_DATA) return 0;
  Stream* const stream = stream_of(frame.hd.stream_id);
  if (stream == nullptr) return 0;
  if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) ended_.add(frame.hd.stream_id);
  const bool end_stream = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (frame.hd.type == NGHTTP2_HEADERS && frame.headers.cat == NGHTTP2_HCAT_REQUEST) {
    ++requests_;
    if (limits_.max_requests_per_connection != 0 && requests_ >= limits_.max_requests_per_connection) drain();
    stream->on_head(end_stream);
  } else if (end_stream) {
    stream->on_end_stream();
  }
  return state() == State::kClosed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

int ServerConnection::on_frame_sent(const nghttp2_frame& frame) {
  if (frame.hd.type == NGHTTP2_RST_STREAM && !ended_.has(frame.hd.stream_id)) reset_.add(frame.hd.stream_id);
  if (frame.hd.type == NGHTTP2_RST_STREAM && frame.rst_stream.error_code != NGHTTP2_NO_ERROR) {
    // T4: resets that the client provokes cost as much as those it sends.
    if (settings_seen_) header_since_ = MonotonicTime::max();  // perhaps of the block that was refused
    const Stream* const stream = stream_of(frame.hd.stream_id);
    const bool provoked = stream == nullptr || !stream->given_up();
    const bool early = stream == nullptr || !stream->response_begun();
    if (provoked && !budget_.allow_reset(early, worker().loop.now())) return calm("too many resets provoked");
  } else if ((frame.hd.type == NGHTTP2_HEADERS || frame.hd.type == NGHTTP2_DATA) &&
             (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
    if (Stream* const stream = stream_of(frame.hd.stream_id)) stream->on_response_sent();
  }
  return 0;
}

void ServerConnection::on_stream_closed(Stream& stream) {
  table_.set(session(), stream.id(), nullptr);
  stream.on_closed();
  stream.unlink();
  worker().loop.defer_delete(std::unique_ptr<Stream>(&stream));
}

void ServerConnection::on_stream_destroyed() {
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
    settings_seen_ ? fail(NGHTTP2_ENHANCE_YOUR_CALM, protocol_error()) : close_now();
  } else if (passed(drain_since_, kDrainStep)) {
    say_last_goaway();
  } else if (alive_ == 0 && passed(idle_since_, limits_.idle_timeout)) {
    fail(NGHTTP2_NO_ERROR, protocol_error());
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
  if (stalled && state() == State::kOpen && nghttp2_session_get_remote_window_size(session()) <= 0) {
    (void)calm("the client's window stays shut");
    fail(NGHTTP2_ENHANCE_YOUR_CALM, protocol_error());
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
    table_.set(session(), stream->id(), nullptr);
    stream->on_closed();
    worker().loop.defer_delete(std::unique_ptr<Stream>(stream));
  }
}

}  // namespace headgate::http2
