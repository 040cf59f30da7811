#include "dataplane/http2/call.h"

#include <array>
#include <cstring>

#include "dataplane/base/check.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "dataplane/http2/text_of.h"

namespace headgate::http2 {
namespace {

constexpr int32_t kCallStreamWindow = 4 << 20;
constexpr int32_t kCallConnectionWindow = 16 << 20;
constexpr size_t kPrefix = 5;  // compressed flag, length
constexpr size_t kKeptBuffer = 64 * 1024;

// grpc-message is percent-encoded.
std::string decode_message(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size() && out.size() < 1024; ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      if (const auto byte = parse_hex(text.substr(i + 1, 2))) {
        out.push_back(static_cast<char>(*byte));
        i += 2;
        continue;
      }
    }
    out.push_back(text[i]);
  }
  return out;
}

}  // namespace

struct Call::Callbacks {
  static Call& call_of(void* user) { return *static_cast<Call*>(user); }

  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                       const uint8_t* value, size_t value_size, uint8_t, void* user) {
    if (frame->hd.stream_id == call_of(user).id_) {
      call_of(user).on_field(text_of(name, name_size), text_of(value, value_size));
    }
    return 0;
  }
  static int on_data_chunk(nghttp2_session*, uint8_t, int32_t, const uint8_t* data, size_t size, void* user) {
    return call_of(user).on_data(text_of(data, size)) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
  }
  static int on_stream_close(nghttp2_session*, int32_t id, uint32_t error, void* user) {
    Call& call = call_of(user);
    if (id != call.id_) return 0;
    if (call.grpc_status_ < 0 && error != NGHTTP2_NO_ERROR) {
      call.end(CallStatus::kUnavailable, std::string("stream reset: ") + nghttp2_http2_strerror(error));
    } else {
      call.end_by_status();
    }
    return 0;
  }
  static ssize_t read_out(nghttp2_session*, int32_t, uint8_t* into, size_t size, uint32_t* flags, nghttp2_data_source*,
                          void* user) {
    Call& call = call_of(user);
    const size_t count = std::min(size, call.unsent());
    std::memcpy(into, call.out_.data() + call.out_at_, count);
    call.out_at_ += count;
    if (call.unsent() == 0) {
      call.out_at_ = 0;
      call.out_.clear();
      if (call.out_.capacity() > kKeptBuffer) call.out_.shrink_to_fit();
      if (call.finish_) *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    if (count > 0 || call.finish_) return static_cast<ssize_t>(count);
    call.deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }

  static const nghttp2_session_callbacks* table() {
    static const nghttp2_session_callbacks* const callbacks = [] {
      nghttp2_session_callbacks* made = nullptr;
      HG_CHECK(nghttp2_session_callbacks_new(&made) == 0);
      nghttp2_session_callbacks_set_on_header_callback(made, on_header);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, on_data_chunk);
      nghttp2_session_callbacks_set_on_stream_close_callback(made, on_stream_close);
      return made;
    }();
    return callbacks;
  }
};

Call::Call(event::Loop& loop, std::unique_ptr<net::ByteStream> stream, CallOptions options, CallObserver& observer)
    : loop_(loop),
      stream_(std::move(stream)),
      options_(std::move(options)),
      observer_(observer),
      ping_timer_(loop.timers(), event::Timer::call<&Call::on_ping_timer>, this),
      report_later_(loop, event::Timer::call<&Call::report>, this) {
  HG_CHECK(nghttp2_session_client_new(&session_, Callbacks::table(), this) == 0);
}

Call::~Call() {
  stream_->unwatch();
  nghttp2_session_del(session_);
}

void Call::start() {
  const std::array<nghttp2_settings_entry, 2> settings{
      {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}, {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kCallStreamWindow}}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kCallConnectionWindow);
  const std::string bearer = "Bearer " + options_.token;
  const std::array<nghttp2_nv, 8> fields{field_of(":method", "POST"),
                                         field_of(":scheme", options_.https ? "https" : "http"),
                                         field_of(":path", options_.path),
                                         field_of(":authority", options_.authority),
                                         field_of("te", "trailers"),
                                         field_of("content-type", "application/grpc+proto"),
                                         field_of("user-agent", "headgate/" HEADGATE_VERSION),
                                         field_of("authorization", bearer)};
  nghttp2_data_provider body{};
  body.read_callback = Callbacks::read_out;
  id_ = nghttp2_submit_request(session_, nullptr, fields.data(), fields.size() - (options_.token.empty() ? 1 : 0), &body,
                               nullptr);
  HG_CHECK(id_ > 0);
  ping_timer_.arm(options_.ping_after);
  stream_->watch(net::Interest::kBoth, *this);
  write_all();
}

void Call::send(std::string_view message) {
  if (ended_ || finish_) return;
  const auto size = static_cast<uint32_t>(message.size());
  const std::array<char, kPrefix> prefix{0, static_cast<char>(size >> 24), static_cast<char>(size >> 16),
                                         static_cast<char>(size >> 8), static_cast<char>(size)};
  out_.append(prefix.data(), prefix.size());
  out_.append(message);
  if (std::exchange(deferred_, false)) nghttp2_session_resume_data(session_, id_);
  write_all();
}

