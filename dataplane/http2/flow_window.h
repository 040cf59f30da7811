// flow_window.h -- what the other side may send: one window of a stream, or of the connection.
//
// Bytes are given back when whoever holds them has let them go, and the other side is told when that is half a window:
// rarely, and before it has to stop.
// Spec: RFC 9113 5.2, 6.9.   Thread: worker.   Owner: SessionStream, Session (by value).   Unit: bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace headgate::http2 {

class FlowWindow {
 public:
  explicit FlowWindow(int32_t size) : size_(size), left_(size) {}

  // Before anything has come: a window of that size instead; returns by how much it is larger.
  uint32_t resize(int32_t size) {
    const auto more = static_cast<uint32_t>(size - size_);
    left_ += size - size_;
    size_ = size;
    return more;
  }
  // `bytes` have come. False: more than was allowed.
  [[nodiscard]] bool take(size_t bytes) {
    if (bytes > static_cast<size_t>(left_)) return false;
    left_ -= static_cast<int32_t>(bytes);
    return true;
  }
  // `bytes` of what has come are free again. Returns how much the other side should be told now, or 0.
  [[nodiscard]] uint32_t give_back(size_t bytes) {
    free_ += static_cast<uint32_t>(bytes);
    if (free_ < static_cast<uint32_t>(size_) / 2) return 0;
    left_ += static_cast<int32_t>(free_);
    return std::exchange(free_, 0);
  }

 private:
  int32_t size_;
  int32_t left_;
  uint32_t free_ = 0;  // given back, and not told yet
};

}  // namespace headgate::http2
