// ciphertext_queue.h -- records that wait to be sent together: up to four pooled blocks, none when empty.
// Unit: bytes.   Thread: worker.   Owner: TlsStream (by value).
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "dataplane/base/buffer.h"

namespace headgate::tls {

class CiphertextQueue {
 public:
  static constexpr size_t kMaxBlocks = 4;

  // `more`: about how much will follow at once, so that the block is of the right class. False: no room.
  bool append(const char* data, size_t size, size_t more) {
    while (size > 0) {
      if (used_ == 0 || segments_[used_ - 1].end == segments_[used_ - 1].block->capacity()) {
        if (used_ == kMaxBlocks) return false;
        const size_t wanted = std::clamp(size + more, Block::kSmall, Block::kLarge);
        segments_[used_++] = {BlockRef(Block::allocate(wanted)), 0, 0};
      }
      Segment& last = segments_[used_ - 1];
      const size_t part = std::min(size, last.block->capacity() - last.end);
      std::memcpy(last.block->data() + last.end, data, part);
      last.end += static_cast<uint32_t>(part);
      size_ += part;
      data += part;
      size -= part;
    }
    return true;
  }

  // Pieces to send, in order; returns how many.
  size_t gather(std::span<iovec, kMaxBlocks> into) const {
    for (size_t i = 0; i < used_; ++i) {
      const Segment& segment = segments_[i];
      into[i] = {segment.block->data() + segment.begin, segment.end - segment.begin};
    }
    return used_;
  }

  // `count` bytes were sent; blocks that are empty go back to the pool.
  void consume(size_t count) {
    size_ -= count;
    size_t gone = 0;
    while (gone < used_) {
      Segment& front = segments_[gone];
      const size_t part = std::min<size_t>(count, front.end - front.begin);
      front.begin += static_cast<uint32_t>(part);
      count -= part;
      if (front.begin < front.end) break;
      front.block.reset();
      ++gone;
    }
    std::move(segments_.begin() + static_cast<ptrdiff_t>(gone), segments_.begin() + static_cast<ptrdiff_t>(used_),
              segments_.begin());
    used_ -= gone;
  }

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

 private:
  struct Segment {
    BlockRef block;
    uint32_t begin = 0;
    uint32_t end = 0;
  };
  std::array<Segment, kMaxBlocks> segments_;
  size_t used_ = 0;
  size_t size_ = 0;
};

}  // namespace headgate::tls
