// backend.cc -- the canned answers behind the systems under test.
//   perf_backend http PORT BYTES   200 with BYTES of body to every request; pipelining is understood
//   perf_backend udp PORT          every datagram back to its sender with the QR bit of a DNS header set
#include <vector>

#include "e2e/perf/sockets.h"

namespace headgate::perf {
namespace {

struct Connection {
  int fd;
  uint32_t matched = 0;  // of the empty line that ends a head
  std::string unsent;
};

// Heads that end in these bytes; requests of the benchmark have no body.
size_t count_heads(Connection& connection, std::string_view data) {
  static constexpr std::string_view kEnd = "\r\n\r\n";
  size_t heads = 0;
  for (const char c : data) {
    connection.matched = c == kEnd[connection.matched] ? connection.matched + 1 : (c == '\r' ? 1U : 0U);
    if (connection.matched == kEnd.size()) {
      connection.matched = 0;
      ++heads;
    }
  }
  return heads;
}

// False: the connection is over.
bool flush(Connection& connection) {
  while (!connection.unsent.empty()) {
    const ssize_t sent = send(connection.fd, connection.unsent.data(), connection.unsent.size(), MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    connection.unsent.erase(0, static_cast<size_t>(sent));
  }
  return true;
}

// False: the connection is over.
bool answer(Connection& connection, const std::string& response) {
  static char buffer[65536];
  for (;;) {
    const ssize_t got = recv(connection.fd, buffer, sizeof buffer, 0);
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN && flush(connection);
    const std::string_view data(buffer, static_cast<size_t>(got));
    const size_t heads = count_heads(connection, data);
    for (size_t i = 0; i < heads; ++i) connection.unsent += response;
    if (!flush(connection)) return false;
    if (data.find("Connection: close") != std::string_view::npos && connection.unsent.empty()) return false;
    if (static_cast<size_t>(got) < sizeof buffer) return true;
  }
}

int serve_http(uint16_t port, size_t bytes) {
  const std::string response = "HTTP/1.1 200 OK\r\nServer: perf\r\nContent-Type: text/plain\r\nContent-Length: " +
                               std::to_string(bytes) + "\r\n\r\n" + std::string(bytes, 'x');
  const int listener = listen_on(port);
  const int poller = epoll_create1(EPOLL_CLOEXEC);
  watch(poller, listener, EPOLLIN, nullptr);
  std::vector<epoll_event> events(512);
  for (;;) {
    const int count = epoll_wait(poller, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      auto* connection = static_cast<Connection*>(events[static_cast<size_t>(i)].data.ptr);
      if (connection == nullptr) {
        for (int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK); fd >= 0;
             fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) {
          set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
          watch(poller, fd, EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP, new Connection{fd, 0, {}});
        }
      } else if (!answer(*connection, response)) {
        close(connection->fd);
        delete connection;
      }
    }
  }
}

int serve_udp(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20);
  const auto address = loopback(port);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) die("bind");
  char buffer[4096];
  for (;;) {
    sockaddr_in from{};
    socklen_t length = sizeof from;
    const ssize_t got = recvfrom(fd, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &length);
    if (got < 12) continue;
    buffer[2] = static_cast<char>(buffer[2] | '\x84');
    sendto(fd, buffer, static_cast<size_t>(got), 0, reinterpret_cast<sockaddr*>(&from), length);
  }
}

}  // namespace
}  // namespace headgate::perf

int main(int argc, char** argv) {
  using namespace headgate::perf;
  prepare();
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "http" && argc == 4) return serve_http(port_of(argv[2]), static_cast<size_t>(number(argv[3])));
  if (mode == "udp" && argc == 3) return serve_udp(port_of(argv[2]));
  std::fputs("perf_backend http PORT BYTES | udp PORT\n", stderr);
  return 2;
}
