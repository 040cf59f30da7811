// encoder.h -- a streaming compressor, taken from this thread's pool and given back: one content coding each.
// Thread: worker.   Owner: the pool; an EncoderLease holds one for a while.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace headgate::filters {

class Encoder {
 public:
  enum class Flush : uint8_t {
    kNone,    // may keep everything for itself
    kSync,    // what went in can be decoded from what came out
    kFinish,  // the input is complete
  };
  struct Step {
    size_t consumed = 0;
    size_t produced = 0;
    bool complete = false;  // kSync, kFinish: nothing more will come of this flush. Otherwise call again with more room.
    bool failed = false;
  };

  virtual ~Encoder() = default;
  virtual Step run(std::string_view input, std::span<char> output, Flush flush) = 0;
  // Back to the pool, ready for another body.
  virtual void release() = 0;
};

class EncoderLease {
 public:
  EncoderLease() = default;
  explicit EncoderLease(Encoder* encoder) : encoder_(encoder) {}
  EncoderLease(EncoderLease&& other) noexcept : encoder_(std::exchange(other.encoder_, nullptr)) {}
  EncoderLease& operator=(EncoderLease&& other) noexcept {
    std::swap(encoder_, other.encoder_);
    return *this;
  }
  ~EncoderLease() { reset(); }
  void reset() {
    if (Encoder* encoder = std::exchange(encoder_, nullptr)) encoder->release();
  }
  explicit operator bool() const { return encoder_ != nullptr; }
  Encoder* operator->() const { return encoder_; }

 private:
  Encoder* encoder_ = nullptr;
};

// Level 1 (fast) to 9 (small), for brotli to 11, for zstd to 19. Empty when this thread already runs as many as it may
// (256 gzip, 64 brotli, 64 zstd; some 64 MiB each): the body then goes out as it is.
EncoderLease take_gzip_encoder(int level);
EncoderLease take_brotli_encoder(int level);
EncoderLease take_zstd_encoder(int level);

}  // namespace headgate::filters
