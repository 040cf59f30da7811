// acceptor.h -- accepts connections of one listening socket, in bounded batches.
//
// Out of descriptors (EMFILE, ENFILE, ENOBUFS, ENOMEM) accepting pauses for 100 ms instead of spinning: the kernel keeps
// the queue.
// Thread: worker.   Owner: the worker's open listener. The descriptor is ours.
#pragma once

#include "dataplane/event/loop.h"
#include "dataplane/net/byte_stream.h"

namespace headgate::net {

class AcceptObserver {
 public:
  virtual void on_accepted(UniqueFd fd, const SocketAddress& remote) = 0;
  virtual void on_accept_error(const Error& error) = 0;

 protected:
  ~AcceptObserver() = default;
};

class Acceptor final : private event::FdObserver {
 public:
  static constexpr int kBatch = 64;
  static constexpr Duration kPause = std::chrono::milliseconds(100);

  Acceptor(event::Loop& loop, UniqueFd fd, AcceptObserver& observer);
  Result<void> start();
  // Takes what is queued now, without a limit, and then no more: closing a socket with a queue would reset it.
  void accept_rest_and_close();
  // Overload: leaves connections in the kernel's queue until resume().
  void pause();
  void resume();
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  void on_fd_ready(uint8_t ready) override;
  void on_pause_over();
  void accept_batch();
  // False: nothing more is queued, or accepting paused.
  bool accept_one();

  event::Loop& loop_;
  UniqueFd fd_;
  AcceptObserver& observer_;
  event::FdWatch watch_;
  event::DeferredCall more_;
  event::Timer pause_;
  bool paused_ = false;  // out of descriptors, for a moment
  bool held_ = false;    // by pause()
};

}  // namespace headgate::net
