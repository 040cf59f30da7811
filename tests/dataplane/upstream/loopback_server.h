// loopback_server.h -- a blocking TCP server on 127.0.0.1 whose answer a test can change at any time.
// Thread: its own; set() and requests() any.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>

#include "dataplane/base/address.h"
#include "dataplane/base/unique_fd.h"

namespace headgate::upstream {

class LoopbackServer {
 public:
  explicit LoopbackServer(std::string answer) : answer_(std::move(answer)) {
    listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(listener_.get(), 64) != 0 ||
        ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      return;
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~LoopbackServer() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;

  [[nodiscard]] SocketAddress address() const { return SocketAddress::ip(IpAddress::v4(0x7f000001), port_); }
  [[nodiscard]] uint16_t port() const { return port_; }
  // "" closes at once, "hang" answers nothing until the client gives up.
  void set(std::string answer) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
  }
  [[nodiscard]] int connections() const { return connections_; }
  std::string last_request() {
    const std::lock_guard lock(mutex_);
    return request_;
  }

 private:
  void serve() {
    while (!stop_) {
      pollfd ready{listener_.get(), POLLIN, 0};
      if (::poll(&ready, 1, 20) <= 0) continue;
      const UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!client.valid()) continue;
      ++connections_;
      std::string request;
      while (!stop_ && request.find("\r\n\r\n") == std::string::npos) {
        pollfd wait{client.get(), POLLIN, 0};
        if (::poll(&wait, 1, 20) <= 0) continue;
        char bytes[2048];
        const ssize_t got = ::recv(client.get(), bytes, sizeof(bytes), 0);
        if (got <= 0) break;
        request.append(bytes, static_cast<size_t>(got));
      }
      std::string answer;
      {
        const std::lock_guard lock(mutex_);
        answer = answer_;
        if (!request.empty()) request_ = request;
      }
      if (answer == "hang") {
        char byte;
        while (!stop_) {
          pollfd wait{client.get(), POLLIN, 0};
          if (::poll(&wait, 1, 20) > 0 && ::recv(client.get(), &byte, 1, 0) <= 0) break;
        }
        continue;
      }
      [[maybe_unused]] const ssize_t sent = ::send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
    }
  }

  UniqueFd listener_;
  uint16_t port_ = 0;
  std::atomic<bool> stop_{false};
  std::atomic<int> connections_{0};
  std::mutex mutex_;
  std::string answer_;
  std::string request_;
  std::thread thread_;
};

}  // namespace headgate::upstream
