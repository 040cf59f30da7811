// bounds.h -- the largest values that the resources take, for settings that may ask for more.
// Thread: any.   Owner: nobody.
#pragma once

#include <cstdint>

namespace headgate::translate {

inline constexpr uint32_t kLongestSeconds = 31622400;  // a duration: 366 days
inline constexpr uint32_t kMostAttempts = 10;          // of one request
inline constexpr uint64_t kResponseHeadBytes = 65536;  // of what an upstream answers

}  // namespace headgate::translate
