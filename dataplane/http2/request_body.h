// request_body.h -- the DATA frames of one stream as a pulled body, or as the client's bytes of a tunnel.
//
// What arrives while nobody pulls waits here; the flow-control window bounds it, because a chunk's bytes are given back
// to the window when the next one is asked for. When the stream is over first, the body is detached and pulls fail.
// Thread: worker.   Owner: the Exchange's arena.
#pragma once

#include <optional>
#include <vector>

#include "dataplane/base/buffer.h"
#include "dataplane/base/clock.h"
#include "dataplane/http/body.h"

namespace headgate::http2 {

class Stream;

class RequestBody final : public http::BodySource {
 public:
  RequestBody(Stream& stream, std::optional<uint64_t> length, uint64_t limit, Arena& arena)
      : stream_(&stream), length_(length), limit_(limit), trailers_(arena) {}

  [[nodiscard]] std::optional<uint64_t> remaining() const override;
  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] bool waiting() const { return pulled(); }
  [[nodiscard]] MonotonicTime waiting_since() const { return waiting_since_; }
  [[nodiscard]] http::Trailers& trailers() { return trailers_; }
  // Bytes of the window that have not been given back.
  [[nodiscard]] size_t held() const { return held_; }

  // `data` lies in `block`.
  void receive(const BlockRef& block, std::string_view data);
  // END_STREAM was read.
  void end();
  void break_off(const Error& error);
  void detach();

 private:
  void on_pull() override;
  void on_cancel() override;
  void take(Buffer chunk);
  void queue(const BlockRef& block, std::string_view data);
  void give_back(size_t bytes);

  Stream* stream_;
  std::optional<uint64_t> length_;
  uint64_t limit_;  // 0: none
  uint64_t received_ = 0;
  uint64_t delivered_ = 0;
  size_t held_ = 0;
  size_t taken_ = 0;  // of the last chunk: given back with the next pull
  std::vector<Buffer> waiting_;
  size_t first_waiting_ = 0;
  BlockRef small_;  // where small pieces are gathered
  size_t small_used_ = 0;
  MonotonicTime waiting_since_{};
  http::Trailers trailers_;
  bool ended_ = false;
  bool canceled_ = false;
  bool failed_ = false;
  Error error_;
};

}  // namespace headgate::http2
