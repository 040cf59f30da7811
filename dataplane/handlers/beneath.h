// beneath.h -- opens files below a folder that no path, symbolic link or race can leave.
// Thread: any.   The kernel resolves the path in one step (openat2(2)); there is no fallback that checks first and opens
// later, because that is a race. Where the kernel or a system call filter lacks openat2, opening is refused.
#pragma once

#include <cstdint>

#include "dataplane/base/result.h"
#include "dataplane/base/unique_fd.h"

namespace headgate::handlers {

enum class Symlinks : bool { kRefuse, kFollow };  // kFollow: those that stay below the root
enum class OpenKind : uint8_t { kAny, kFolder };

// Can this process open files that way? Found out once.
bool beneath_supported();

// A handle of `path` (absolute or relative to the working directory) for open_beneath, itself not readable.
Result<UniqueFd> open_root(const char* path);

// Opens `path` (relative, no leading slash, "." for the root itself) for reading. Never blocks on a FIFO or a terminal.
// kUnsupported: see beneath_supported. kNotFound: no such file, or the path leaves the root, or goes through a link
// that is refused. kDenied: no permission. Anything else: kSystem.
Result<UniqueFd> open_beneath(int root, const char* path, Symlinks symlinks, OpenKind kind = OpenKind::kAny);

}  // namespace headgate::handlers
