// buffer.h -- pooled memory blocks and views into them: what bodies are made of.
//
//   Block   reference-counted memory from this thread's pool (4, 16, 64 or 256 KiB) or of an exact size
//   Buffer  a contiguous slice of a Block, or of memory that outlives it; cheap to move, split, and share
//
// Thread: a Block and its Buffers stay on one worker (counts are not atomic). A Block freed on another
// thread simply joins that thread's pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "dataplane/base/bytes.h"
#include "dataplane/base/check.h"

namespace headgate {

class Block {
 public:
  static constexpr size_t kSmall = 4 * 1024 - 32;  // usable bytes: the header lives in the same pages
  static constexpr size_t kMedium = 16 * 1024 - 32;
  static constexpr size_t kLarge = 64 * 1024 - 32;
  static constexpr size_t kHuge = 256 * 1024 - 32;

  // At least `size` usable bytes, from the pool when a class fits, else from the heap.
  static Block* allocate(size_t size);

  char* data() { return reinterpret_cast<char*>(this) + kHeaderSize; }
  [[nodiscard]] const char* data() const { return reinterpret_cast<const char*>(this) + kHeaderSize; }
  [[nodiscard]] size_t capacity() const { return capacity_; }
  [[nodiscard]] bool shared() const { return references_ > 1; }

  void retain() { ++references_; }
  void release() {
    HG_DCHECK(references_ > 0);
    if (--references_ == 0) recycle();
  }

 private:
  friend class BlockPool;
  static constexpr size_t kHeaderSize = 32;

  static Block* from_heap(size_t size, uint8_t size_class);
  void recycle();

  Block* next_free_ = nullptr;
  size_t capacity_ = 0;
  uint32_t references_ = 0;
  uint8_t size_class_ = 0;  // kNoClass: straight from the heap
};

class BlockRef {
 public:
  BlockRef() = default;
  explicit BlockRef(Block* block) : block_(block) {
    if (block_ != nullptr) block_->retain();
  }
  BlockRef(const BlockRef& other) : BlockRef(other.block_) {}
  BlockRef(BlockRef&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  BlockRef& operator=(BlockRef other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~BlockRef() {
    if (block_ != nullptr) block_->release();
  }

  explicit operator bool() const { return block_ != nullptr; }
  Block* operator->() const { return block_; }
  [[nodiscard]] Block* get() const { return block_; }
  void reset() { *this = BlockRef(); }

 private:
  Block* block_ = nullptr;
};

class Buffer {
 public:
  Buffer() = default;
  // A slice of `block`; `data` must lie inside it.
  Buffer(BlockRef block, const char* data, size_t size)
      : block_(std::move(block)), data_(data), size_(size) {}

  // A view of memory that outlives every copy of the Buffer (static text, an arena of the Exchange).
  static Buffer borrow(std::string_view memory) { return {BlockRef(), memory.data(), memory.size()}; }
  static Buffer copy(std::string_view memory);

  [[nodiscard]] const char* data() const { return data_; }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::string_view view() const { return {data_, size_}; }
  [[nodiscard]] Bytes bytes() const { return as_bytes(view()); }
  [[nodiscard]] const BlockRef& block() const { return block_; }

  void remove_prefix(size_t count) {
    HG_DCHECK(count <= size_);
    data_ += count;
    size_ -= count;
  }
  void truncate(size_t size) {
    HG_DCHECK(size <= size_);
    size_ = size;
  }
  // The first `count` bytes as a Buffer of their own; this one keeps the rest.
  Buffer take_prefix(size_t count) {
    Buffer front(block_, data_, count);
    remove_prefix(count);
    return front;
  }

 private:
  BlockRef block_;
  const char* data_ = nullptr;
  size_t size_ = 0;
};

// This thread's free blocks. The pool keeps a bounded amount and returns the rest to the heap.
class BlockPool {
 public:
  // Frees what this thread keeps (at thread end, and under memory pressure).
  static void trim();
  // Bytes handed out and bytes kept free by this thread; for memory accounting and tests.
  static size_t bytes_in_use();
  static size_t bytes_kept();

 private:
  friend class Block;
  static Block* take(uint8_t size_class);
  static void give(Block* block);
};

}  // namespace headgate
