// field_bits.h -- sets of known fields as 64 bits.
// Thread: any.   Owner: nobody.
#pragma once

#include <cstdint>

#include "dataplane/http/header_map.h"

namespace headgate::http {

constexpr uint64_t bit(FieldId id) { return uint64_t{1} << static_cast<int>(id); }

}  // namespace headgate::http
