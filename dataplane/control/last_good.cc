#include "dataplane/control/last_good.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "dataplane/base/unique_fd.h"
#include "dataplane/tls/crypto.h"

namespace headgate::control {
namespace {

constexpr std::string_view kMagic = "HGLG1\n";
constexpr size_t kDigest = std::tuple_size_v<tls::Sha256Digest>;
constexpr size_t kLargest = size_t{1} << 30;

std::string path_in(const std::string& directory) { return directory + "/last-good"; }

Result<void> write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("write");
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

}  // namespace

std::string encode_last_good(const control::v1::Push& push) {
  const std::string body = push.SerializeAsString();
  const tls::Sha256Digest digest = tls::sha256(body);
  std::string bytes;
  bytes.reserve(kMagic.size() + kDigest + body.size());
  bytes += kMagic;
  bytes += std::string_view(reinterpret_cast<const char*>(digest.data()), kDigest);
  bytes += body;
  return bytes;
}

bool is_last_good(std::string_view bytes) { return bytes.starts_with(kMagic); }

Result<control::v1::Push> decode_last_good(std::string_view bytes) {
  if (!is_last_good(bytes) || bytes.size() < kMagic.size() + kDigest) {
    return Error{.code = Errc::kMalformed, .detail = "not a last-good file"};
  }
  bytes.remove_prefix(kMagic.size());
  const std::string_view body = bytes.substr(kDigest);
  const tls::Sha256Digest digest = tls::sha256(body);
  if (std::string_view(reinterpret_cast<const char*>(digest.data()), kDigest) != bytes.substr(0, kDigest)) {
    return Error{.code = Errc::kMalformed, .detail = "a last-good file that is damaged"};
  }
  control::v1::Push push;
  if (!push.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
    return Error{.code = Errc::kMalformed, .detail = "a last-good file of another version"};
  }
  return push;
}

Result<void> write_last_good(const std::string& directory, std::string_view bytes) {
  const std::string path = path_in(directory);
  const std::string next = path + ".next";
  ::unlink(next.c_str());
  {
    const UniqueFd fd(::open(next.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.valid()) return system_error("create");
    if (auto written = write_all(fd.get(), bytes); !written) {
      ::unlink(next.c_str());
      return written;
    }
  }
  if (::rename(next.c_str(), path.c_str()) != 0) return system_error("rename");
  return {};
}

Result<std::string> read_last_good(const std::string& directory) {
  const UniqueFd fd(::open(path_in(directory).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd.valid()) {
    if (errno == ENOENT) return Error{.code = Errc::kNotFound, .detail = "no last-good file"};
    return system_error("open");
  }
  struct stat facts{};
  if (::fstat(fd.get(), &facts) != 0) return system_error("stat");
  if (!S_ISREG(facts.st_mode) || static_cast<size_t>(facts.st_size) > kLargest) {
    return Error{.code = Errc::kMalformed, .detail = "not a last-good file"};
  }
  std::string bytes(static_cast<size_t>(facts.st_size), '\0');
  size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t count = ::read(fd.get(), bytes.data() + have, bytes.size() - have);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("read");
    if (count == 0) break;
    have += static_cast<size_t>(count);
  }
  bytes.resize(have);
  return bytes;
}

}  // namespace headgate::control
