// sockets.h -- the few socket calls that the programs of the benchmark share; loopback only, errors end the program.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>

namespace headgate::perf {

[[noreturn]] inline void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

inline double number(const char* text) {
  double value = 0;
  const std::string_view view = text;
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), value);
  if (error != std::errc() || end != view.data() + view.size()) {
    std::fprintf(stderr, "not a number: %s\n", text);
    std::exit(2);
  }
  return value;
}
inline uint16_t port_of(const char* text) { return static_cast<uint16_t>(number(text)); }

inline sockaddr_in loopback(uint16_t port, uint32_t host = INADDR_LOOPBACK) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(host);
  return address;
}

inline void set_option(int fd, int level, int name, int value) { setsockopt(fd, level, name, &value, sizeof value); }

inline int listen_on(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  const auto address = loopback(port);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || listen(fd, 4096) != 0) die("listen");
  return fd;
}

// Blocking until connected, non-blocking afterwards.
inline int connect_to(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto address = loopback(port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) die("connect");
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

inline void watch(int poller, int fd, uint32_t events, void* data) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = data;
  epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

inline uint64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1000000000ULL + static_cast<uint64_t>(time.tv_nsec);
}

// As many descriptors as we may have; a peer that closes is no reason to die.
inline void prepare() {
  std::signal(SIGPIPE, SIG_IGN);
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace headgate::perf
