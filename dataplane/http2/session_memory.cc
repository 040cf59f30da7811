#include "dataplane/http2/session_memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace headgate::http2 {
namespace {

constexpr size_t kMapping = 20 * 1024;
// malloc's addresses are multiples of 16; ours are 8 above one, which is how free() knows them.
constexpr size_t kMark = 8;
constexpr size_t kRoom = kMapping - kMark;
constexpr size_t kSmallestMapped = 16 * 1024;

bool is_mapped(const void* memory) { return (reinterpret_cast<uintptr_t>(memory) & 15) == kMark; }

void* allocate(size_t size, void*) {
  if (size < kSmallestMapped || size > kRoom) return std::malloc(size);
  void* const mapping = mmap(nullptr, kMapping, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return mapping == MAP_FAILED ? std::malloc(size) : static_cast<char*>(mapping) + kMark;
}

void release(void* memory, void*) {
  if (is_mapped(memory)) {
    munmap(static_cast<char*>(memory) - kMark, kMapping);
  } else {
    std::free(memory);
  }
}

void* allocate_zeroed(size_t count, size_t size, void*) { return std::calloc(count, size); }

void* reallocate(void* memory, size_t size, void* user) {
  if (memory == nullptr) return allocate(size, user);
  if (!is_mapped(memory)) return std::realloc(memory, size);
  if (size <= kRoom) return memory;
  void* const bigger = std::malloc(size);
  if (bigger == nullptr) return nullptr;
  std::memcpy(bigger, memory, kRoom);
  release(memory, user);
  return bigger;
}

}  // namespace

nghttp2_mem* session_memory() {
  static nghttp2_mem memory{nullptr, allocate, release, allocate_zeroed, reallocate};
  return &memory;
}

}  // namespace headgate::http2
