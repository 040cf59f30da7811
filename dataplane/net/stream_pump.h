// stream_pump.h -- copies two ByteStreams into each other until both have ended.
//
// Per direction: kFlowing -- end of file, everything written, the other side told (shut down) --> kEnded
//                kFlowing -- the receiving side is broken --> kBroken (what comes is not taken any more)
// The pump ends when both directions have: kDone; or when a sender was reset: kReset, and then the other side is reset,
// too (RST for RST, FIN for FIN). A broken receiver resets the sender once what it had still sent has been passed on.
// At most one block per direction is in flight: nothing more is read before it is written. Blocks grow from 16 KiB as
// full reads follow each other; a direction that waits for bytes holds none. Between plain sockets bulk goes by
// splice(2), without touching user memory, and falls back to copying when the pieces become small.
// Thread: worker.   Owner: whoever forwards; destroy by Loop::defer_delete from on_pump_ended().   Unit: bytes.
#pragma once

#include <array>
#include <memory>

#include "dataplane/base/buffer.h"
#include "dataplane/event/worker_context.h"
#include "dataplane/net/byte_stream.h"
#include "dataplane/net/pipe_pool.h"

namespace headgate::net {

class SocketStream;

enum class PumpEnd : uint8_t { kDone, kReset, kIdle, kDeadline };

class PumpObserver {
 public:
  // Once, never from inside start(). The streams are still there, and are closed with the pump.
  virtual void on_pump_ended(PumpEnd end) = 0;

 protected:
  ~PumpObserver() = default;
};

struct PumpOptions {
  size_t buffer_bytes = size_t{256} * 1024;  // largest block per direction
  Duration idle_timeout{0};                  // no byte in either direction; zero: none
  bool splice = true;
};

class StreamPump final : public event::Disposable {
 public:
  // `down` is the client's side.
  StreamPump(WorkerContext& worker, std::unique_ptr<ByteStream> down, std::unique_ptr<ByteStream> up,
             const PumpOptions& options, PumpObserver& observer);
  ~StreamPump() override;

  void start();
  // Both sides are closed then, whatever still moves.
  void end_at(MonotonicTime deadline) { deadline_.arm_at(deadline); }

  [[nodiscard]] uint64_t bytes_up() const { return directions_[0].total; }
  [[nodiscard]] uint64_t bytes_down() const { return directions_[1].total; }
  [[nodiscard]] ByteStream& down() { return *sides_[0].stream; }
  [[nodiscard]] ByteStream& up() { return *sides_[1].stream; }

 private:
  enum class State : uint8_t { kFlowing, kEnded, kBroken };
  enum class Step : uint8_t { kMore, kBlocked, kOver };

  class Side final : public StreamObserver {
   public:
    void on_stream_ready(bool readable, bool writable) override;
    StreamPump* pump = nullptr;
    size_t index = 0;
    std::unique_ptr<ByteStream> stream;
    SocketStream* socket = nullptr;  // stream, when the kernel can move its bytes
  };
  // From sides_[i] to sides_[1 - i].
  struct Direction {
    State state = State::kFlowing;
    bool source_ended = false;
    bool source_reset = false;
    BlockRef block;
    size_t begin = 0;  // of what is in the block
    size_t end = 0;
    size_t chunk = Block::kMedium;  // how much the next read may take
    uint64_t total = 0;
    uint64_t bulk = 0;  // moved by full reads in a row
    Pipe pipe;
    bool splicing = false;
    uint8_t small_pieces = 0;
  };

  void advance(size_t index);
  Step step(size_t index, size_t& budget);
  Step copy_step(size_t index, size_t& budget);
  Step splice_step(size_t index, size_t& budget);
  Step write_block(size_t index);
  void note_read(Direction& direction, size_t bytes, size_t offered);
  void count(size_t index, size_t bytes);
  void finish_source(size_t index, bool reset);
  Step end_direction(size_t index, State state);
  void check_end();
  void end(PumpEnd how);
  void on_more();
  void on_idle();
  void on_deadline();

  WorkerContext& worker_;
  PumpOptions options_;
  PumpObserver& observer_;
  std::array<Side, 2> sides_;
  std::array<Direction, 2> directions_;
  event::DeferredCall more_;
  event::Timer idle_;
  event::Timer deadline_;
  MonotonicTime last_activity_{};
  bool ended_ = false;
};

}  // namespace headgate::net
