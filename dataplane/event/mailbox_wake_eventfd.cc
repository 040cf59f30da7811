#include <sys/eventfd.h>

#include <cstdint>

#include "dataplane/base/check.h"
#include "dataplane/event/mailbox.h"

namespace headgate::event {

void Mailbox::open_wake() {
  wake_read_.reset(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  HG_CHECK(wake_read_.valid());
}

void Mailbox::wake() {
  const uint64_t one = 1;
  // Fails only when the counter is at its maximum, and then the reader is awake anyway.
  [[maybe_unused]] const ssize_t written = ::write(wake_read_.get(), &one, sizeof(one));
}

void Mailbox::drain_wakeups() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(wake_read_.get(), &count, sizeof(count));
}

}  // namespace headgate::event
