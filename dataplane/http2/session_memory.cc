#include "dataplane/http2/session_memory.h"

#include <malloc.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace headgate::http2 {
namespace {

// -- the buffer of a session ------------------------------------------------------------------------------------------

constexpr size_t kMapping = 20 * 1024;
// malloc's addresses are multiples of 16; ours are 8 above one, which is how free() knows them.
constexpr size_t kMark = 8;
constexpr size_t kRoom = kMapping - kMark;
constexpr size_t kSmallestMapped = 16 * 1024;

bool is_mapped(const void* memory) { return (reinterpret_cast<uintptr_t>(memory) & 15) == kMark; }

// -- small pieces -----------------------------------------------------------------------------------------------------

// One list for each size that malloc has, so that malloc itself knows to which list a piece belongs.
constexpr size_t kSmallest = 24;
constexpr size_t kStep = 16;
constexpr size_t kClasses = 64;
constexpr size_t kLargestPooled = kSmallest + kStep * (kClasses - 2);
// As much as a thousand streams need.
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

// -- what nghttp2 calls -----------------------------------------------------------------------------------------------

void* allocate(size_t size, void*) {
  if (size <= kLargestPooled) [[likely]] return take(size);
  if (size < kSmallestMapped || size > kRoom) return std::malloc(size);
  void* const mapping = mmap(nullptr, kMapping, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return mapping == MAP_FAILED ? std::malloc(size) : static_cast<char*>(mapping) + kMark;
}

void release(void* memory, void*) {
  if (memory == nullptr) return;
  if (is_mapped(memory)) {
    munmap(static_cast<char*>(memory) - kMark, kMapping);
  } else {
    give(memory);
  }
}

void* allocate_zeroed(size_t count, size_t size, void*) {
  if (count != 0 && size > kLargestPooled / count) return std::calloc(count, size);
  void* const memory = take(count * size);
  if (memory != nullptr) std::memset(memory, 0, count * size);
  return memory;
}

void* reallocate(void* memory, size_t size, void* user) {
  if (memory == nullptr) return allocate(size, user);
  const size_t room = is_mapped(memory) ? kRoom : malloc_usable_size(memory);
  if (size <= room) return memory;
  void* const bigger = allocate(size, user);
  if (bigger == nullptr) return nullptr;
  std::memcpy(bigger, memory, room);
  release(memory, user);
  return bigger;
}

}  // namespace

nghttp2_mem* session_memory() {
  static nghttp2_mem memory{nullptr, allocate, release, allocate_zeroed, reallocate};
  return &memory;
}

}  // namespace headgate::http2
