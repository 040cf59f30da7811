// message_stream.h -- a ByteStream that carries messages: what stands opposite to datagrams.
//
// Nobody can be asked to wait for a datagram: what the stream does not take at once is kept up to `buffer_bytes`, and
// past that dropped by the caller, who counts it. A message is written whole or not at all.
// Thread: worker.   Owner: a forwarding run or flow; destroy by Loop::defer_delete.
#pragma once

#include <memory>
#include <string_view>

#include "dataplane/base/buffer.h"
#include "dataplane/event/worker_context.h"
#include "dataplane/net/byte_stream.h"
#include "dataplane/net/framing.h"

namespace headgate::net {

class MessageObserver {
 public:
  // One message, valid during the call. May send(), and may defer-delete the stream after close().
  virtual void on_message(std::string_view message) = 0;
  // A message was cut off or too large for a datagram.
  virtual void on_message_lost() = 0;
  // Once: nothing more will come. `reset`: the stream is broken in both directions.
  virtual void on_messages_ended(bool reset) = 0;
  // After end_writing(): everything has gone out.
  virtual void on_writing_ended() {}

 protected:
  ~MessageObserver() = default;
};

class MessageStream final : public event::Disposable, private StreamObserver {
 public:
  MessageStream(WorkerContext& worker, std::unique_ptr<ByteStream> stream, Framing framing, size_t buffer_bytes,
                MessageObserver& observer);
  ~MessageStream() override;

  // Before start(): read nothing while more than `buffer_bytes` wait to be written. For senders that expect answers.
  void wait_for_room() { waits_ = true; }
  void start();
  // False: there is no room, or the stream has ended.
  bool send(std::string_view message);
  // Half close, after what is queued.
  void end_writing();
  // No more calls to the observer; says goodbye. Destroy it next.
  void close();

  [[nodiscard]] ByteStream& stream() { return *stream_; }

 private:
  void on_stream_ready(bool readable, bool writable) override;
  void on_more() { read(); }
  void on_written();
  void read();
  // False: ended meanwhile.
  bool deliver(bool at_end);
  void make_room();
  void write_queued();
  void fail();
  void queue(std::string_view bytes);
  [[nodiscard]] size_t queued() const { return out_end_ - out_begin_; }

  WorkerContext& worker_;
  std::unique_ptr<ByteStream> stream_;
  FrameReader reader_;
  Framing framing_;
  size_t buffer_bytes_;
  MessageObserver& observer_;
  event::DeferredCall more_;
  event::DeferredCall written_;
  BlockRef in_;
  size_t in_begin_ = 0;
  size_t in_end_ = 0;
  BlockRef out_;
  size_t out_begin_ = 0;
  size_t out_end_ = 0;
  bool read_ended_ = false;
  bool write_ended_ = false;
  bool ending_ = false;
  bool waits_ = false;
  bool closed_ = false;
};

}  // namespace headgate::net
