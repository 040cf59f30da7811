// buffer_list.h -- Buffers in the order they came, without memory of its own for the first: most bodies are one piece.
// Thread: that of the Buffers.   Owner: a body.
#pragma once

#include <utility>
#include <vector>

#include "dataplane/base/buffer.h"

namespace headgate {

class BufferList {
 public:
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] Buffer& operator[](size_t index) { return index == 0 ? first_ : more_[index - 1]; }
  [[nodiscard]] const Buffer& operator[](size_t index) const { return index == 0 ? first_ : more_[index - 1]; }
  [[nodiscard]] Buffer& back() { return (*this)[size_ - 1]; }

  void push_back(Buffer buffer) {
    if (size_ == 0) {
      first_ = std::move(buffer);
    } else {
      more_.push_back(std::move(buffer));
    }
    ++size_;
  }
  void clear() {
    first_ = Buffer();
    more_.clear();
    size_ = 0;
  }

 private:
  Buffer first_;
  std::vector<Buffer> more_;
  size_t size_ = 0;
};

}  // namespace headgate
