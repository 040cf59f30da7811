// poller.h -- readiness of file descriptors: epoll on Linux (poller_epoll.cc), kqueue elsewhere (poller_kqueue.cc).
//
// A descriptor is registered once for reading, writing and hang-up, edge-triggered, and never changed: nothing here is
// called per request.
// Thread: that of the Loop.   Errors: kSystem.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/base/result.h"
#include "dataplane/base/unique_fd.h"

namespace headgate::event {

class FdWatch;

enum Ready : uint8_t {
  kReadable = 1,
  kWritable = 2,
  kHangup = 4,  // the other side has shut down: a read will reach end of file
  kFailed = 8,  // a read or write will say what is wrong
};

struct ReadyEvent {
  FdWatch* watch = nullptr;  // null: withdrawn while it waited its turn
  uint8_t ready = 0;
};

class Poller {
 public:
  Result<void> open();
  Result<void> add(int fd, FdWatch& watch);
  void remove(int fd);
  // Fills `into` and returns how many; waits up to `timeout_ms` (-1: for ever). A signal counts as none ready.
  size_t wait(std::span<ReadyEvent> into, int timeout_ms);

 private:
  UniqueFd fd_;
};

}  // namespace headgate::event
