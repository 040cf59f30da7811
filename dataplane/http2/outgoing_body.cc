#include "dataplane/http2/outgoing_body.h"

#include <algorithm>

#include "dataplane/http2/field_array.h"
#include "dataplane/http2/session.h"

namespace headgate::http2 {

namespace {

// Smaller pieces travel in the block of the frame headers: fewer pieces for the kernel.
constexpr size_t kCopyBelow = 2048;

ssize_t read_of(nghttp2_session*, int32_t, uint8_t*, size_t most, uint32_t* flags, nghttp2_data_source* source, void*) {
  return static_cast<OutgoingBody*>(source->ptr)->read_data(most, flags);
}

}  // namespace

nghttp2_data_provider OutgoingBody::provider() { return {{.ptr = this}, read_of}; }

void OutgoingBody::start(http::BodySource& source, int32_t stream_id, std::optional<uint64_t> length, Arena& arena) {
  source_ = &source;
  id_ = stream_id;
  has_length_ = length.has_value();
  left_ = length.value_or(0);
  arena_ = &arena;
  session_.want_pull(*this);
}

void OutgoingBody::stop() {
  stopped_ = true;
  ListNode<PullTag>::unlink();
  if (http::BodySource* source = std::exchange(source_, nullptr)) source->cancel();
  pulling_ = false;
  chunk_ = Buffer();
}

void OutgoingBody::pull() {
  if (source_ == nullptr || pulling_) return;
  const bool all_here = (has_length_ && left_ == 0) || source_->remaining() == uint64_t{0};
  if (!chunk_.empty() && !all_here) return;
  pulling_ = true;
  source_->pull(*this);
}

void OutgoingBody::wake() {
  if (deferred_) {
    deferred_ = false;
    (void)nghttp2_session_resume_data(session_.session(), id_);
  }
  session_.schedule_send();
}

void OutgoingBody::on_chunk(Buffer chunk) {
  pulling_ = false;
  if (stopped_) return;
  if (has_length_) {
    if (chunk.size() > left_) {
      source_ = nullptr;
      owner_.on_body_failed({.code = Errc::kMalformed, .origin = source_of_, .detail = "body longer than its length"});
      return;
    }
    left_ -= chunk.size();
  }
  chunk_ = std::move(chunk);
  progress_ = session_.worker().loop.now();
  owner_.on_body_progress();
  if (source_ != nullptr) session_.want_pull(*this);
  wake();
}

void OutgoingBody::on_end(const http::Trailers* trailers) {
  pulling_ = false;
  if (stopped_) return;
  source_ = nullptr;
  if (has_length_ && left_ > 0) {
    owner_.on_body_failed({.code = Errc::kClosed, .origin = source_of_, .detail = "body shorter than its length"});
    return;
  }
  ended_ = true;
  if (trailers != nullptr && trailers->size() > 0) {
    // Valid during this call only, and sent when the window has let the data through.
    trailers_ = arena_->make<http::Trailers>(*arena_);
    for (const http::Field& field : trailers->fields()) {
      trailers_->add(field.id, arena_->copy(field.name), arena_->copy(field.value));
    }
  }
  wake();
}

void OutgoingBody::on_error(const Error& error) {
  pulling_ = false;
  source_ = nullptr;
  if (!stopped_) owner_.on_body_failed(error);
}

ssize_t OutgoingBody::read_data(size_t most, uint32_t* flags) {
  if (stopped_) return NGHTTP2_ERR_DEFERRED;  // reset, on its way out
  if (chunk_.empty() && !ended_) {
    deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  const size_t size = std::min(most, chunk_.size());
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (ended_ && size == chunk_.size()) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (trailers_ != nullptr) {
      const FieldArray fields(*trailers_);
      if (fields.size() > 0) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        (void)nghttp2_submit_trailer(session_.session(), id_, fields.data(), fields.size());
      }
    }
  }
  return static_cast<ssize_t>(size);
}

OutgoingBody::Written OutgoingBody::write_data(const uint8_t* frame_header, size_t size) {
  net::OutputQueue& output = session_.output();
  if (chunk_.size() < size) return Written::kGone;  // given up while the frame waited for room
  if (output.full()) return Written::kNoRoom;
  constexpr size_t kFrameHeader = 9;
  output.append_copy({reinterpret_cast<const char*>(frame_header), kFrameHeader});
  Buffer part = chunk_.take_prefix(size);
  // Memory that only lives as long as the exchange does not stay behind in the queue.
  if (size < kCopyBelow || !part.block()) {
    output.append_copy(part.view());
  } else {
    output.append(std::move(part));
  }
  progress_ = session_.worker().loop.now();
  owner_.on_body_framed(size);
  if (chunk_.empty()) {
    chunk_ = Buffer();
    if (source_ != nullptr) session_.want_pull(*this);
  }
  return Written::kDone;
}

}  // namespace headgate::http2
