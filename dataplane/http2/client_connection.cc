#include "dataplane/http2/client_connection.h"

#include <algorithm>
#include <array>

#include "dataplane/base/log.h"

namespace headgate::http2 {

namespace {

// What an endpoint may send ahead of us: for one response, which bounds memory; and for the connection, which is only
// as much as one round trip carries, because it is given back on arrival.
constexpr uint32_t kClientStreamWindow = 256 * 1024;
constexpr int32_t kClientConnectionWindow = 8 * 1024 * 1024;
// Before SETTINGS have told the endpoint's limit: more would be a guess that may cost the connection.
constexpr uint32_t kFirstStreams = 1;

}  // namespace

ClientConnection::ClientConnection(WorkerContext& worker, std::unique_ptr<net::ByteStream> stream,
                                   const http::HttpLimits& limits, const Life& life, ClientConnectionOwner& owner)
    : Session(worker, std::move(stream), "endpoint", life.send_timeout), limits_(limits), owner_(owner), life_(life) {
  adopt(make_session(*this));
}

ClientConnection::~ClientConnection() {
  while (ClientStream* const stream = streams_.pop_front()) delete stream;
}

void ClientConnection::start() {
  const std::array<nghttp2_settings_entry, 3> settings = {
      {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
       {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kClientStreamWindow},
       {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(std::min<size_t>(limits_.header_bytes, 1U << 30))}}};
  (void)nghttp2_submit_settings(session(), NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  (void)nghttp2_session_set_local_window_size(session(), NGHTTP2_FLAG_NONE, 0, kClientConnectionWindow);
  opened_ = idle_since_ = worker().loop.now();
  expect_at(next_alarm());
  schedule_send();
  watch();
}

uint32_t ClientConnection::stream_limit() const {
  const uint32_t theirs = nghttp2_session_get_remote_settings(session(), NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  return std::min({kMaxStreams, settings_seen_ ? UINT32_MAX : kFirstStreams, theirs});
}

bool ClientConnection::has_room() const {
  return !leaving() && open_ < stream_limit() && nghttp2_session_check_request_allowed(session()) != 0;
}

ClientStream* ClientConnection::open() {
  // An endpoint may have closed a resting connection, or said that it will: look before trusting it with a request.
  if (open_ == 0 && state() == State::kOpen && !in_callback() && readable_hint()) read_input();
  if (!has_room()) return nullptr;
  auto* const stream = new ClientStream(*this);
  streams_.push_back(*stream);
  ++open_;
  ++requests_;
  budget_.note_stream(worker().loop.now());
  if (life_.max_requests != 0 && requests_ >= life_.max_requests) leaving_ = true;
  return stream;
}

void ClientConnection::drain() {
  if (leaving()) return;
  leaving_ = true;
  if (open_ == 0) expect_at(worker().loop.now());
}

void ClientConnection::give_up() {
  streams_.for_each([](ClientStream& stream) { stream.cancel(); });
  close_now();
}

ClientConnection::Tunnels ClientConnection::tunnels() const {
  if (!settings_seen_) return Tunnels::kUnknown;
  const bool taken = nghttp2_session_get_remote_settings(session(), NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
  return taken ? Tunnels::kTaken : Tunnels::kRefused;
}

void ClientConnection::on_no_answer(uint64_t since) {
  if (inputs_ == since) drain();
}

// -- streams ----------------------------------------------------------------------------------------------------------

void ClientConnection::remove(ClientStream& stream) {
  if (!stream.linked()) return;
  stream.unlink();
  worker().loop.defer_delete(std::unique_ptr<ClientStream>(&stream));
  if (--open_ == 0) {
    idle_since_ = worker().loop.now();
    expect_at(leaving_ ? idle_since_ : idle_since_ + life_.idle);
  }
  if (state() == State::kOpen) owner_.on_room(*this);
}

void ClientConnection::forget(ClientStream& stream) { remove(stream); }

void ClientConnection::on_stream_closed(ClientStream& stream, uint32_t code) {
  table_.set(session(), stream.id(), nullptr);
  stream.on_closed(code);
  remove(stream);
}

void ClientConnection::end_streams(const Error& why) {
  while (ClientStream* const stream = streams_.pop_front()) {
    if (stream->id() != 0) table_.set(session(), stream->id(), nullptr);
    stream->on_lost(why);
    worker().loop.defer_delete(std::unique_ptr<ClientStream>(stream));
  }
  open_ = 0;
}

Error ClientConnection::protocol_error() const {
  return {.code = Errc::kMalformed,
          .origin = Origin::kUpstream,
          .detail = settings_seen_ ? "the endpoint broke HTTP/2" : "the endpoint does not speak HTTP/2"};
}

// -- frames -----------------------------------------------------------------------------------------------------------

ssize_t ClientConnection::pass_on(std::string_view bytes) {
  ++inputs_;
  return Session::pass_on(bytes);
}

int ClientConnection::on_frame_begins(const nghttp2_frame_hd& frame) {
  if (state() != State::kOpen) return NGHTTP2_ERR_CALLBACK_FAILURE;
  const MonotonicTime now = worker().loop.now();
  const bool ack = (frame.flags & NGHTTP2_FLAG_ACK) != 0;
  bool allowed = true;
  switch (frame.type) {
    case NGHTTP2_DATA:
      if (frame.length == 0 && (frame.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
        allowed = budget_.allow(AbuseBudget::Frame::kEmpty, now);
      }
      break;
    case NGHTTP2_GOAWAY: allowed = budget_.allow(AbuseBudget::Frame::kSettings, now); break;
    case NGHTTP2_SETTINGS: allowed = ack || budget_.allow(AbuseBudget::Frame::kSettings, now); break;
    case NGHTTP2_PING: allowed = ack || budget_.allow_ping(now); break;
    case NGHTTP2_PRIORITY: allowed = budget_.allow(AbuseBudget::Frame::kPriority, now); break;
    case NGHTTP2_WINDOW_UPDATE: allowed = budget_.allow_window_update(); break;
    default: break;
  }
  return allowed ? 0 : calm("too many frames without work");
}

int ClientConnection::on_frame_received(const nghttp2_frame& frame) {
  const bool ack = (frame.hd.flags & NGHTTP2_FLAG_ACK) != 0;
  switch (frame.hd.type) {
    case NGHTTP2_SETTINGS:
      if (!ack) on_settings();
      return 0;
    case NGHTTP2_GOAWAY:
      HG_LOG(kDebug, kHttp, "an endpoint closes an HTTP/2 connection", {"endpoint", facts().remote.to_string()},
             {"code", frame.goaway.error_code});
      on_goaway();
      return 0;
    default: break;
  }
  ClientStream* const stream = stream_of(frame.hd.stream_id);
  if (stream == nullptr) return 0;
  const bool end_stream = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (frame.hd.type == NGHTTP2_HEADERS) {
    stream->on_head(end_stream);
  } else if (frame.hd.type == NGHTTP2_RST_STREAM) {
    stream->on_reset_received();
  } else if (frame.hd.type == NGHTTP2_DATA && end_stream) {
    stream->on_end_stream();
  }
  return state() == State::kClosed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

int ClientConnection::on_frame_sent(const nghttp2_frame& frame) {
  if (frame.hd.type != NGHTTP2_HEADERS && frame.hd.type != NGHTTP2_DATA) return 0;
  ClientStream* const stream = stream_of(frame.hd.stream_id);
  if (stream == nullptr) return 0;
  if (frame.hd.type == NGHTTP2_HEADERS) stream->on_head_sent();
  if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) stream->on_request_sent();
  return 0;
}

void ClientConnection::on_settings() {
  settings_seen_ = true;
  // Those that wait to learn whether tunnels are taken.
  const bool taken = tunnels() == Tunnels::kTaken;
  streams_.for_each([taken](ClientStream& stream) {
    if (stream.held()) stream.on_settings(taken);
  });
  if (has_room()) owner_.on_room(*this);
}

// nghttp2 closes the streams above the last one that is served, after this.
void ClientConnection::on_goaway() {
  leaving_ = true;
  if (open_ == 0) expect_at(worker().loop.now());
}

// -- deadlines --------------------------------------------------------------------------------------------------------

void ClientConnection::on_alarm(MonotonicTime now) {
  if (life_.max_age > Duration(0) && now - opened_ >= life_.max_age) leaving_ = true;
  if (open_ == 0 && (leaving_ || now - idle_since_ >= life_.idle)) {
    fail(NGHTTP2_NO_ERROR, protocol_error());
    return;
  }
  streams_.for_each([now](ClientStream& stream) {
    if (stream.deadline() <= now) stream.on_deadline();
  });
}

MonotonicTime ClientConnection::next_alarm() {
  MonotonicTime next = open_ == 0 ? (leaving_ ? idle_since_ : idle_since_ + life_.idle) : MonotonicTime::max();
  if (life_.max_age > Duration(0) && !leaving_) next = std::min<MonotonicTime>(next, opened_ + life_.max_age);
  streams_.for_each([&](ClientStream& stream) { next = std::min(next, stream.deadline()); });
  return next;
}

}  // namespace headgate::http2
