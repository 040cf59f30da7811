// arena.h -- bump allocator that is freed at once: one per Exchange, one per Session.
// Thread: worker.   Memory comes from the thread's BlockPool, so steady state never reaches malloc.
#pragma once

#include <cstddef>
#include <cstring>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "dataplane/base/buffer.h"

namespace headgate {

class Arena {
 public:
  Arena() = default;
  // Begins in `first`, which must outlive clear(): most of what a short life needs may lie beside its owner.
  explicit Arena(std::span<char> first) : cursor_(first.data()), end_(first.data() + first.size()) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() { clear(); }

  // Runs the destructors of everything made here, newest first, and gives the memory back.
  void clear();

  void* allocate(size_t size, size_t alignment) {
    auto at = (reinterpret_cast<uintptr_t>(cursor_) + alignment - 1) & ~(alignment - 1);
    if (cursor_ == nullptr || at + size > reinterpret_cast<uintptr_t>(end_)) return allocate_slow(size, alignment);
    cursor_ = reinterpret_cast<char*>(at + size);
    return reinterpret_cast<void*>(at);
  }

  // An object that lives until clear().
  template <typename T, typename... Args>
  T* make(Args&&... args) {
    if constexpr (std::is_trivially_destructible_v<T>) {
      return new (allocate(sizeof(T), alignof(T))) T(std::forward<Args>(args)...);
    } else {
      auto* holder = new (allocate(sizeof(Holder<T>), alignof(Holder<T>))) Holder<T>(std::forward<Args>(args)...);
      holder->next = cleanups_;
      cleanups_ = holder;
      return &holder->value;
    }
  }
  char* allocate_text(size_t size) { return static_cast<char*>(allocate(size, 1)); }
  std::string_view copy(std::string_view text) {
    if (text.empty()) return {};
    char* into = allocate_text(text.size());
    std::memcpy(into, text.data(), text.size());
    return {into, text.size()};
  }
  // The texts one after the other.
  template <typename... Texts>
  std::string_view concat(const Texts&... texts) {
    const size_t size = (std::string_view(texts).size() + ... + 0);
    if (size == 0) return {};
    char* into = allocate_text(size);
    char* at = into;
    ((at = append(at, std::string_view(texts))), ...);
    return {into, size};
  }

 private:
  struct Cleanup {
    Cleanup* next = nullptr;
    void (*destroy)(Cleanup*) = nullptr;
  };
  template <typename T>
  struct Holder : Cleanup {
    template <typename... Args>
    explicit Holder(Args&&... args) : value(std::forward<Args>(args)...) {
      destroy = [](Cleanup* self) { static_cast<Holder*>(self)->~Holder(); };
    }
    T value;
  };
  struct Chunk {
    BlockRef block;
    Chunk* previous;
  };

  static char* append(char* at, std::string_view text) {
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    return at + text.size();
  }
  void* allocate_slow(size_t size, size_t alignment);

  char* cursor_ = nullptr;
  char* end_ = nullptr;
  Chunk* newest_ = nullptr;
  Cleanup* cleanups_ = nullptr;
};

}  // namespace headgate