void Call::finish_sending() {
  if (ended_) return;
  finish_ = true;
  if (std::exchange(deferred_, false)) nghttp2_session_resume_data(session_, id_);
  write_all();
}

void Call::on_stream_ready(bool readable, bool writable) {
  if (readable && !ended_) read_all();
  if ((writable || readable) && !ended_) write_all();
  if (!ended_) {
    const bool waiting = !pending_.empty() || nghttp2_session_want_write(session_) != 0;
    stream_->watch(waiting ? net::Interest::kBoth : net::Interest::kRead, *this);
  }
}

void Call::read_all() {
  std::array<char, 32 * 1024> piece;
  // A turn takes at most 1 MiB: the loop has other work. The watch comes again at once when more is there.
  for (int i = 0; i < 32 && !ended_; ++i) {
    auto got = stream_->read(piece);
    if (!got) return end(CallStatus::kUnavailable, to_string(got.error()));
    if (got->state == net::IoState::kWouldBlock) return;
    if (got->state == net::IoState::kEof) return end_by_status();
    heard_ = true;
    pinged_ = false;
    reading_ = true;
    const ssize_t used = nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(piece.data()), got->bytes);
    reading_ = false;
    if (used < 0 && !ended_) return end(CallStatus::kUnavailable, nghttp2_strerror(static_cast<int>(used)));
  }
}

// Not from inside nghttp2's own callbacks (an observer that answers a message): on_stream_ready() writes after reading.
void Call::write_all() {
  while (!ended_ && !reading_) {
    if (pending_.empty()) {
      const uint8_t* data = nullptr;
      const ssize_t size = nghttp2_session_mem_send(session_, &data);
      if (size < 0) return end(CallStatus::kUnavailable, nghttp2_strerror(static_cast<int>(size)));
      if (size == 0) return;
      pending_ = text_of(data, static_cast<size_t>(size));
    }
    const iovec piece = net::as_iovec(pending_);
    auto sent = stream_->write({&piece, 1});
    if (!sent) return end(CallStatus::kUnavailable, to_string(sent.error()));
    if (sent->state == net::IoState::kWouldBlock) {
      stream_->watch(net::Interest::kBoth, *this);
      return;
    }
    pending_.remove_prefix(sent->bytes);
  }
}

void Call::on_ping_timer() {
  if (ended_) return;
  if (pinged_) return end(CallStatus::kUnavailable, "no answer to a PING");
  if (std::exchange(heard_, false)) {
    ping_timer_.arm(options_.ping_after);
    return;
  }
  pinged_ = true;
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
  ping_timer_.arm(options_.ping_timeout);
  write_all();
}

void Call::on_field(std::string_view name, std::string_view value) {
  if (name == ":status") http_status_ = value;
  if (name == "grpc-message") grpc_message_ = decode_message(value);
  if (name == "grpc-status") grpc_status_ = static_cast<int>(parse_decimal<uint16_t>(value).value_or(2));
}

bool Call::on_data(std::string_view bytes) {
  while (!bytes.empty() && !ended_) {
    const auto length_of = [](std::string_view prefix) {
      size_t size = 0;
      for (size_t i = 1; i < kPrefix; ++i) size = size << 8 | static_cast<uint8_t>(prefix[i]);
      return size;
    };
    const auto acceptable = [&](std::string_view prefix) {
      if (prefix[0] != 0) end(CallStatus::kUnavailable, "a compressed message, which was not offered");
      if (length_of(prefix) > options_.max_message) end(CallStatus::kUnavailable, "a message above the limit");
      return !ended_;
    };
    // Whole in this piece: the usual case, nothing is copied.
    if (in_.empty() && bytes.size() >= kPrefix) {
      if (!acceptable(bytes)) return false;
      const size_t whole = kPrefix + length_of(bytes);
      if (bytes.size() >= whole) {
        observer_.on_message(bytes.substr(kPrefix, whole - kPrefix));
        bytes.remove_prefix(whole);
        continue;
      }
    }
    size_t wanted = kPrefix;
    if (in_.size() >= kPrefix) wanted += length_of(in_);
    const size_t take = std::min(bytes.size(), wanted - in_.size());
    in_.append(bytes.substr(0, take));
    bytes.remove_prefix(take);
    if (in_.size() < kPrefix) return true;
    if (in_.size() == kPrefix && !acceptable(in_)) return false;
    if (in_.size() < kPrefix + length_of(in_)) continue;
    std::string message = std::exchange(in_, {});
    observer_.on_message(std::string_view(message).substr(kPrefix));
    message.clear();
    if (message.capacity() <= kKeptBuffer) in_ = std::move(message);
  }
  return !ended_;
}

void Call::end_by_status() {
  if (grpc_status_ >= 0) return end(grpc_status_, grpc_message_);
  end(CallStatus::kUnavailable, !http_status_.empty() && http_status_ != "200"
                                    ? "HTTP status " + http_status_
                                    : "the connection was closed without a status");
}

// Told later: the observer may destroy the call, and nghttp2 may be further up the stack.
void Call::end(int code, std::string message) {
  if (ended_) return;
  ended_ = true;
  result_ = {code, std::move(message)};
  ping_timer_.cancel();
  stream_->unwatch();
  report_later_.schedule();
}

void Call::report() { observer_.on_ended(result_); }

}  // namespace headgate::http2
