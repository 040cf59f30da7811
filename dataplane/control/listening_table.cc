#include "dataplane/control/listening_table.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "dataplane/base/number.h"

namespace headgate::control {
namespace {

bool is_unix_file(const SocketAddress& address) { return address.is_unix() && !address.path().starts_with('@'); }

// A Unix socket and one without SO_REUSEPORT exist once; workers accept from the same queue.
bool is_shared(const SocketKey& key, const ListenOptions& options) {
  return key.address.is_unix() || !options.bind.reuse_port;
}

int socket_option(int fd, int name) {
  int value = 0;
  socklen_t length = sizeof(value);
  return ::getsockopt(fd, SOL_SOCKET, name, &value, &length) == 0 ? value : -1;
}

}  // namespace

ListeningTable::Entry* ListeningTable::find(const SocketKey& key, bool shared) {
  const bool any_port = key.address.is_ip() && key.address.port() == 0;
  for (Entry& entry : entries_) {
    if (entry.address != key.address || entry.transport != key.transport) continue;
    if (!entry.shared && !shared && entry.worker != key.worker) continue;
    if (any_port && std::ranges::find(entry.listeners, key.listener) == entry.listeners.end()) continue;
    return &entry;
  }
  return nullptr;
}

Result<int> ListeningTable::acquire(const SocketKey& key, const ListenOptions& options, uint64_t user) {
  const bool shared = is_shared(key, options);
  Entry* entry = find(key, shared);
  if (entry == nullptr) return bind(key, options, shared, user);
  entry->user = user;
  if (std::ranges::find(entry->listeners, key.listener) == entry->listeners.end()) {
    entry->listeners.push_back(key.listener);
  }
  // The backlog of a listening socket may be changed by listening again.
  if (key.transport == net::Transport::kStream) ::listen(entry->fd.get(), options.bind.backlog);
  return entry->fd.get();
}

Result<int> ListeningTable::bind(const SocketKey& key, const ListenOptions& options, bool shared, uint64_t user) {
  if (entries_.size() >= kMaxSockets) return Error{.code = Errc::kTooLarge, .detail = "too many listening sockets"};
  SocketAddress address = key.address;
  if (address.is_ip() && address.port() == 0) {
    // "Any port" means one port for all workers of the listener.
    for (const Entry& entry : entries_) {
      if (entry.address != key.address || entry.transport != key.transport) continue;
      if (std::ranges::find(entry.listeners, key.listener) == entry.listeners.end()) continue;
      const auto local = net::local_address(entry.fd.get());
      if (local) address.set_port(local->port());
    }
  }
  if (options.make_directory && is_unix_file(address)) {
    const size_t slash = address.path().rfind('/');
    if (slash != std::string::npos && slash > 0) ::mkdir(address.path().substr(0, slash).c_str(), 0755);
  }
  net::BindOptions how = options.bind;
  how.transport = key.transport;  // only the key travels with it
  auto fd = net::bind_socket(address, how);
  if (!fd) return fd.error();
  Entry entry{.address = key.address,
              .transport = key.transport,
              .worker = shared ? 0 : key.worker,
              .shared = shared,
              .user = user,
              .listeners = {key.listener},
              .fd = std::move(*fd)};
  struct stat status{};
  if (is_unix_file(address) && ::lstat(address.path().c_str(), &status) == 0) {
    entry.device = status.st_dev;
    entry.inode = status.st_ino;
  }
  entries_.push_back(std::move(entry));
  return entries_.back().fd.get();
}

void ListeningTable::release(const SocketKey& key) {
  for (size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    if (entry.address != key.address || entry.transport != key.transport) continue;
    if (!entry.shared && entry.worker != key.worker) continue;
    if (std::erase(entry.listeners, key.listener) == 0) continue;
    if (entry.listeners.empty()) {
      unlink_file(entry);
      entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(i));
    }
    return;
  }
}

void ListeningTable::close_unused(uint64_t user) {
  std::erase_if(entries_, [&](const Entry& entry) {
    if (entry.user == user) return false;
    unlink_file(entry);
    return true;
  });
}

bool ListeningTable::adopt(UniqueFd fd) {
  const int type = socket_option(fd.get(), SO_TYPE);
  if (type != SOCK_STREAM && type != SOCK_DGRAM) return false;
  const auto address = net::local_address(fd.get());
  if (!address || address->family() == SocketAddress::Family::kNone) return false;
  if (type == SOCK_STREAM && socket_option(fd.get(), SO_ACCEPTCONN) != 1) return false;
  ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
  ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
  entries_.push_back({.address = *address,
                      .transport = type == SOCK_STREAM ? net::Transport::kStream : net::Transport::kDatagram,
                      .shared = true,
                      .fd = std::move(fd)});
  return true;
}

// Only while the file is the one that was bound: another process may have replaced it.
void ListeningTable::unlink_file(const Entry& entry) {
  if (!is_unix_file(entry.address) || entry.inode == 0) return;
  struct stat status{};
  const char* path = entry.address.path().c_str();
  if (::lstat(path, &status) != 0 || status.st_dev != entry.device || status.st_ino != entry.inode) return;
  ::unlink(path);
}

void ListeningTable::unlink_all() {
  for (const Entry& entry : entries_) unlink_file(entry);
}

std::vector<SocketKey> ListeningTable::keys() const {
  std::vector<SocketKey> keys;
  for (const Entry& entry : entries_) {
    for (const std::string& listener : entry.listeners) {
      keys.push_back({listener, entry.address, entry.transport, entry.worker});
    }
  }
  return keys;
}

void adopt_systemd_sockets(ListeningTable& table) {
  constexpr int kFirstFd = 3;  // sd_listen_fds(3)
  const char* pid_text = std::getenv("LISTEN_PID");
  const char* count_text = std::getenv("LISTEN_FDS");
  if (pid_text == nullptr || count_text == nullptr) return;
  const auto pid = parse_decimal<uint32_t>(pid_text);
  const auto count = parse_decimal<uint32_t>(count_text);
  ::unsetenv("LISTEN_PID");
  ::unsetenv("LISTEN_FDS");
  ::unsetenv("LISTEN_FDNAMES");
  if (!pid || !count || *pid != static_cast<uint32_t>(::getpid()) || *count > 256) return;
  for (int fd = kFirstFd; fd < kFirstFd + static_cast<int>(*count); ++fd) table.adopt(UniqueFd(fd));
}

}  // namespace headgate::control
