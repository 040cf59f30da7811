#include "dataplane/filters/encoded_body.h"

namespace headgate::filters {
namespace {

constexpr size_t kOutputBlock = Block::kMedium;

}  // namespace

// May destroy us in the call that answers the pull: each of those is the last thing done.
void EncodedBody::step() {
  if (stepping_) return;
  stepping_ = true;
  while (pulled()) {
    if (failed_) {
      stepping_ = false;
      fail(error_);
      return;
    }
    if (finished_) {
      stepping_ = false;
      complete();
      return;
    }
    if (flushing_ || ended_ || !input_.empty()) {
      const auto flush = flushing_ ? Encoder::Flush::kSync : ended_ ? Encoder::Flush::kFinish : Encoder::Flush::kNone;
      if (encode(flush) == Flow::kStop) return;
      continue;
    }
    if (!asked_) {
      asked_ = true;
      source_.pull(*this);
      if (!asked_) continue;
    }
    // The source has nothing yet: let the client have what there is.
    if (!unflushed_) break;
    flushing_ = true;
  }
  stepping_ = false;
}

EncodedBody::Flow EncodedBody::encode(Encoder::Flush flush) {
  if (!output_) {
    output_ = BlockRef(Block::allocate(kOutputBlock));
    output_size_ = 0;
  }
  const std::span<char> room(output_->data() + output_size_, output_->capacity() - output_size_);
  const Encoder::Step result = encoder_->run(input_.view(), room, flush);
  if (result.failed) {
    failed_ = true;
    error_ = {.code = Errc::kInternal, .detail = "compression failed"};
    return Flow::kGoOn;
  }
  if (result.consumed > 0) unflushed_ = true;
  input_.remove_prefix(result.consumed);
  if (input_.empty()) input_ = Buffer();
  output_size_ += result.produced;
  if (flush == Encoder::Flush::kSync && result.complete) {
    flushing_ = false;
    unflushed_ = false;
    return deliver_output();
  }
  if (flush == Encoder::Flush::kFinish && result.complete) {
    finished_ = true;
    encoder_.reset();
    return deliver_output();
  }
  return output_size_ == output_->capacity() ? deliver_output() : Flow::kGoOn;
}

EncodedBody::Flow EncodedBody::deliver_output() {
  if (output_size_ == 0) return Flow::kGoOn;
  const char* data = output_->data();
  Buffer chunk(std::move(output_), data, output_size_);
  output_size_ = 0;
  if (keep_.content_id != 0) {
    kept_bytes_ += chunk.size();
    if (kept_bytes_ <= VariantCache::kMaxVariant) {
      kept_.push_back(chunk);
    } else {
      keep_ = {};
      kept_.clear();
    }
  }
  stepping_ = false;
  deliver(std::move(chunk));
  return Flow::kStop;
}

void EncodedBody::complete() {
  if (keep_.content_id != 0) variants_.insert(keep_, kept_);
  kept_.clear();
  finish(trailers_);
}

void EncodedBody::on_cancel() {
  source_.cancel();
  encoder_.reset();
  failed_ = true;
  error_ = {.code = Errc::kCanceled, .detail = "canceled"};
  input_ = Buffer();
  output_.reset();
  kept_.clear();
}

void EncodedBody::on_chunk(Buffer chunk) {
  asked_ = false;
  input_ = std::move(chunk);
  step();
}

void EncodedBody::on_end(const http::Trailers* trailers) {
  asked_ = false;
  ended_ = true;
  if (trailers != nullptr && trailers->size() > 0) {
    // Theirs are valid during this call only.
    trailers_ = arena_.make<http::Trailers>(arena_);
    for (const http::Field& field : trailers->fields()) {
      trailers_->add(field.id, arena_.copy(field.name), arena_.copy(field.value));
    }
  }
  step();
}

void EncodedBody::on_error(const Error& error) {
  asked_ = false;
  failed_ = true;
  error_ = error;
  step();
}

}  // namespace headgate::filters
