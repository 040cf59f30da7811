// pipe_pool.h -- pipes for splice(2), kept for reuse: making one costs three system calls and its pages.
// Thread: one pool per thread.   Owner: Pipe gives itself back; one that still holds bytes is closed instead.
#pragma once

#include <cstddef>
#include <utility>

#include "dataplane/base/unique_fd.h"

namespace headgate::net {

class Pipe {
 public:
  Pipe() = default;
  Pipe(Pipe&& other) noexcept
      : read_(std::move(other.read_)), write_(std::move(other.write_)), held_(std::exchange(other.held_, 0)) {}
  Pipe& operator=(Pipe&& other) noexcept {
    if (this == &other) return *this;
    give_back();
    read_ = std::move(other.read_);
    write_ = std::move(other.write_);
    held_ = std::exchange(other.held_, 0);
    return *this;
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() { give_back(); }

  // From the pool, or new. An invalid one when the process has no descriptors left.
  static Pipe take();

  [[nodiscard]] bool valid() const { return read_.valid(); }
  [[nodiscard]] int read_end() const { return read_.get(); }
  [[nodiscard]] int write_end() const { return write_.get(); }
  // Bytes inside.
  [[nodiscard]] size_t held() const { return held_; }
  void add(size_t bytes) { held_ += bytes; }
  void remove(size_t bytes) { held_ -= bytes; }

 private:
  void give_back();

  UniqueFd read_;
  UniqueFd write_;
  size_t held_ = 0;
};

}  // namespace headgate::net
