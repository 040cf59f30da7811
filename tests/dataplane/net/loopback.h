// loopback.h -- connected pairs and a worker for tests over real loopback sockets.
// Thread: the test's.
#pragma once

#include <gtest/gtest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "dataplane/base/counters.h"
#include "dataplane/base/random.h"
#include "dataplane/event/loop.h"
#include "dataplane/event/worker_context.h"
#include "dataplane/net/socket.h"
#include "dataplane/net/socket_stream.h"

namespace headgate::net {

struct TestWorker {
  event::Loop loop;
  Counters counters;
  Random random{1};
  WorkerContext context{.loop = loop, .counters = counters, .random = random};

  // Turns the loop until `done`; false when that took too long.
  bool run_until(const std::function<bool()>& done, int milliseconds = 5000) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      loop.run_once(std::chrono::milliseconds(5));
    }
    return true;
  }
};

// A TCP connection over loopback: both ends, blocking.
inline std::pair<UniqueFd, UniqueFd> tcp_pair() {
  auto listener = bind_socket(SocketAddress::ip(IpAddress::v4(0x7f000001), 0), {});
  EXPECT_TRUE(listener.has_value());
  const auto address = local_address(listener->get());
  UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage storage{};
  const socklen_t size = address->fill(storage);
  EXPECT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&storage), size), 0);
  pollfd wait{listener->get(), POLLIN, 0};
  EXPECT_EQ(::poll(&wait, 1, 2000), 1);
  UniqueFd server(::accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC));
  EXPECT_TRUE(server.valid());
  return {std::move(client), std::move(server)};
}

// Our end of a connection as a stream; the descriptor becomes non-blocking.
inline std::unique_ptr<ByteStream> as_stream(event::Loop& loop, UniqueFd fd) {
  int on = 1;
  EXPECT_EQ(::setsockopt(fd.get(), IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof(on)), 0);
  const int flags = ::fcntl(fd.get(), F_GETFL);
  EXPECT_EQ(::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK), 0);
  auto stream = SocketStream::open(loop, std::move(fd), {});
  EXPECT_TRUE(stream.has_value());
  return std::move(*stream);
}

}  // namespace headgate::net
