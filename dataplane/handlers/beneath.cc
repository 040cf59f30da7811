#include "dataplane/handlers/beneath.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if __has_include(<linux/openat2.h>)
#include <linux/openat2.h>
#endif

namespace headgate::handlers {
namespace {

#if defined(SYS_openat2) && defined(RESOLVE_BENEATH)
int call_openat2(int root, const char* path, uint64_t flags, uint64_t resolve) {
  open_how how{};
  how.flags = flags;
  how.resolve = resolve;
  return static_cast<int>(::syscall(SYS_openat2, root, path, &how, sizeof(how)));
}
constexpr uint64_t kResolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
constexpr uint64_t kNoSymlinks = RESOLVE_NO_SYMLINKS;
#else
int call_openat2(int, const char*, uint64_t, uint64_t) {
  errno = ENOSYS;
  return -1;
}
constexpr uint64_t kResolve = 0;
constexpr uint64_t kNoSymlinks = 0;
#endif

Error open_error(int sys_errno) {
  switch (sys_errno) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:   // a symbolic link where none may be
    case EXDEV:   // the path leads out of the root
    case ENXIO:   // a socket, or a device without a driver
    case ENODEV:
    case EINVAL:
      return {.code = Errc::kNotFound, .sys_errno = sys_errno, .detail = "no such file"};
    case EACCES:
    case EPERM:
      return {.code = Errc::kDenied, .sys_errno = sys_errno, .detail = "no permission to read a file"};
    default: return system_error(sys_errno, "open a file");
  }
}

}  // namespace

bool beneath_supported() {
  static const bool supported = [] {
    // A system call filter answers EPERM or ENOSYS for what it does not know; opening "/" itself is always allowed.
    const UniqueFd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    return root.valid() && UniqueFd(call_openat2(root.get(), ".", O_PATH | O_CLOEXEC, kResolve)).valid();
  }();
  return supported;
}

Result<UniqueFd> open_root(const char* path) {
  UniqueFd root(::open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) return open_error(errno);
  return root;
}

Result<UniqueFd> open_beneath(int root, const char* path, Symlinks symlinks, OpenKind kind) {
  if (!beneath_supported()) {
    return Error{.code = Errc::kUnsupported, .detail = "openat2(2) is not available: files are not served"};
  }
  uint64_t flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  if (kind == OpenKind::kFolder) flags |= O_DIRECTORY;
  const uint64_t resolve = symlinks == Symlinks::kFollow ? kResolve : kResolve | kNoSymlinks;
  // EAGAIN: something above was renamed while ".." of a link was resolved and the kernel could not be sure.
  for (int attempt = 0; attempt < 8; ++attempt) {
    UniqueFd fd(call_openat2(root, path, flags, resolve));
    if (fd.valid()) return fd;
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return open_error(errno);
}

}  // namespace headgate::handlers
