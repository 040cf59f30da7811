#include "controlplane/controller/read_file.h"

#include <cerrno>
#include <fstream>
#include <sstream>

namespace headgate::controller {

namespace {

constexpr size_t kMaxFile = size_t{64} << 20;

}  // namespace

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error{.code = Errc::kNotFound, .sys_errno = errno, .detail = "the file cannot be read"};
  std::ostringstream text;
  text << file.rdbuf();
  std::string contents = std::move(text).str();
  if (contents.size() > kMaxFile) return Error{.code = Errc::kTooLarge, .detail = "the file is larger than 64 MiB"};
  return contents;
}

}  // namespace headgate::controller
