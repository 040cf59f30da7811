#include "dataplane/http2/client_connection.h"

#include <algorithm>
#include <array>

#include "dataplane/base/log.h"

namespace headgate::http2 {

namespace {

// What an endpoint may send ahead of us: for one response, which bounds memory; and for the connection, which is only
// as much as one round trip carries, because it is given back on arrival.
constexpr int32_t kClientStreamWindow = 256 * 1024;
constexpr int32_t kClientConnectionWindow = 8 * 1024 * 1024;
// Before SETTINGS have told the endpoint's limit: more would be a guess that may cost the connection.
constexpr uint32_t kFirstStreams = 1;

}  // namespace

ClientConnection::ClientConnection(WorkerContext& worker, std::unique_ptr<net::ByteStream> stream,
                                   const http::HttpLimits& limits, const Life& life, ClientConnectionOwner& owner)
    : Session(worker, std::move(stream), Role::kClient, "endpoint", life.send_timeout),
      limits_(limits),
      owner_(owner),
      life_(life) {}

ClientConnection::~ClientConnection() {
  while (ClientStream* const stream = streams_.pop_front()) delete stream;
}

void ClientConnection::start() {
  const std::array<SettingEntry, 3> settings = {
      {{Setting::kEnablePush, 0},
       {Setting::kInitialWindowSize, kClientStreamWindow},
       {Setting::kMaxHeaderListSize, static_cast<uint32_t>(std::min<size_t>(limits_.header_bytes, 1U << 30))}}};
  opened_ = idle_since_ = worker().loop.now();
  begin(settings, kClientStreamWindow, kClientConnectionWindow);
  expect_at(next_alarm());
}

uint32_t ClientConnection::stream_limit() const {
  return std::min({kMaxStreams, settings_received() ? UINT32_MAX : kFirstStreams, peer().max_streams});
}

bool ClientConnection::has_room() const {
  return !leaving() && open_ < stream_limit() && can_open();
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
  if (!settings_received()) return Tunnels::kUnknown;
  return peer().connect_protocol ? Tunnels::kTaken : Tunnels::kRefused;
}

void ClientConnection::on_no_answer(uint64_t since) {
  if (inputs_ == since) drain();
}

// -- streams ----------------------------------------------------------------------------------------------------------

void ClientConnection::remove(ClientStream& stream) {
  if (!stream.ListNode<>::linked()) return;
  stream.ListNode<>::unlink();
  forget_stream(stream);
  worker().loop.defer_delete(std::unique_ptr<ClientStream>(&stream));
  if (--open_ == 0) {
    idle_since_ = worker().loop.now();
    expect_at(leaving_ ? idle_since_ : idle_since_ + life_.idle);
  }
  if (state() == State::kOpen) owner_.on_room(*this);
}

void ClientConnection::forget(ClientStream& stream) { remove(stream); }

void ClientConnection::on_stream_closed(SessionStream& base, ErrorCode code) {
  auto& stream = static_cast<ClientStream&>(base);
  stream.on_closed(code);
  remove(stream);
}

void ClientConnection::end_streams(const Error& why) {
  while (ClientStream* const stream = streams_.pop_front()) {
    forget_stream(*stream);
    stream->on_lost(why);
    worker().loop.defer_delete(std::unique_ptr<ClientStream>(stream));
  }
  open_ = 0;
}

Error ClientConnection::protocol_error() const {
  return {.code = Errc::kMalformed,
          .origin = Origin::kUpstream,
          .detail = settings_received() ? "the endpoint broke HTTP/2" : "the endpoint does not speak HTTP/2"};
}

// -- frames -----------------------------------------------------------------------------------------------------------

bool ClientConnection::on_frame_begin(const FrameHeader& frame) {
  if (frame.type != FrameType::kGoaway) return true;
  return budget_.allow(AbuseBudget::Frame::kSettings, worker().loop.now()) || calm("too many GOAWAYs");
}

void ClientConnection::on_settings_received() {
  // Those that wait to learn whether tunnels are taken.
  const bool taken = tunnels() == Tunnels::kTaken;
  streams_.for_each([taken](ClientStream& stream) {
    if (stream.held()) stream.on_settings(taken);
  });
  if (has_room()) owner_.on_room(*this);
}

void ClientConnection::on_goaway_received(int32_t, ErrorCode code) {
  HG_LOG(kDebug, kHttp, "an endpoint closes an HTTP/2 connection", {"endpoint", facts().remote.to_string()},
         {"code", static_cast<uint32_t>(code)});
  leaving_ = true;
  if (open_ == 0) expect_at(worker().loop.now());
}

// -- deadlines --------------------------------------------------------------------------------------------------------

void ClientConnection::on_alarm(MonotonicTime now) {
  if (life_.max_age > Duration(0) && now - opened_ >= life_.max_age) leaving_ = true;
  if (open_ == 0 && (leaving_ || now - idle_since_ >= life_.idle)) {
    fail(ErrorCode::kNoError, protocol_error());
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
