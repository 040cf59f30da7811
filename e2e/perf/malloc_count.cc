// malloc_count.cc -- preloaded library that counts allocations in a file two processes share.
// MALLOC_COUNT_FILE: at least 24 bytes, three 64-bit numbers: allocations, frees, bytes asked for.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace {

uint64_t g_unshared[3];
uint64_t* g_counts = g_unshared;
void* (*g_malloc)(size_t);
void* (*g_calloc)(size_t, size_t);
void* (*g_realloc)(void*, size_t);
void (*g_free)(void*);
int (*g_posix_memalign)(void**, size_t, size_t);
void* (*g_aligned_alloc)(size_t, size_t);

// dlsym itself allocates before the real functions are known.
alignas(16) char g_early[65536];
size_t g_early_used;
bool g_starting;

void* early(size_t size) {
  void* place = g_early + g_early_used;
  g_early_used += (size + 15) & ~size_t{15};
  return g_early_used <= sizeof g_early ? place : nullptr;
}
bool is_early(const void* place) { return place >= g_early && place < g_early + sizeof g_early; }

template <typename Function>
void load(Function& function, const char* name) {
  function = reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

void start() {
  g_starting = true;
  load(g_malloc, "malloc");
  load(g_calloc, "calloc");
  load(g_realloc, "realloc");
  load(g_free, "free");
  load(g_posix_memalign, "posix_memalign");
  load(g_aligned_alloc, "aligned_alloc");
  if (const char* path = std::getenv("MALLOC_COUNT_FILE")) {
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
      void* shared = mmap(nullptr, sizeof g_unshared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      if (shared != MAP_FAILED) g_counts = static_cast<uint64_t*>(shared);
      close(fd);
    }
  }
  g_starting = false;
}

void count(size_t bytes) {
  __atomic_fetch_add(&g_counts[0], 1, __ATOMIC_RELAXED);
  __atomic_fetch_add(&g_counts[2], bytes, __ATOMIC_RELAXED);
}

bool ready() {
  if (g_malloc == nullptr && !g_starting) start();
  return g_malloc != nullptr && !g_starting;
}

}  // namespace

extern "C" {

void* malloc(size_t size) {
  if (!ready()) return early(size);
  count(size);
  return g_malloc(size);
}
void* calloc(size_t number, size_t size) {
  if (!ready()) return early(number * size);  // static memory is zero
  count(number * size);
  return g_calloc(number, size);
}
void* realloc(void* old, size_t size) {
  if (!ready()) return early(size);
  count(size);
  return g_realloc(old, size);
}
void free(void* place) {
  if (place == nullptr || is_early(place) || !ready()) return;
  __atomic_fetch_add(&g_counts[1], 1, __ATOMIC_RELAXED);
  g_free(place);
}
int posix_memalign(void** place, size_t alignment, size_t size) {
  if (!ready()) return ENOMEM;
  count(size);
  return g_posix_memalign(place, alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  if (!ready()) return nullptr;
  count(size);
  return g_aligned_alloc(alignment, size);
}

}  // extern "C"
