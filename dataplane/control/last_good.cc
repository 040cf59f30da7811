#include "dataplane/control/last_good.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "dataplane/control/memory_file.h"

namespace headgate::control {
namespace {

constexpr std::string_view kMagic = "HGLG1\n";
constexpr size_t kDigest = std::tuple_size_v<tls::Sha256Digest>;
constexpr size_t kLargest = size_t{1} << 30;

constexpr size_t kWritten = size_t{64} << 10;  // at a time

std::string path_in(const std::string& directory) { return directory + "/last-good"; }
std::string next_path_in(const std::string& directory) { return path_in(directory) + ".next"; }

}  // namespace

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

std::unique_ptr<LastGoodFile> LastGoodFile::in_memory() {
  UniqueFd file = make_memory_file("headgate-last-good");
  if (!file.valid()) return nullptr;
  return std::unique_ptr<LastGoodFile>(new LastGoodFile(std::move(file), ""));
}

Result<std::unique_ptr<LastGoodFile>> LastGoodFile::in(const std::string& directory) {
  const std::string path = next_path_in(directory);
  ::unlink(path.c_str());
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.valid()) return system_error("create");
  return std::unique_ptr<LastGoodFile>(new LastGoodFile(std::move(file), directory));
}

// The place of the digest is left free.
LastGoodFile::LastGoodFile(UniqueFd file, std::string directory)
    : file_(std::move(file)), directory_(std::move(directory)) {
  outcome_ = write_fully(file_.get(), std::string(kMagic) + std::string(kDigest, '\0'));
}

LastGoodFile::~LastGoodFile() {
  if (!directory_.empty()) ::unlink(next_path_in(directory_).c_str());
}

// A Push is its resources one after another.
void LastGoodFile::add(const control::v1::Resource& resource) {
  control::v1::Push alone;
  *alone.add_upsert() = resource;
  alone.AppendToString(&waiting_);
  if (waiting_.size() >= kWritten) write_waiting();
}

void LastGoodFile::write_waiting() {
  digest_.add(waiting_);
  if (outcome_) outcome_ = write_fully(file_.get(), waiting_);
  waiting_.clear();
}

Result<UniqueFd> LastGoodFile::finish() {
  write_waiting();
  if (!outcome_) return outcome_.error();
  const tls::Sha256Digest digest = digest_.take();
  const ssize_t count = ::pwrite(file_.get(), digest.data(), kDigest, static_cast<off_t>(kMagic.size()));
  if (count != static_cast<ssize_t>(kDigest)) return system_error("write");
  if (!directory_.empty()) {
    if (::rename(next_path_in(directory_).c_str(), path_in(directory_).c_str()) != 0) return system_error("rename");
    directory_.clear();
  }
  return std::move(file_);
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
