// client.h -- a blocking client for tests of headgate::Server: sends bytes, reads whole answers.
// Thread: the test's.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "dataplane/base/address.h"
#include "dataplane/base/number.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/embed/server.h"

namespace headgate::embed {

struct Answer {
  std::string head;  // status line and fields; empty: the connection ended without an answer
  std::string body;  // as framed, chunks put together
  bool whole = false;

  [[nodiscard]] int status() const {
    return head.size() < 12 ? 0 : static_cast<int>(parse_decimal<uint32_t>(std::string_view(head).substr(9, 3)).value_or(0));
  }
  [[nodiscard]] bool has(std::string_view field) const { return head.find("\r\n" + std::string(field) + "\r\n") != std::string::npos; }
};

class Client {
 public:
  explicit Client(uint16_t port) : Client(SocketAddress::ip(IpAddress::v4(0x7f000001), port)) {}
  explicit Client(const std::string& unix_path) : Client(*SocketAddress::unix_path(unix_path)) {}
  explicit Client(const SocketAddress& address) : fd_(::socket(address.domain(), SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    sockaddr_storage storage{};
    const socklen_t length = address.fill(storage);
    connected_ = ::connect(fd_.get(), reinterpret_cast<sockaddr*>(&storage), length) == 0;
  }
  [[nodiscard]] bool connected() const { return connected_; }
  void close() { fd_.reset(); }

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  // One answer to a request of `method`.
  Answer receive(std::string_view method = "GET") {
    Answer answer;
    size_t end = 0;
    while ((end = input_.find("\r\n\r\n")) == std::string::npos) {
      if (!read_more()) return answer;
    }
    answer.head = input_.substr(0, end + 4);
    input_.erase(0, end + 4);
    if (method == "HEAD" || answer.status() == 204 || answer.status() == 304) {
      answer.whole = true;
    } else if (answer.has("Transfer-Encoding: chunked")) {
      answer.whole = read_chunks(answer.body);
    } else if (const size_t at = answer.head.find("Content-Length: "); at != std::string::npos) {
      const size_t from = at + 16;
      const auto length = parse_decimal<uint64_t>(answer.head.substr(from, answer.head.find('\r', from) - from));
      answer.whole = take(length.value_or(0), answer.body);
    }
    return answer;
  }
  Answer ask(std::string_view method, std::string_view target, std::string_view fields = {}, std::string_view body = {}) {
    std::string request = std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: test.example\r\n" + std::string(fields);
    if (!body.empty()) request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    send(request + "\r\n" + std::string(body));
    return receive(method);
  }
  // True when the server closes without another byte.
  bool at_end() { return input_.empty() && !read_more() && input_.empty(); }
  // What one read gives; 0: end, or nothing within the limit.
  size_t read_some() {
    const size_t before = input_.size();
    return read_more() ? input_.size() - before : 0;
  }

 private:
  bool read_more() {
    char bytes[16384];
    const ssize_t got = ::recv(fd_.get(), bytes, sizeof(bytes), 0);
    if (got <= 0) return false;
    input_.append(bytes, static_cast<size_t>(got));
    return true;
  }
  bool take(size_t size, std::string& into) {
    while (input_.size() < size) {
      if (read_more()) continue;
      into += std::exchange(input_, {});
      return false;
    }
    into += input_.substr(0, size);
    input_.erase(0, size);
    return true;
  }
  bool read_chunks(std::string& body) {
    for (;;) {
      size_t end = 0;
      while ((end = input_.find("\r\n")) == std::string::npos) {
        if (!read_more()) return false;
      }
      const auto size = parse_hex(input_.substr(0, end));
      input_.erase(0, end + 2);
      if (!size) return false;
      std::string line_end;
      if (!take(*size, body) || !take(2, line_end)) return false;
      if (*size == 0) return true;
    }
  }

  UniqueFd fd_;
  std::string input_;
  bool connected_ = false;
};

// The port; 0 when it could not be had, with a failure.
inline uint16_t listen_and_start(Server& server) {
  const auto port = server.listen("127.0.0.1:0");
  EXPECT_TRUE(port.has_value()) << server.problem();
  const bool started = server.start().has_value();
  EXPECT_TRUE(started) << server.problem();
  return port ? *port : 0;
}

}  // namespace headgate::embed
