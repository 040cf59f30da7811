#include "dataplane/base/file_print.h"

#include <sys/stat.h>

namespace headgate {
namespace {

int64_t to_ns(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

}  // namespace

FilePrint FilePrint::of(const std::string& path) {
  struct stat facts{};
  if (::stat(path.c_str(), &facts) != 0) return {};
#ifdef __APPLE__
  const timespec& modified = facts.st_mtimespec;
  const timespec& changed = facts.st_ctimespec;
#else
  const timespec& modified = facts.st_mtim;
  const timespec& changed = facts.st_ctim;
#endif
  return {facts.st_dev, facts.st_ino, facts.st_size, to_ns(modified), to_ns(changed)};
}

std::vector<std::string> refresh(FilePrints& prints) {
  std::vector<std::string> changed;
  for (auto& [path, print] : prints) {
    const FilePrint now = FilePrint::of(path);
    if (now == print) continue;
    print = now;
    changed.push_back(path);
  }
  return changed;
}

}  // namespace headgate
