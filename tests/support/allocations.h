// allocations.h -- counts calls of the allocator, for tests that promise none in steady state.
// A program that asks is linked with our malloc in front of the C library's; under a sanitizer nothing is counted.
// Thread: counts of all threads together.
#pragma once

#include <cstdint>

namespace headgate::test {

// False under a sanitizer: a test of counts is skipped then.
bool allocations_counted();
// Calls of malloc, calloc, realloc, aligned_alloc and operator new so far.
uint64_t allocations();

}  // namespace headgate::test
