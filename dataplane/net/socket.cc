#include "dataplane/net/socket.h"

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace headgate::net {
namespace {

void set_option(int fd, int level, int name, int value) { ::setsockopt(fd, level, name, &value, sizeof(value)); }

// Does anybody answer on this Unix socket path?
bool unix_socket_is_live(const SocketAddress& address, int type) {
  const UniqueFd probe(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  sockaddr_storage storage{};
  const socklen_t length = address.fill(storage);
  return ::connect(probe.get(), reinterpret_cast<sockaddr*>(&storage), length) == 0;
}

Result<void> bind_unix_path(int fd, const SocketAddress& address, const BindOptions& options, int type) {
  struct stat existing{};
  const bool present = ::lstat(address.path().c_str(), &existing) == 0;
  if (present && !S_ISSOCK(existing.st_mode)) return system_error(EEXIST, "the path exists and is not a socket");
  if (present && unix_socket_is_live(address, type)) return system_error(EADDRINUSE, "bind");
  const std::string temporary = address.path() + "~" + std::to_string(::getpid() % 100000);
  auto temporary_address = SocketAddress::unix_path(temporary);
  if (!temporary_address) return temporary_address.error();
  ::unlink(temporary.c_str());
  sockaddr_storage storage{};
  const socklen_t length = temporary_address->fill(storage);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&storage), length) != 0) return system_error("bind");
  if (options.unix_mode != 0) ::chmod(temporary.c_str(), options.unix_mode);
  if (options.transport == Transport::kStream && ::listen(fd, options.backlog) != 0) return system_error("listen");
  if (::rename(temporary.c_str(), address.path().c_str()) != 0) return system_error("rename of the socket");
  return {};
}

}  // namespace

Result<UniqueFd> bind_socket(const SocketAddress& address, const BindOptions& options) {
  const int type = options.transport == Transport::kStream ? SOCK_STREAM : SOCK_DGRAM;
  UniqueFd fd(::socket(address.domain(), type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return system_error("socket");
  if (options.receive_buffer > 0) set_option(fd.get(), SOL_SOCKET, SO_RCVBUF, options.receive_buffer);
  if (address.is_unix() && address.path()[0] != '@') {
    if (auto bound = bind_unix_path(fd.get(), address, options, type); !bound) return bound.error();
    return fd;
  }
  if (address.is_ip()) {
    if (options.transport == Transport::kStream) {
      set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
      set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    }
    if (options.reuse_port) set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
    if (address.domain() == AF_INET6) {
      set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, address.address().is_any() ? 0 : 1);
    }
  }
  sockaddr_storage storage{};
  const socklen_t length = address.fill(storage);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&storage), length) != 0) return system_error("bind");
  if (options.transport == Transport::kStream && ::listen(fd.get(), options.backlog) != 0) return system_error("listen");
  return fd;
}

Result<UniqueFd> start_connect(const SocketAddress& address, const SocketAddress* bind_to) {
  UniqueFd fd(::socket(address.domain(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return system_error("socket");
  if (address.is_ip()) set_no_delay(fd.get());
  sockaddr_storage storage{};
  if (bind_to != nullptr) {
    const socklen_t bind_length = bind_to->fill(storage);
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&storage), bind_length) != 0) return system_error("bind");
  }
  const socklen_t length = address.fill(storage);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), length) != 0 && errno != EINPROGRESS) {
    // A Unix socket with a full backlog says EAGAIN: nobody is going to tell us when there is room.
    Error error = system_error("connect");
    if (error.sys_errno == EAGAIN) error.code = Errc::kRefused;
    return error;
  }
  return fd;
}

Result<void> connect_result(int fd) {
  int error = 0;
  socklen_t length = sizeof(error);
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return system_error("getsockopt");
  if (error != 0) return system_error(error, "connect");
  return {};
}

Result<SocketAddress> local_address(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return system_error("getsockname");
  return SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length);
}

Result<SocketAddress> peer_address(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return system_error("getpeername");
  return SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length);
}

void set_no_delay(int fd) { set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1); }

void set_keepalive(int fd) {
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 6);
}

void set_reset_on_close(int fd) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

}  // namespace headgate::net
