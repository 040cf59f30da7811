#include "dataplane/net/socket_stream.h"

#include <sys/sendfile.h>
#include <sys/socket.h>

#include <cerrno>

#include "dataplane/net/socket.h"

namespace headgate::net {
namespace {

size_t total_size(std::span<const iovec> pieces) {
  size_t total = 0;
  for (const iovec& piece : pieces) total += piece.iov_len;
  return total;
}

ssize_t send_gathered(int fd, std::span<const iovec> pieces, int flags) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());
  message.msg_iovlen = pieces.size();
  return ::sendmsg(fd, &message, flags);
}

}  // namespace

Result<IoResult> ByteStream::peek(std::span<char>) {
  return Error{.code = Errc::kUnsupported, .detail = "peek on this stream"};
}

Result<IoResult> ByteStream::send_file(int, uint64_t, size_t) {
  return Error{.code = Errc::kUnsupported, .detail = "sendfile on this stream"};
}

SocketStream::SocketStream(event::Loop& loop, UniqueFd fd, ConnectionFacts facts)
    : fd_(std::move(fd)),
      notify_later_(loop, event::Timer::call<&SocketStream::notify>, this),
      facts_(std::move(facts)) {}

Result<std::unique_ptr<SocketStream>> SocketStream::open(event::Loop& loop, UniqueFd fd, ConnectionFacts facts) {
  std::unique_ptr<SocketStream> stream(new SocketStream(loop, std::move(fd), std::move(facts)));
  if (auto started = stream->watch_.start(loop, stream->fd_.get(), *stream); !started) return started.error();
  return stream;
}

SocketStream::~SocketStream() { watch_.stop_before_close(); }

Result<IoResult> SocketStream::read(std::span<char> into) {
  if ((ready_ & event::kReadable) == 0) return IoResult{0, IoState::kWouldBlock};
  for (;;) {
    const ssize_t count = ::recv(fd_.get(), into.data(), into.size(), 0);
    if (count > 0) {
      if (static_cast<size_t>(count) < into.size() && !hangup_) ready_ &= ~event::kReadable;
      return IoResult{static_cast<size_t>(count), IoState::kOk};
    }
    if (count == 0) return IoResult{0, IoState::kEof};
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {
      ready_ &= ~event::kReadable;
      return IoResult{0, IoState::kWouldBlock};
    }
    return system_error("recv");
  }
}

// Leaves readiness as it is: nothing was taken.
Result<IoResult> SocketStream::peek(std::span<char> into) {
  for (;;) {
    const ssize_t count = ::recv(fd_.get(), into.data(), into.size(), MSG_PEEK);
    if (count > 0) return IoResult{static_cast<size_t>(count), IoState::kOk};
    if (count == 0) return IoResult{0, IoState::kEof};
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return IoResult{0, IoState::kWouldBlock};
    return system_error("recv");
  }
}

inline Result<IoResult> SocketStream::send(std::span<const iovec> from, int flags) {
  if ((ready_ & event::kWritable) == 0) return IoResult{0, IoState::kWouldBlock};
  for (;;) {
    const ssize_t count = from.size() == 1 ? ::send(fd_.get(), from[0].iov_base, from[0].iov_len, flags)
                                           : send_gathered(fd_.get(), from, flags);
    if (count >= 0) {
      // The socket is full: the kernel reports an edge when there is room again.
      if (static_cast<size_t>(count) < total_size(from)) ready_ &= ~event::kWritable;
      return IoResult{static_cast<size_t>(count), IoState::kOk};
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {
      ready_ &= ~event::kWritable;
      return IoResult{0, IoState::kWouldBlock};
    }
    return system_error("send");
  }
}

Result<IoResult> SocketStream::write(std::span<const iovec> from) { return send(from, MSG_NOSIGNAL); }
Result<IoResult> SocketStream::write_more(std::span<const iovec> from) { return send(from, MSG_NOSIGNAL | MSG_MORE); }

Result<IoResult> SocketStream::send_file(int file, uint64_t offset, size_t count) {
  if ((ready_ & event::kWritable) == 0) return IoResult{0, IoState::kWouldBlock};
  for (;;) {
    auto at = static_cast<off_t>(offset);
    const ssize_t sent = ::sendfile(fd_.get(), file, &at, count);
    if (sent > 0) return IoResult{static_cast<size_t>(sent), IoState::kOk};
    if (sent == 0) return IoResult{0, IoState::kEof};  // the file became shorter
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {
      ready_ &= ~event::kWritable;
      return IoResult{0, IoState::kWouldBlock};
    }
    return system_error("sendfile");
  }
}

void SocketStream::shutdown_write() { ::shutdown(fd_.get(), SHUT_WR); }

void SocketStream::watch(Interest interest, StreamObserver& observer) {
  interest_ = interest;
  observer_ = &observer;
  const auto wanted = static_cast<uint8_t>(interest);
  static_assert(static_cast<int>(Interest::kRead) == event::kReadable &&
                static_cast<int>(Interest::kWrite) == event::kWritable);
  if ((wanted & ready_) != 0) notify_later_.schedule();
}

void SocketStream::unwatch() {
  observer_ = nullptr;
  interest_ = Interest::kNone;
  notify_later_.cancel();
}

void SocketStream::reset_on_close() { set_reset_on_close(fd_.get()); }

void SocketStream::note_not_readable() {
  if (!hangup_) ready_ &= ~event::kReadable;
}
void SocketStream::note_not_writable() { ready_ &= ~event::kWritable; }

void SocketStream::on_fd_ready(uint8_t ready) {
  ready_ |= ready & (event::kReadable | event::kWritable);
  if ((ready & (event::kHangup | event::kFailed)) != 0) hangup_ = true;
  notify_later_.cancel();
  if ((ready & event::kFailed) != 0) failed_ = true;
  notify();
}

void SocketStream::notify() {
  const auto wanted = static_cast<uint8_t>(static_cast<uint8_t>(interest_) & ready_);
  if (observer_ == nullptr || wanted == 0) return;
  observer_->on_stream_ready((wanted & event::kReadable) != 0, (wanted & event::kWritable) != 0);
}

}  // namespace headgate::net
