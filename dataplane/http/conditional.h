// conditional.h -- preconditions of a request against what we would send: If-Match and its family.
// Spec: RFC 9110 13, 8.8.   Unit: dates in seconds since 1970.   Thread: any (pure).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "dataplane/http/message.h"

namespace headgate::http {

// Of the selected representation. `etag` as sent: quoted, perhaps with W/; empty: none.
struct Validators {
  std::string_view etag{};
  std::optional<int64_t> last_modified{};
};

enum class Precondition : uint8_t {
  kProceed,
  kNotModified,  // 304 (GET and HEAD only)
  kFailed,       // 412
};

// Evaluates the fields in the order of RFC 9110 13.2.2. `now` decides about two-digit years and strong dates.
Precondition check_preconditions(const RequestHead& head, const Validators& validators, int64_t now);

// Does If-Range (if any) allow Range to be honoured? RFC 9110 13.1.5: strong comparison, dates exactly.
bool if_range_holds(const HeaderMap& headers, const Validators& validators, int64_t now);

// Is `etag` in `list` ("*" or entity-tags)? A list that is not well-formed matches up to the fault.
bool etag_list_matches(std::string_view list, std::string_view etag, bool strong);

}  // namespace headgate::http
