#include "dataplane/http2/outgoing_body.h"

#include <utility>

#include "dataplane/http2/session.h"

namespace headgate::http2 {

void OutgoingBody::start(http::BodySource& source, std::optional<uint64_t> length, Arena& arena) {
  source_ = &source;
  has_length_ = length.has_value();
  left_ = length.value_or(0);
  arena_ = &arena;
  session_.want_pull(*this);
}

void OutgoingBody::stop() {
  stopped_ = true;
  ListNode<PullTag>::unlink();
  ListNode<ReadyTag>::unlink();
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
  session_.want_send(*this);
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
  session_.want_send(*this);
}

void OutgoingBody::on_error(const Error& error) {
  pulling_ = false;
  source_ = nullptr;
  if (!stopped_) owner_.on_body_failed(error);
}

void OutgoingBody::on_framed(size_t size) {
  if (size == 0) return;
  progress_ = session_.worker().loop.now();
  owner_.on_body_framed(size);
  if (!chunk_.empty()) return;
  chunk_ = Buffer();
  if (source_ != nullptr) session_.want_pull(*this);
}

}  // namespace headgate::http2
