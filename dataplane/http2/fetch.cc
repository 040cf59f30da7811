#include "dataplane/http2/fetch.h"

#include <algorithm>
#include <array>
#include <utility>

#include "dataplane/base/check.h"
#include "dataplane/base/number.h"
#include "dataplane/http2/text_of.h"

namespace headgate::http2 {

struct Fetch::Callbacks {
  static Fetch& fetch_of(void* user) { return *static_cast<Fetch*>(user); }

  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                       const uint8_t* value, size_t value_size, uint8_t, void* user) {
    Fetch& fetch = fetch_of(user);
    if (frame->hd.stream_id == fetch.id_ && text_of(name, name_size) == ":status") {
      fetch.answer_.status = parse_decimal<uint32_t>(text_of(value, value_size)).value_or(0);
    }
    return 0;
  }
  static int on_frame_received(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Fetch& fetch = fetch_of(user);
    if (frame->hd.stream_id == fetch.id_ && frame->hd.type == NGHTTP2_HEADERS) fetch.on_head_complete();
    return 0;
  }
  static int on_data_chunk(nghttp2_session*, uint8_t, int32_t, const uint8_t* data, size_t size, void* user) {
    fetch_of(user).on_data(text_of(data, size));
    return 0;
  }
  static int on_stream_close(nghttp2_session*, int32_t id, uint32_t error, void* user) {
    Fetch& fetch = fetch_of(user);
    if (id != fetch.id_) return 0;
    if (error != NGHTTP2_NO_ERROR || fetch.answer_.status == 0) {
      fetch.end("stream reset");
    } else {
      fetch.end("");
    }
    return 0;
  }

  static const nghttp2_session_callbacks* table() {
    static const nghttp2_session_callbacks* const callbacks = [] {
      nghttp2_session_callbacks* made = nullptr;
      HG_CHECK(nghttp2_session_callbacks_new(&made) == 0);
      nghttp2_session_callbacks_set_on_header_callback(made, on_header);
      nghttp2_session_callbacks_set_on_frame_recv_callback(made, on_frame_received);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, on_data_chunk);
      nghttp2_session_callbacks_set_on_stream_close_callback(made, on_stream_close);
      return made;
    }();
    return callbacks;
  }
};

Fetch::Fetch(event::Loop& loop, std::unique_ptr<net::ByteStream> stream, FetchRequest request, FetchObserver& observer)
    : stream_(std::move(stream)),
      request_(std::move(request)),
      observer_(observer),
      report_later_(loop, event::Timer::call<&Fetch::report>, this) {
  HG_CHECK(nghttp2_session_client_new(&session_, Callbacks::table(), this) == 0);
}

Fetch::~Fetch() {
  stream_->unwatch();
  nghttp2_session_del(session_);
}

void Fetch::start() {
  const std::array<nghttp2_settings_entry, 1> settings{{{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  const std::array<nghttp2_nv, 6> fields{field_of(":method", request_.method),
                                         field_of(":scheme", request_.https ? "https" : "http"),
                                         field_of(":path", request_.path),
                                         field_of(":authority", request_.authority),
                                         field_of("user-agent", request_.user_agent),
                                         field_of("accept", "*/*")};
  id_ = nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(), nullptr, nullptr);
  HG_CHECK(id_ > 0);
  stream_->watch(net::Interest::kBoth, *this);
  write_all();
}

void Fetch::on_stream_ready(bool readable, bool) {
  if (readable) read_all();
  write_all();
  if (ended_) return;
  const bool waiting = !pending_.empty() || nghttp2_session_want_write(session_) != 0 || stream_->unsent() > 0;
  stream_->watch(waiting ? net::Interest::kBoth : net::Interest::kRead, *this);
}

void Fetch::read_all() {
  std::array<char, 16 * 1024> piece;  // NOLINT: filled by read()
  while (!ended_) {
    const auto got = stream_->read(piece);
    if (!got) return end("connection lost while waiting for the answer");
    if (got->state == net::IoState::kWouldBlock) return;
    if (got->state == net::IoState::kEof) return end("closed without an answer");
    const auto* const bytes = reinterpret_cast<const uint8_t*>(piece.data());
    if (nghttp2_session_mem_recv(session_, bytes, got->bytes) < 0) return end("not an HTTP/2 response");
    // GOAWAY that covers our stream, or an error that nghttp2 is about to report: nothing more will come.
    if (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) {
      return end("connection ended by the endpoint");
    }
  }
}

void Fetch::write_all() {
  while (!ended_) {
    if (pending_.empty()) {
      const uint8_t* data = nullptr;
      const ssize_t size = nghttp2_session_mem_send(session_, &data);
      if (size < 0) return end("connection lost while asking");
      if (size == 0) return;
      pending_ = text_of(data, static_cast<size_t>(size));
    }
    const iovec piece = net::as_iovec(pending_);
    const auto sent = stream_->write({&piece, 1});
    if (!sent) return end("connection lost while asking");
    if (sent->state == net::IoState::kWouldBlock) return;
    pending_.remove_prefix(sent->bytes);
  }
}

void Fetch::on_head_complete() {
  const bool interim = answer_.status >= 100 && answer_.status < 200;
  if (!interim && request_.body_bytes == 0) end("");
}

void Fetch::on_data(std::string_view bytes) {
  if (ended_) return;
  answer_.body.append(bytes.substr(0, request_.body_bytes - answer_.body.size()));
  if (answer_.body.size() >= request_.body_bytes) end("");
}

// Told later: the observer may destroy us, and nghttp2 may be further up the stack.
void Fetch::end(const char* problem) {
  if (ended_) return;
  ended_ = true;
  answer_.problem = problem;
  stream_->unwatch();
  report_later_.schedule();
}

}  // namespace headgate::http2
