// memory_file.h -- files without a name, to hand over to another process; and writing all of something to a file.
// Thread: any.
#pragma once

#include <string_view>

#include "dataplane/base/result.h"
#include "dataplane/base/unique_fd.h"

namespace headgate::control {

// Empty, closed by exec. `name` is what /proc shows. Not valid: the kernel gives none.
UniqueFd make_memory_file(const char* name);
// A file, not a socket: waits for the disk.
Result<void> write_fully(int fd, std::string_view bytes);

}  // namespace headgate::control
