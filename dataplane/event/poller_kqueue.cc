#include <sys/event.h>
#include <sys/time.h>

#include <algorithm>
#include <array>

#include "dataplane/event/poller.h"

namespace headgate::event {

Result<void> Poller::open() {
  fd_.reset(::kqueue());
  if (!fd_.valid()) return system_error("kqueue");
  return {};
}

// EV_CLEAR is kqueue's edge trigger. Reading and writing are two filters of one descriptor.
Result<void> Poller::add(int fd, FdWatch& watch) {
  std::array<struct kevent, 2> changes{};
  EV_SET(&changes[0], static_cast<uintptr_t>(fd), EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0, &watch);
  EV_SET(&changes[1], static_cast<uintptr_t>(fd), EVFILT_WRITE, EV_ADD | EV_CLEAR, 0, 0, &watch);
  // Some descriptors (read ends of pipes) have no write filter: only the first one must succeed.
  if (::kevent(fd_.get(), &changes[0], 1, nullptr, 0, nullptr) != 0) return system_error("kevent add");
  ::kevent(fd_.get(), &changes[1], 1, nullptr, 0, nullptr);
  return {};
}

void Poller::remove(int fd) {
  std::array<struct kevent, 2> changes{};
  EV_SET(&changes[0], static_cast<uintptr_t>(fd), EVFILT_READ, EV_DELETE, 0, 0, nullptr);
  EV_SET(&changes[1], static_cast<uintptr_t>(fd), EVFILT_WRITE, EV_DELETE, 0, 0, nullptr);
  for (auto& change : changes) ::kevent(fd_.get(), &change, 1, nullptr, 0, nullptr);
}

size_t Poller::wait(std::span<ReadyEvent> into, int timeout_ms) {
  std::array<struct kevent, 256> events;
  const int capacity = static_cast<int>(std::min(into.size(), events.size()));
  timespec timeout{};
  timeout.tv_sec = timeout_ms / 1000;
  timeout.tv_nsec = static_cast<long>(timeout_ms % 1000) * 1'000'000;
  const int count = ::kevent(fd_.get(), nullptr, 0, events.data(), capacity, timeout_ms < 0 ? nullptr : &timeout);
  if (count <= 0) return 0;
  for (int i = 0; i < count; ++i) {
    uint8_t ready = events[i].filter == EVFILT_WRITE ? kWritable : kReadable;
    if ((events[i].flags & EV_EOF) != 0) ready |= kReadable | kHangup;
    if ((events[i].flags & EV_ERROR) != 0) ready |= kReadable | kWritable | kHangup | kFailed;
    into[i] = {static_cast<FdWatch*>(events[i].udata), ready};
  }
  return static_cast<size_t>(count);
}

}  // namespace headgate::event
