// encoded_body.h -- a body that pulls from another and compresses what it gets.
// Output leaves in blocks of 16 KiB; earlier only when the source makes us wait, so that a slow or endless source
// (server-sent events) reaches the client as it comes. One input chunk and one output block are held at a time.
// Thread: worker.   Owner: arena of the Exchange.
#pragma once

#include <vector>

#include "dataplane/base/arena.h"
#include "dataplane/filters/encoder.h"
#include "dataplane/filters/variant_cache.h"
#include "dataplane/http/body.h"

namespace headgate::filters {

class EncodedBody final : public http::BodySource, private http::BodySink {
 public:
  // With a `keep` that has a content id the whole output goes into `variants` once it is complete.
  EncodedBody(http::BodySource& source, EncoderLease encoder, Arena& arena, VariantCache& variants, VariantKey keep)
      : source_(source), encoder_(std::move(encoder)), arena_(arena), variants_(variants), keep_(keep) {}

 private:
  enum class Flow : uint8_t { kGoOn, kStop };

  void on_pull() override { step(); }
  void on_cancel() override;
  void on_chunk(Buffer chunk) override;
  void on_end(const http::Trailers* trailers) override;
  void on_error(const Error& error) override;

  void step();
  Flow encode(Encoder::Flush flush);
  Flow deliver_output();
  void complete();

  http::BodySource& source_;
  EncoderLease encoder_;
  Arena& arena_;
  VariantCache& variants_;
  VariantKey keep_;
  std::vector<Buffer> kept_;  // output so far, while it may become a variant
  size_t kept_bytes_ = 0;
  Buffer input_;
  BlockRef output_;
  size_t output_size_ = 0;
  http::Trailers* trailers_ = nullptr;
  Error error_;
  bool asked_ = false;      // the source owes us an answer
  bool stepping_ = false;   // step() is on the stack
  bool ended_ = false;      // the source is complete
  bool finished_ = false;   // so is our output
  bool failed_ = false;
  bool unflushed_ = false;  // the encoder holds input that nobody could decode yet
  bool flushing_ = false;   // a flush did not fit into one block
};

}  // namespace headgate::filters
