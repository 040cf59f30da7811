// shared_vector.h -- numbered values whose copies share everything that did not change.
//
// The values lie in chunks, which copies share. A change copies its chunk if somebody else holds it; copying and freeing
// cost one pointer per chunk. `changes_between` passes over chunks that both sides share.
// Thread: one thread's while it is changed; const copies any.   Owner: anybody, by value.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "dataplane/base/held_alone.h"

namespace headgate {

// T is copied with its chunk and compared by ==; a new place holds T().
template <typename T>
class SharedVector {
 public:
  SharedVector() = default;
  // Not explicit: a plain vector is the same thing for whoever has only a few.
  SharedVector(const std::vector<T>& values) {  // NOLINT(google-explicit-constructor)
    for (size_t i = 0; i < values.size(); ++i) set(i, values[i]);
  }

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] const T& operator[](size_t index) const { return (*chunks_[index / kChunk])[index % kChunk]; }
  // T() where nothing was ever set.
  [[nodiscard]] const T& at_or_none(size_t index) const {
    static const T none{};
    return index < size_ ? (*this)[index] : none;
  }

  void set(size_t index, T value) {
    while (chunks_.size() <= index / kChunk) chunks_.push_back(std::make_shared<Chunk>());
    size_ = std::max(size_, index + 1);
    std::shared_ptr<Chunk>& chunk = chunks_[index / kChunk];
    if ((*chunk)[index % kChunk] == value) return;
    if (!held_alone(chunk)) chunk = std::make_shared<Chunk>(*chunk);
    (*chunk)[index % kChunk] = std::move(value);
  }

  // visit(index, old, now) for each place that differs; T() where one has no such place.
  template <typename Visitor>
  static void changes_between(const SharedVector& before, const SharedVector& after, const Visitor& visit) {
    const size_t size = std::max(before.size_, after.size_);
    for (size_t first = 0; first < size; first += kChunk) {
      const size_t chunk = first / kChunk;
      if (chunk < before.chunks_.size() && chunk < after.chunks_.size() && before.chunks_[chunk] == after.chunks_[chunk]) {
        continue;
      }
      for (size_t i = first; i < std::min(first + kChunk, size); ++i) {
        const T& old = before.at_or_none(i);
        const T& now = after.at_or_none(i);
        if (!(old == now)) visit(i, old, now);
      }
    }
  }

  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = T;
    using difference_type = ptrdiff_t;
    using pointer = const T*;
    using reference = const T&;
    Iterator(const SharedVector& vector, size_t index) : vector_(&vector), index_(index) {}
    const T& operator*() const { return (*vector_)[index_]; }
    const T* operator->() const { return &(*vector_)[index_]; }
    Iterator& operator++() {
      ++index_;
      return *this;
    }
    bool operator==(const Iterator& other) const { return index_ == other.index_; }

   private:
    const SharedVector* vector_;
    size_t index_;
  };
  [[nodiscard]] Iterator begin() const { return {*this, 0}; }
  [[nodiscard]] Iterator end() const { return {*this, size_}; }

 private:
  static constexpr size_t kChunk = 64;
  using Chunk = std::array<T, kChunk>;

  std::vector<std::shared_ptr<Chunk>> chunks_;
  size_t size_ = 0;
};

}  // namespace headgate
