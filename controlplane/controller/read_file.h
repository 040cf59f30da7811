// read_file.h -- a file named by an option or by another file, whole.
// Thread: any.   Owner: nobody.
#pragma once

#include <string>

#include "dataplane/base/result.h"

namespace headgate::controller {

// At most 64 MiB.
Result<std::string> read_file(const std::string& path);

}  // namespace headgate::controller
