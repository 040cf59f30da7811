// check.h -- assertions: HG_CHECK always, HG_DCHECK in debug builds, HG_BUG for "should not happen, can go on".
// Thread: any.
#pragma once

#include <cstdint>

namespace headgate {

// Prints and aborts: for states in which going on would corrupt memory or answer the wrong client.
[[noreturn]] void check_failed(const char* expression, const char* file, int line);

// Counts and logs a state that our own code should never reach but can survive; aborts in debug builds.
void report_bug(const char* what, const char* file, int line);
uint64_t bugs_reported();

}  // namespace headgate

#define HG_CHECK(condition)                                                       \
  do {                                                                            \
    if (!(condition)) ::headgate::check_failed(#condition, __FILE__, __LINE__);   \
  } while (false)

#ifdef NDEBUG
#define HG_DCHECK(condition) \
  do {                       \
  } while (false)
#else
#define HG_DCHECK(condition) HG_CHECK(condition)
#endif

#define HG_BUG(what) ::headgate::report_bug(what, __FILE__, __LINE__)
