// replay_body.h -- a request body that can be read again by the next attempt, as long as little of it was taken (D18).
//
// Keeps the Buffers it passed on (slices of the blocks they were read into, nothing is copied) up to a limit. Beyond it
// the first attempt goes on and replayable() turns false.
// Thread: worker.   Owner: the Exchange's arena.   Unit: bytes.
#pragma once

#include <cstdint>

#include "dataplane/base/buffer_list.h"
#include "dataplane/handlers/rewindable_body.h"

namespace headgate::handlers {

class ReplayBody final : public RewindableBody, private http::BodySink {
 public:
  ReplayBody(http::BodySource& from, size_t limit) : from_(from), limit_(limit) {}

  [[nodiscard]] bool replayable() const override { return replayable_; }
  [[nodiscard]] bool begun() const override { return begun_; }
  void rewind() override;
  void forget() override;
  [[nodiscard]] std::optional<uint64_t> remaining() const override;

 private:
  void on_pull() override;
  void on_cancel() override {}  // the next attempt may still want it
  void on_chunk(Buffer chunk) override;
  void on_end(const http::Trailers* trailers) override;
  void on_error(const Error& error) override;

  http::BodySource& from_;
  size_t limit_;
  BufferList kept_;
  size_t kept_bytes_ = 0;
  size_t next_ = 0;  // of kept_, what the current attempt gets next
  bool keeping_ = true;
  bool replayable_ = true;
  bool begun_ = false;
  bool pulling_ = false;  // from_ owes us an answer, which may belong to an attempt that is gone
  bool ended_ = false;
  const http::Trailers* trailers_ = nullptr;  // of from_, alive as long as the exchange
  bool failed_ = false;
  Error error_;
};

}  // namespace headgate::handlers
