#include "dataplane/http/body.h"

#include <utility>

namespace headgate::http {

BodySource::~BodySource() {
  if (destroyed_ != nullptr) *destroyed_ = true;
}

void BodySource::pull(BodySink& sink) {
  HG_DCHECK(sink_ == nullptr);
  sink_ = &sink;
  wanted_ = true;
  if (!serving_) serve();
}

// Serves pulls until one stays unanswered. Runs at most once per source on the stack.
void BodySource::serve() {
  bool destroyed = false;
  bool* const outer = std::exchange(destroyed_, &destroyed);
  serving_ = true;
  while (wanted_) {
    wanted_ = false;
    on_pull();
    if (destroyed) {
      if (outer != nullptr) *outer = true;
      return;
    }
  }
  serving_ = false;
  destroyed_ = outer;
}

void BodySource::deliver(Buffer chunk) {
  BodySink* sink = std::exchange(sink_, nullptr);
  if (sink == nullptr) return;  // canceled meanwhile
  if (serving_) {
    sink->on_chunk(std::move(chunk));
    return;
  }
  // An answer that comes later is its own outer frame: a pull made inside on_chunk is served here.
  bool destroyed = false;
  bool* const outer = std::exchange(destroyed_, &destroyed);
  serving_ = true;
  sink->on_chunk(std::move(chunk));
  if (destroyed) {
    if (outer != nullptr) *outer = true;
    return;
  }
  serving_ = false;
  destroyed_ = outer;
  if (wanted_) serve();
}

void BodySource::finish(const Trailers* trailers) {
  if (BodySink* sink = std::exchange(sink_, nullptr)) sink->on_end(trailers);
}

void BodySource::fail(const Error& error) {
  if (BodySink* sink = std::exchange(sink_, nullptr)) sink->on_error(error);
}

void BodySource::cancel() {
  sink_ = nullptr;
  wanted_ = false;
  on_cancel();
}

void BufferBody::on_pull() {
  if (buffer_.empty()) {
    finish();
  } else {
    deliver(std::exchange(buffer_, Buffer()));
  }
}

void BodyDrain::start(BodySource& source, uint64_t limit, Done done, void* argument) {
  source_ = &source;
  left_ = limit;
  done_ = done;
  argument_ = argument;
  source.pull(*this);
}

void BodyDrain::on_chunk(Buffer chunk) {
  if (chunk.size() > left_) {
    source_->cancel();
    done_(argument_, false);
    return;
  }
  left_ -= chunk.size();
  source_->pull(*this);
}

void BodyDrain::on_end(const Trailers*) { done_(argument_, true); }
void BodyDrain::on_error(const Error&) { done_(argument_, false); }

}  // namespace headgate::http
