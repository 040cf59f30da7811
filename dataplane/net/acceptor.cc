#include "dataplane/net/acceptor.h"

#include <sys/socket.h>

#include <cerrno>

namespace headgate::net {

Acceptor::Acceptor(event::Loop& loop, UniqueFd fd, AcceptObserver& observer)
    : loop_(loop),
      fd_(std::move(fd)),
      observer_(observer),
      more_(loop, event::Timer::call<&Acceptor::accept_batch>, this),
      pause_(loop.timers(), event::Timer::call<&Acceptor::on_pause_over>, this) {}

Result<void> Acceptor::start() { return watch_.start(loop_, fd_.get(), *this); }

void Acceptor::on_fd_ready(uint8_t) { accept_batch(); }

void Acceptor::accept_batch() {
  if (paused_ || held_ || !fd_.valid()) return;
  for (int i = 0; i < kBatch; ++i) {
    if (!accept_one()) return;
  }
  // Others first; the edge has been used up, so we come back on our own.
  more_.schedule();
}

bool Acceptor::accept_one() {
  sockaddr_storage storage;
  socklen_t length = sizeof(storage);
  const int fd = ::accept4(fd_.get(), reinterpret_cast<sockaddr*>(&storage), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) {
    observer_.on_accepted(UniqueFd(fd), SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length));
    return fd_.valid();
  }
  switch (errno) {
    case EAGAIN: return false;
    case EINTR:
    case ECONNABORTED:
    case EPROTO: return true;  // that client has gone; the next one may be there
    default: break;
  }
  const Error error = system_error("accept");
  paused_ = true;
  pause_.arm(kPause);
  observer_.on_accept_error(error);
  return false;
}

void Acceptor::on_pause_over() {
  paused_ = false;
  accept_batch();
}

void Acceptor::pause() {
  held_ = true;
  more_.cancel();
}

void Acceptor::resume() {
  if (!held_) return;
  held_ = false;
  accept_batch();
}

void Acceptor::accept_rest_and_close() {
  paused_ = false;
  pause_.cancel();
  while (fd_.valid() && !paused_ && accept_one()) {
  }
  more_.cancel();
  watch_.stop();
  fd_.reset();
}

}  // namespace headgate::net
