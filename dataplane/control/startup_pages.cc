#include "dataplane/control/startup_pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <string>
#include <string_view>

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "dataplane/base/unique_fd.h"

namespace headgate::control {
namespace {

std::string read_maps() {
  const UniqueFd fd(::open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
  std::string text;
  std::array<char, 4096> piece;
  for (ssize_t count = 0; fd.valid() && (count = ::read(fd.get(), piece.data(), piece.size())) > 0;) {
    text.append(piece.data(), static_cast<size_t>(count));
  }
  return text;
}

}  // namespace

void release_startup_pages() {
#ifdef MADV_DONTNEED
  const std::string maps = read_maps();
  for (const std::string_view line : split(maps, '\n')) {
    // "7f00-7f10 r-xp 00001000 fe:00 1234   /usr/lib/libx.so": private, executable, of a file
    const size_t dash = line.find('-');
    const size_t space = line.find(' ');
    if (dash == std::string_view::npos || space == std::string_view::npos || dash > space) continue;
    if (line.substr(space + 1, 4) != "r-xp" || line.find(" /") == std::string_view::npos) continue;
    const auto begin = parse_hex(line.substr(0, dash));
    const auto end = parse_hex(line.substr(dash + 1, space - dash - 1));
    if (begin && end && *begin < *end) ::madvise(reinterpret_cast<void*>(*begin), *end - *begin, MADV_DONTNEED);
  }
#endif
}

}  // namespace headgate::control
