#include "dataplane/http2/session_memory.h"

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <new>

namespace headgate::http2 {
namespace {

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

}  // namespace

// -- the large pieces -------------------------------------------------------------------------------------------------

namespace {

constexpr size_t kPage = 4096;
constexpr size_t kFrame = 5 * kPage;
constexpr size_t kSmallestFrame = 16 * 1024;
constexpr size_t kTable = 4096;
constexpr size_t kTableSlots = 256;
constexpr size_t kMapping = kFrame + kTable;

}  // namespace

SessionMemory::~SessionMemory() {
  if (pages_ != nullptr) munmap(pages_, kMapping);
}

bool SessionMemory::map() {
  if (pages_ != nullptr) return true;
  void* const mapping = mmap(nullptr, kMapping, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return false;
  // Neighbours become one mapping; a huge page across many would keep what no one has touched.
  (void)madvise(mapping, kMapping, MADV_NOHUGEPAGE);
  pages_ = static_cast<char*>(mapping);
  return true;
}

bool SessionMemory::is_mapped(const void* memory) const {
  return pages_ != nullptr && memory >= pages_ && memory < pages_ + kMapping;
}

void SessionMemory::rest() {
  if (pages_ == nullptr) return;
  const char* const table = pages_ + kFrame;
  // Without streams the table is zeros, and so are pages that come anew.
  const bool empty = *table == 0 && std::memcmp(table, table + 1, kTable - 1) == 0;
  (void)madvise(pages_, empty ? kMapping : kFrame, MADV_DONTNEED);
}

size_t SessionMemory::resident() const {
  if (pages_ == nullptr) return 0;
  std::array<unsigned char, kMapping / kPage> there{};
  if (mincore(pages_, kMapping, there.data()) != 0) return 0;
  return kPage * static_cast<size_t>(std::count_if(there.begin(), there.end(), [](unsigned char one) { return one & 1; }));
}

// -- what nghttp2 calls -----------------------------------------------------------------------------------------------

struct SessionMemory::Functions {
  static SessionMemory& of(void* user) { return *static_cast<SessionMemory*>(user); }

  static void* allocate(size_t size, void* user) {
    if (size <= kLargestPooled) [[likely]] return take(size);
    SessionMemory& memory = of(user);
    if (size < kSmallestFrame || size > kFrame || memory.frame_taken_ || !memory.map()) return std::malloc(size);
    memory.frame_taken_ = true;
    return memory.pages_;
  }

  static void release(void* piece, void* user) {
    // The large pieces last as long as the session.
    if (piece != nullptr && !of(user).is_mapped(piece)) give(piece);
  }

  static void* allocate_zeroed(size_t count, size_t size, void* user) {
    if (count == 0 || size <= kLargestPooled / count) {
      void* const piece = take(count * size);
      if (piece != nullptr) std::memset(piece, 0, count * size);
      return piece;
    }
    SessionMemory& memory = of(user);
    const bool is_table = count == kTableSlots && size == kTable / kTableSlots;
    if (!is_table || memory.table_taken_ || !memory.map()) return std::calloc(count, size);
    memory.table_taken_ = true;
    return memory.pages_ + kFrame;
  }

  static void* reallocate(void* piece, size_t size, void* user) {
    if (piece == nullptr) return allocate(size, user);
    SessionMemory& memory = of(user);
    const size_t room = !memory.is_mapped(piece)  ? malloc_usable_size(piece)
                        : piece == memory.pages_ ? kFrame
                                                 : kTable;
    if (size <= room) return piece;
    void* const bigger = allocate(size, user);
    if (bigger == nullptr) return nullptr;
    std::memcpy(bigger, piece, room);
    release(piece, user);
    return bigger;
  }
};

nghttp2_mem SessionMemory::functions() {
  return {this, Functions::allocate, Functions::release, Functions::allocate_zeroed, Functions::reallocate};
}

}  // namespace headgate::http2
