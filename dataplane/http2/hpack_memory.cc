#include "dataplane/http2/hpack_memory.h"

#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <new>

namespace headgate::http2 {
namespace {

// One list for each size that malloc has, so that malloc itself knows to which list a piece belongs.
constexpr size_t kSmallest = 24;
constexpr size_t kStep = 16;
constexpr size_t kClasses = 64;
constexpr size_t kLargestPooled = kSmallest + kStep * (kClasses - 2);
// As much as a thousand busy connections need.
constexpr size_t kKept = size_t{1} << 20;

constexpr size_t size_of(size_t size_class) { return kSmallest + kStep * size_class; }
// The smallest class that holds `size` bytes.
constexpr size_t class_for(size_t size) { return size <= kSmallest ? 0 : (size - kSmallest + kStep - 1) / kStep; }

struct Free {
  Free* next;
};
// Without constructor or destructor, so that no access has to ask whether the thread has made its own yet.
struct FreeLists {
  Free* heads[kClasses];
  size_t kept;
  bool ends;  // the thread does
};
constinit thread_local FreeLists t_free{};

struct FreeAtThreadEnd {
  ~FreeAtThreadEnd() {
    t_free.ends = true;
    for (Free*& head : t_free.heads) {
      while (Free* const piece = head) {
        head = piece->next;
        std::free(piece);
      }
    }
  }
};
void free_at_thread_end() { thread_local const FreeAtThreadEnd ending; }

void* take(size_t size) {
  FreeLists& lists = t_free;
  size_t size_class = class_for(size);
  // malloc may give one step more than it was asked for: such a piece went back to the next list.
  if (lists.heads[size_class] == nullptr) ++size_class;
  Free* const piece = lists.heads[size_class];
  if (piece == nullptr) return std::malloc(size_of(size_class - 1));
  lists.heads[size_class] = piece->next;
  lists.kept -= size_of(size_class);
  return piece;
}

void give(void* memory) {
  const size_t usable = malloc_usable_size(memory);
  FreeLists& lists = t_free;
  if (usable < kSmallest || usable > kLargestPooled + kStep || lists.kept >= kKept || lists.ends) {
    std::free(memory);
    return;
  }
  if (lists.kept == 0) [[unlikely]] free_at_thread_end();
  const size_t size_class = (usable - kSmallest) / kStep;
  lists.heads[size_class] = new (memory) Free{lists.heads[size_class]};
  lists.kept += size_of(size_class);
}

void* allocate(size_t size, void*) { return size <= kLargestPooled ? take(size) : std::malloc(size); }

void release(void* piece, void*) {
  if (piece != nullptr) give(piece);
}

void* allocate_zeroed(size_t count, size_t size, void*) {
  if (count != 0 && size > kLargestPooled / count) return std::calloc(count, size);
  void* const piece = take(count * size);
  if (piece != nullptr) std::memset(piece, 0, count * size);
  return piece;
}

void* reallocate(void* piece, size_t size, void* user) {
  if (piece == nullptr) return allocate(size, user);
  const size_t room = malloc_usable_size(piece);
  if (size <= room) return piece;
  void* const bigger = allocate(size, user);
  if (bigger == nullptr) return nullptr;
  std::memcpy(bigger, piece, room);
  release(piece, user);
  return bigger;
}

}  // namespace

nghttp2_mem* hpack_memory() {
  static nghttp2_mem memory{nullptr, allocate, release, allocate_zeroed, reallocate};
  return &memory;
}

}  // namespace headgate::http2
