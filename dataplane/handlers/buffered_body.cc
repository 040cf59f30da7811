#include "dataplane/handlers/buffered_body.h"

namespace headgate::handlers {

void BufferedBody::collect(Observer& observer) {
  observer_ = &observer;
  from_.pull(*this);
}

void BufferedBody::on_chunk(Buffer chunk) {
  if (const auto kept = spool_.append(chunk.view(), limits_); !kept) {
    from_.cancel();
    const Error error = kept.error();
    observer_->on_body_collected(&error);
    return;
  }
  from_.pull(*this);
}

void BufferedBody::on_end(const http::Trailers* trailers) {
  trailers_ = trailers;
  observer_->on_body_collected(nullptr);
}

void BufferedBody::on_pull() {
  const auto piece = spool_.read(at_);
  if (!piece) {
    fail(piece.error());
  } else if (piece->empty()) {
    finish(trailers_);
  } else {
    at_ += piece->size();
    deliver(*piece);
  }
}

}  // namespace headgate::handlers
