// drained_body.h -- how much of an answer that nobody wants is read, so that its connection can be used again.
// Thread: any.   Owner: nobody.
#pragma once

#include <cstddef>

namespace headgate::filters {

inline constexpr size_t kDrainedBody = size_t{64} * 1024;  // bytes

}  // namespace headgate::filters
