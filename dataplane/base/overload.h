// overload.h -- what a worker is told about its situation, so that it takes no work that it could not finish.
//
// Control measures (control/overload_watch.h) and writes; a worker reads once per request.
// Thread: any (relaxed atomics).   Owner: worker::Worker.
#pragma once

#include <atomic>
#include <cstdint>

namespace headgate {

enum class MemoryPressure : uint8_t {
  kNone,
  kShed,  // new requests are answered 503
  kStop,  // nothing is accepted, either: connections wait in the kernel
};

struct Overload {
  std::atomic<MemoryPressure> memory{MemoryPressure::kNone};
  std::atomic<bool> lagging{false};  // the loop takes too long for its turns
  std::atomic<uint64_t> shed{0};     // requests so far; counted by the worker

  [[nodiscard]] bool sheds() const {
    return memory.load(std::memory_order_relaxed) != MemoryPressure::kNone || lagging.load(std::memory_order_relaxed);
  }
};

}  // namespace headgate
