#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "dataplane/base/text.h"
#include "dataplane/control/memory_file.h"
#include "dataplane/control/parent_process.h"

namespace headgate::control {
namespace {

// Descriptors travel by number plus one; 0: none.
uint32_t inheritable(int fd) {
  if (fd < 0) return 0;
  ::fcntl(fd, F_SETFD, 0);
  return static_cast<uint32_t>(fd) + 1;
}

UniqueFd inherited(uint32_t number) {
  if (number == 0) return {};
  const int fd = static_cast<int>(number) - 1;
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return {};
  return UniqueFd(fd);
}

bool read_all(int fd, std::string& into) {
  std::array<char, 4096> piece;
  for (;;) {
    const ssize_t count = ::read(fd, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return count == 0;
    into.append(piece.data(), static_cast<size_t>(count));
  }
}

bool file_is_this_binary(const std::string& path) {
  struct stat own{};
  struct stat other{};
  if (::stat("/proc/self/exe", &own) != 0) return ::stat(path.c_str(), &other) == 0;
  return ::stat(path.c_str(), &other) == 0 && own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

std::string make_absolute(const std::string& path) {
  if (path.starts_with('/')) return path;
  std::array<char, 4096> directory{};
  if (::getcwd(directory.data(), directory.size()) == nullptr) return path;
  return std::string(directory.data()) + "/" + path;
}

}  // namespace

UniqueFd ParentState::save() {
  UniqueFd file = make_memory_file("headgate-parent");
  if (!file.valid()) return {};
  PayloadWriter out;
  out.u8(kParentStateVersion).text(binary).u64(next_number).u32(restarts).u8(log_json ? 1 : 0);
  out.u32(inheritable(last_good.get()));
  out.u16(static_cast<uint16_t>(children.size()));
  for (const Child& child : children) {
    out.u32(static_cast<uint32_t>(child.pid)).u32(inheritable(child.channel.fd()));
    out.u8(static_cast<uint8_t>(child.part)).u64(child.number).u8(child.ready ? 1 : 0);
  }
  out.u16(static_cast<uint16_t>(sockets.entries().size()));
  for (const ListeningTable::Entry& entry : sockets.entries()) {
    out.address(entry.address).u8(static_cast<uint8_t>(entry.transport)).u16(static_cast<uint16_t>(entry.worker));
    out.u8(entry.shared ? 1 : 0).u64(entry.user).u64(entry.device).u64(entry.inode);
    out.u32(inheritable(entry.fd.get())).u16(static_cast<uint16_t>(entry.listeners.size()));
    for (const std::string& listener : entry.listeners) out.text(listener);
  }
  if (!write_fully(file.get(), out.bytes()) || ::lseek(file.get(), 0, SEEK_SET) != 0) return {};
  ::fcntl(file.get(), F_SETFD, 0);
  return file;
}

void ParentState::make_private() {
  const auto make_one = [](int fd) {
    if (fd >= 0) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  };
  make_one(last_good.get());
  for (const Child& child : children) make_one(child.channel.fd());
  for (const ListeningTable::Entry& entry : sockets.entries()) make_one(entry.fd.get());
}

bool ParentState::load(int fd) {
  std::string bytes;
  if (!read_all(fd, bytes)) return false;
  PayloadReader in(bytes);
  if (in.u8() != kParentStateVersion) return false;
  binary = in.text();
  next_number = in.u64();
  restarts = in.u32();
  log_json = in.u8() != 0;
  last_good = inherited(in.u32());
  for (uint16_t left = in.u16(); left > 0 && in.ok(); --left) {
    Child child;
    child.pid = static_cast<pid_t>(in.u32());
    child.channel = ParentChannel(inherited(in.u32()));
    child.part = static_cast<ChildPart>(in.u8());
    child.number = in.u64();
    child.ready = in.u8() != 0;
    child.started = child.ready_at = system_clock().now();
    children.push_back(std::move(child));
  }
  for (uint16_t left = in.u16(); left > 0 && in.ok(); --left) {
    ListeningTable::Entry entry;
    entry.address = in.address();
    entry.transport = in.u8() == 0 ? net::Transport::kStream : net::Transport::kDatagram;
    entry.worker = in.u16();
    entry.shared = in.u8() != 0;
    entry.user = in.u64();
    entry.device = static_cast<dev_t>(in.u64());
    entry.inode = static_cast<ino_t>(in.u64());
    entry.fd = inherited(in.u32());
    for (uint16_t names = in.u16(); names > 0 && in.ok(); --names) entry.listeners.push_back(in.text());
    if (entry.fd.valid()) sockets.restore(std::move(entry));
  }
  return in.complete();
}

std::string find_own_binary(const char* argv0) {
  const std::string name = argv0 == nullptr ? "" : argv0;
  if (name.find('/') != std::string::npos) {
    const std::string path = make_absolute(name);
    if (file_is_this_binary(path)) return path;
  } else if (const char* search = std::getenv("PATH"); search != nullptr && !name.empty()) {
    for (const std::string_view directory : split(search, ':')) {
      const std::string path = make_absolute(std::string(directory.empty() ? "." : directory) + "/" + name);
      if (file_is_this_binary(path)) return path;
    }
  }
  std::array<char, 4096> target{};
  const ssize_t length = ::readlink("/proc/self/exe", target.data(), target.size() - 1);
  if (length <= 0) return make_absolute(name);
  std::string path(target.data(), static_cast<size_t>(length));
  constexpr std::string_view kDeleted = " (deleted)";
  if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
  return path;
}

}  // namespace headgate::control
