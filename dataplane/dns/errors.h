// errors.h -- the two ways in which names, records and messages are wrong.
// Thread: any.   Owner: nobody.
#pragma once

#include "dataplane/base/error.h"

namespace headgate::dns {

// What somebody configured.
constexpr Error invalid(const char* detail) { return Error{Errc::kInvalid, Origin::kLocal, Retry::kNo, 0, detail}; }
// What somebody sent.
constexpr Error malformed(const char* detail) { return Error{Errc::kMalformed, Origin::kLocal, Retry::kNo, 0, detail}; }

}  // namespace headgate::dns
