// incoming_body.h -- the DATA frames of one stream as a pulled body, or as the other side's bytes of a tunnel.
//
// What arrives while nobody pulls waits here; the flow-control window bounds it, because a chunk's bytes are given back
// to the window when the next one is asked for. Stream and body may end in any order: either tells the other.
// Thread: worker.   Owner: the Exchange's arena.
#pragma once

#include <optional>

#include "dataplane/base/buffer_list.h"
#include "dataplane/base/clock.h"
#include "dataplane/http/body.h"

namespace headgate::http2 {

// Where the bytes lie that a connection has just read.
struct BodyInput {
  BlockRef block;       // the bytes
  BlockRef gathered;    // small pieces of any stream that have to wait
  size_t gathered_used = 0;
};

// The stream.
class IncomingBodyOwner {
 public:
  // The sender may send so much more.
  virtual void give_back(size_t bytes) = 0;
  virtual void on_body_delivered(size_t bytes) = 0;
  // Somebody waits for bytes; returns the time now.
  virtual MonotonicTime on_body_awaited() = 0;
  // Nobody wants the rest, or the body is destroyed (then it has parted).
  virtual void on_body_dropped() = 0;

 protected:
  ~IncomingBodyOwner() = default;
};

class IncomingBody final : public http::BodySource {
 public:
  // `limit`: bytes after which it fails; 0: none. `from`: who sends it.
  IncomingBody(IncomingBodyOwner& stream, Origin from, std::optional<uint64_t> length, uint64_t limit, Arena& arena)
      : stream_(&stream), from_(from), length_(length), limit_(limit), trailers_(arena) {}
  ~IncomingBody() override;

  [[nodiscard]] std::optional<uint64_t> remaining() const override;
  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] bool waiting() const { return pulled(); }
  [[nodiscard]] MonotonicTime waiting_since() const { return waiting_since_; }
  [[nodiscard]] http::Trailers& trailers() { return trailers_; }

  // `data` lies in the block of `input`. False: more than the length that was announced; the body is broken off.
  [[nodiscard]] bool receive(BodyInput& input, std::string_view data);
  // END_STREAM was read. False: less than the length; broken off.
  [[nodiscard]] bool end();
  // No more will come: told now if somebody waits, else at the next pull.
  void break_off(const Error& error);
  // The stream is over. What has come can still be pulled when it is the whole body, else the next pull fails.
  void part();

 private:
  void on_pull() override;
  void on_cancel() override;
  void take(Buffer chunk);
  void queue(BodyInput& input, std::string_view data);
  void gather(BodyInput& input, std::string_view data);
  void give_back(size_t bytes);
  void drop_waiting();
  bool refuse_length(const char* detail);

  IncomingBodyOwner* stream_;
  Origin from_;
  std::optional<uint64_t> length_;
  uint64_t limit_;
  uint64_t received_ = 0;
  uint64_t delivered_ = 0;
  size_t held_ = 0;   // bytes of the window that have not been given back
  size_t taken_ = 0;  // of the last chunk: given back with the next pull
  BufferList waiting_;
  size_t first_waiting_ = 0;
  BlockRef small_;  // where small pieces are gathered that follow another
  size_t small_used_ = 0;
  MonotonicTime waiting_since_{};
  http::Trailers trailers_;
  bool ended_ = false;
  bool canceled_ = false;
  bool failed_ = false;
  Error error_;
};

}  // namespace headgate::http2
