// socket_stream.h -- ByteStream over a TCP or Unix stream socket.
//
// Registered once, edge-triggered. Readiness is remembered: after a short read or write nothing is tried again before
// the kernel reports an edge, so one message costs one recv and one send.
// Thread: worker.
#pragma once

#include <memory>

#include "dataplane/base/pooled.h"
#include "dataplane/net/byte_stream.h"

namespace headgate::net {

class SocketStream final : public ByteStream, public Pooled<SocketStream>, private event::FdObserver {
 public:
  // Takes over a connected (or connecting) socket. `facts` is what is known of it.
  static Result<std::unique_ptr<SocketStream>> open(event::Loop& loop, UniqueFd fd, ConnectionFacts facts);
  ~SocketStream() override;

  Result<IoResult> read(std::span<char> into) override;
  Result<IoResult> peek(std::span<char> into) override;
  Result<IoResult> write(std::span<const iovec> from) override;
  Result<IoResult> write_more(std::span<const iovec> from) override;
  Result<IoResult> send_file(int file, uint64_t offset, size_t count) override;
  void shutdown_write() override;
  void watch(Interest interest, StreamObserver& observer) override;
  void unwatch() override;
  void reset_on_close() override;
  [[nodiscard]] bool readable_hint() const override { return (ready_ & event::kReadable) != 0; }
  [[nodiscard]] bool hung_up() const override { return failed_; }
  [[nodiscard]] int kernel_fd() const override { return fd_.get(); }
  [[nodiscard]] const ConnectionFacts& facts() const override { return facts_; }
  void set_ends(const SocketAddress& remote, const SocketAddress& local) override {
    facts_.remote = remote;
    facts_.local = local;
  }

  // For splice(2) by others: could a write succeed, and that the kernel said EAGAIN.
  [[nodiscard]] bool writable_hint() const { return (ready_ & event::kWritable) != 0; }
  void note_not_readable();
  void note_not_writable();

 private:
  SocketStream(event::Loop& loop, UniqueFd fd, ConnectionFacts facts);
  void on_fd_ready(uint8_t ready) override;
  void notify();
  Result<IoResult> send(std::span<const iovec> from, int flags);

  UniqueFd fd_;
  Interest interest_ = Interest::kNone;  // beside the descriptor, where they take no room: one per connection
  // A new socket can be written to; whether there is something to read the poller says in the next turn.
  uint8_t ready_ = event::kWritable;
  bool hangup_ = false;  // end of file is next: a short read does not mean "drained"
  bool failed_ = false;
  event::FdWatch watch_;
  event::DeferredCall notify_later_;
  StreamObserver* observer_ = nullptr;
  ConnectionFacts facts_;
};

}  // namespace headgate::net
