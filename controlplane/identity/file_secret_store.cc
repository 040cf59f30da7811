#include "controlplane/identity/file_secret_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string_view>

#include "controlplane/identity/spiffe.h"
#include "dataplane/base/number.h"
#include "dataplane/base/unique_fd.h"

namespace headgate::identity {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFile = 1024 * 1024;  // as a Secret

Result<std::string> read_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return system_error("open");
  std::string text(kMaxFile + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = ::read(fd.get(), text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("read");
    if (count == 0) break;
    size += static_cast<size_t>(count);
  }
  if (size > kMaxFile) return Error{.code = Errc::kTooLarge, .detail = "file of a secret"};
  text.resize(size);
  return text;
}

Result<void> write_file(const std::string& path, std::string_view text) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.valid()) return system_error("create");
  while (!text.empty()) {
    const ssize_t count = ::write(fd.get(), text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("write");
    text.remove_prefix(static_cast<size_t>(count));
  }
  if (::fsync(fd.get()) != 0) return system_error("fsync");
  return {};
}

// ".ca.7" -> 7; 0 when there is no link yet.
Result<uint64_t> read_version(const std::string& link, const std::string& name) {
  std::error_code failed;
  const std::string target = fs::read_symlink(link, failed).string();
  if (failed == std::errc::no_such_file_or_directory) return uint64_t{0};
  const std::string prefix = "." + name + ".";
  const auto number =
      target.starts_with(prefix) ? parse_decimal(std::string_view(target).substr(prefix.size())) : std::nullopt;
  if (failed || !number || *number == 0) {
    return Error{.code = Errc::kInvalid, .detail = "a secret's folder is not ours"};
  }
  return *number;
}

bool is_key(std::string_view key) { return is_object_name(key) && !key.empty(); }

}  // namespace

Result<StoredSecret> FileSecretStore::load(const std::string& name) {
  if (!is_key(name)) return Error{.code = Errc::kInvalid, .detail = "name of a secret"};
  const std::string link = folder_ + "/" + name;
  const auto version = read_version(link, name);
  if (!version) return version.error();
  if (*version == 0) return Error{.code = Errc::kNotFound, .detail = "secret"};
  // Not through the link: it may be replaced while we read.
  const std::string folder = folder_ + "/." + name + "." + std::to_string(*version);
  StoredSecret secret{.data = {}, .version = std::to_string(*version)};
  std::error_code failed;
  for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end; entry.increment(failed)) {
    auto text = read_file(entry->path().string());
    if (!text) return text.error();
    secret.data.emplace(entry->path().filename().string(), *std::move(text));
  }
  if (failed) return system_error(failed.value(), "folder of a secret");
  return secret;
}

Result<std::string> FileSecretStore::save(const std::string& name, const SecretData& data, const std::string& version) {
  if (!is_key(name)) return Error{.code = Errc::kInvalid, .detail = "name of a secret"};
  std::error_code failed;
  fs::create_directories(folder_, failed);
  if (failed) return system_error(failed.value(), "folder of secrets");
  ::chmod(folder_.c_str(), 0700);
  const UniqueFd lock(::open((folder_ + "/.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.valid() || ::flock(lock.get(), LOCK_EX) != 0) return system_error("lock of the folder of secrets");

  const std::string link = folder_ + "/" + name;
  const auto now = read_version(link, name);
  if (!now) return now.error();
  if ((*now == 0 ? std::string() : std::to_string(*now)) != version) {
    return Error{.code = Errc::kExists, .detail = "the secret was changed by somebody else"};
  }
  const std::string target = "." + name + "." + std::to_string(*now + 1);
  const std::string folder = folder_ + "/" + target;
  fs::remove_all(folder, failed);  // of a process that died here
  if (::mkdir(folder.c_str(), 0700) != 0) return system_error("folder of a secret");
  for (const auto& [key, text] : data) {
    if (!is_key(key)) return Error{.code = Errc::kInvalid, .detail = "key of a secret"};
    HG_TRY(write_file(folder + "/" + key, text));
  }
  const std::string fresh = link + ".new";
  ::unlink(fresh.c_str());
  if (::symlink(target.c_str(), fresh.c_str()) != 0) return system_error("link to a secret");
  if (::rename(fresh.c_str(), link.c_str()) != 0) return system_error("link to a secret");
  // Readers of the version before may still be at it; the one before that is nobody's.
  if (*now > 1) fs::remove_all(folder_ + "/." + name + "." + std::to_string(*now - 1), failed);
  return std::to_string(*now + 1);
}

}  // namespace headgate::identity
