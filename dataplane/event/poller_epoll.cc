#include <sys/epoll.h>

#include <algorithm>
#include <array>

#include "dataplane/event/poller.h"

namespace headgate::event {

Result<void> Poller::open() {
  fd_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!fd_.valid()) return system_error("epoll_create1");
  return {};
}

Result<void> Poller::add(int fd, FdWatch& watch) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &watch;
  if (::epoll_ctl(fd_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return system_error("epoll_ctl add");
  return {};
}

void Poller::remove(int fd) {
  epoll_event unused{};
  ::epoll_ctl(fd_.get(), EPOLL_CTL_DEL, fd, &unused);
}

size_t Poller::wait(std::span<ReadyEvent> into, int timeout_ms) {
  std::array<epoll_event, 256> events;
  const int capacity = static_cast<int>(std::min(into.size(), events.size()));
  const int count = ::epoll_wait(fd_.get(), events.data(), capacity, timeout_ms);
  if (count <= 0) return 0;
  for (int i = 0; i < count; ++i) {
    const uint32_t bits = events[i].events;
    uint8_t ready = 0;
    if ((bits & EPOLLIN) != 0) ready |= kReadable;
    if ((bits & EPOLLOUT) != 0) ready |= kWritable;
    if ((bits & EPOLLRDHUP) != 0) ready |= kReadable | kHangup;
    if ((bits & (EPOLLERR | EPOLLHUP)) != 0) ready |= kReadable | kWritable | kHangup | kFailed;
    into[i] = {static_cast<FdWatch*>(events[i].data.ptr), ready};
  }
  return static_cast<size_t>(count);
}

}  // namespace headgate::event
