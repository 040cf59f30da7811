// status.h -- the API server's own words on a failure: the object Status of meta/v1.
// Thread: any (values).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "dataplane/base/clock.h"

namespace headgate::kube {

struct Status {
  int code = 0;
  std::string reason;    // CamelCase: "Expired", "Conflict", "NotFound"
  std::string message;   // for people
  std::string cause;     // first of details.causes[].reason: "ResourceVersionTooLarge"
  Duration retry_after = Duration::zero();
};

// Of a body with the HTTP status `code`. A body that is no Status gives the code and its first line as message.
Status parse_status(int code, std::string_view body);

}  // namespace headgate::kube
