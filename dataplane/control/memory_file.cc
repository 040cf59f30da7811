#include "dataplane/control/memory_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>

namespace headgate::control {

UniqueFd make_memory_file(const char* name) {
#ifdef __linux__
  return UniqueFd(::memfd_create(name, MFD_CLOEXEC));
#else
  std::string path = std::string("/tmp/") + name + "-XXXXXX";
  UniqueFd file(::mkstemp(path.data()));
  if (file.valid()) ::unlink(path.c_str());
  return file;
#endif
}

Result<void> write_fully(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return system_error("write");
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

}  // namespace headgate::control
