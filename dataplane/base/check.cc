#include "dataplane/base/check.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace headgate {
namespace {
std::atomic<uint64_t> g_bugs{0};
}  // namespace

void check_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "headgate: check failed: %s at %s:%d\n", expression, file, line);
  std::abort();
}

void report_bug(const char* what, const char* file, int line) {
  // The first hundred are worth reading; after that the counter tells the rest.
  if (g_bugs.fetch_add(1, std::memory_order_relaxed) < 100) {
    std::fprintf(stderr, "headgate: bug: %s at %s:%d\n", what, file, line);
  }
#ifndef NDEBUG
  std::abort();
#endif
}

uint64_t bugs_reported() { return g_bugs.load(std::memory_order_relaxed); }

}  // namespace headgate
