#include <fcntl.h>

#include <array>

#include "dataplane/base/check.h"
#include "dataplane/event/mailbox.h"

namespace headgate::event {

// A pipe: kqueue systems have no eventfd.
void Mailbox::open_wake() {
  std::array<int, 2> ends{};
  HG_CHECK(::pipe(ends.data()) == 0);
  wake_read_.reset(ends[0]);
  wake_write_.reset(ends[1]);
  for (const int fd : ends) {
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
}

void Mailbox::wake() {
  const char one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_write_.get(), &one, 1);
}

void Mailbox::drain_wakeups() {
  std::array<char, 256> sink{};
  while (::read(wake_read_.get(), sink.data(), sink.size()) > 0) {
  }
}

}  // namespace headgate::event
