// encoder_pool.h -- this thread's encoders of one content coding: how many may run, and some kept for the next bodies.
// Thread: worker (thread_local).   Owner: the file of the coding.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace headgate::filters {

template <typename EncoderType, size_t kMaxActive, size_t kMaxIdle>
class EncoderPool {
 public:
  static EncoderPool& of_this_thread() {
    thread_local EncoderPool pool;
    return pool;
  }

  [[nodiscard]] bool full() const { return active_ >= kMaxActive; }
  // One that has worked before, or nullptr.
  std::unique_ptr<EncoderType> take_idle() {
    if (idle_.empty()) return nullptr;
    std::unique_ptr<EncoderType> taken = std::move(idle_.back());
    idle_.pop_back();
    return taken;
  }
  EncoderType* begin(std::unique_ptr<EncoderType> encoder) {
    ++active_;
    return encoder.release();
  }
  // `encoder` came from begin(). `usable`: it can start over.
  void end(EncoderType* encoder, bool usable) {
    std::unique_ptr<EncoderType> owned(encoder);
    --active_;
    if (usable && idle_.size() < kMaxIdle) idle_.push_back(std::move(owned));
  }

 private:
  EncoderPool() { idle_.reserve(kMaxIdle); }

  std::vector<std::unique_ptr<EncoderType>> idle_;
  size_t active_ = 0;
};

}  // namespace headgate::filters
