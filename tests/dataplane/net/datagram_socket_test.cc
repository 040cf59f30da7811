#include "dataplane/net/datagram_socket.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "dataplane/net/datagram_link.h"
#include "tests/dataplane/net/loopback.h"
#include "tests/support/allocations.h"
#include "tests/support/temp_folder.h"

namespace headgate::net {
namespace {

// Sends everything back.
struct Echo final : DatagramRun {
  void on_datagrams(std::span<Datagram> batch) override {
    for (const Datagram& datagram : batch) {
      sizes.push_back(datagram.payload.size());
      local = datagram.local;
      socket->send(datagram.peer, datagram.local, {datagram.payload.data(), datagram.payload.size()});
    }
  }
  void drain(MonotonicTime) override {}
  DatagramSocket* socket = nullptr;
  std::vector<size_t> sizes;
  DatagramLocal local;
};

struct Server {
  explicit Server(const SocketAddress& address) {
    auto fd = bind_socket(address, {.transport = Transport::kDatagram});
    EXPECT_TRUE(fd.has_value());
    socket = std::make_unique<DatagramSocket>(worker.context, std::move(*fd));
    echo.socket = socket.get();
    echo.sizes.reserve(100000);
    EXPECT_TRUE(socket->start(echo).has_value());
  }
  TestWorker worker;
  Echo echo;
  std::unique_ptr<DatagramSocket> socket;
};

struct Client final : DatagramLinkObserver {
  Client(WorkerContext& worker, const SocketAddress& to) : link(worker, *this) { opened = link.open(to); }
  void on_link_datagram(std::span<char> payload) override { got.emplace_back(payload.data(), payload.size()); }
  void on_link_failed(const Error& error) override { failure = error.code; }
  DatagramLink link;
  Result<void> opened;
  std::vector<std::string> got;
  std::optional<Errc> failure;
};

SocketAddress at_port(uint32_t address, uint16_t port) { return SocketAddress::ip(IpAddress::v4(address), port); }

TEST(DatagramSocket, BoundariesAndEmptyDatagramsAreKept) {
  Server server(at_port(0x7f000001, 0));
  Client client(server.worker.context, server.socket->local_address());
  ASSERT_TRUE(client.opened.has_value());
  const std::vector<std::string> sent = {"one", "", std::string(9000, 'x'), "four", std::string(60000, 'y')};
  for (const std::string& payload : sent) EXPECT_TRUE(client.link.send(payload));
  ASSERT_TRUE(server.worker.run_until([&] { return client.got.size() == sent.size(); }));
  EXPECT_EQ(client.got, sent);
}

TEST(DatagramSocket, RepliesLeaveFromTheAddressThatWasAsked) {
  Server server(SocketAddress::ip(IpAddress(), 0));
  const uint16_t port = server.socket->local_address().port();
  // The link is connected: an answer from any other address would never arrive.
  Client client(server.worker.context, at_port(0x7f000005, port));
  ASSERT_TRUE(client.link.send("x"));
  ASSERT_TRUE(server.worker.run_until([&] { return client.got.size() == 1; }));
  EXPECT_EQ(server.echo.local.address, IpAddress::v4(0x7f000005));
}

TEST(DatagramSocket, ABurstOfOneSenderComesApartAgain) {
  Server server(at_port(0x7f000001, 0));
  server.socket->enable_receive_offload();
  Client client(server.worker.context, server.socket->local_address());
  std::vector<std::string> payloads;
  for (int i = 0; i < 40; ++i) payloads.push_back(std::string(i == 39 ? 700 : 1200, static_cast<char>('a' + i % 26)));
  std::vector<std::span<char>> run;
  for (std::string& payload : payloads) run.emplace_back(payload.data(), payload.size());
  EXPECT_EQ(client.link.send_run(run), run.size());
  ASSERT_TRUE(server.worker.run_until([&] { return client.got.size() == payloads.size(); }));
  EXPECT_EQ(client.got, payloads);
}

TEST(DatagramSocket, NothingAllocatesPerDatagram) {
  if (!test::allocations_counted()) GTEST_SKIP();
  Server server(at_port(0x7f000001, 0));
  Client client(server.worker.context, server.socket->local_address());
  client.got.reserve(4000);
  const auto round = [&](size_t upto) {
    while (client.got.size() < upto) {
      const size_t before = client.got.size();
      client.link.send("0123456789");  // short enough for a string without memory of its own
      ASSERT_TRUE(server.worker.run_until([&] { return client.got.size() > before; }));
    }
  };
  round(100);
  const uint64_t before = test::allocations();
  for (int i = 0; i < 1000; ++i) {
    const size_t had = client.got.size();
    client.link.send("0123456789");
    while (client.got.size() == had) server.worker.loop.run_once(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(test::allocations() - before, 0U);
}

TEST(DatagramSocket, UnixDatagramsBothWays) {
  const test::TempFolder folder;
  const auto path = SocketAddress::unix_path(folder.path() + "/app.sock");
  ASSERT_TRUE(path.has_value());
  Server server(*path);
  Client client(server.worker.context, *path);
  ASSERT_TRUE(client.opened.has_value());
  EXPECT_TRUE(client.link.send("hello"));
  EXPECT_TRUE(client.link.send(""));
  ASSERT_TRUE(server.worker.run_until([&] { return client.got.size() == 2; }));
  EXPECT_EQ(client.got[0], "hello");
}

TEST(DatagramLink, ARefusalIsToldOnce) {
  TestWorker worker;
  uint16_t port = 0;
  {
    auto fd = bind_socket(at_port(0x7f000001, 0), {.transport = Transport::kDatagram});
    port = local_address(fd->get())->port();
  }
  Client client(worker.context, at_port(0x7f000001, port));
  client.link.send("anybody?");
  ASSERT_TRUE(worker.run_until([&] { return client.failure.has_value(); }));
  EXPECT_EQ(*client.failure, Errc::kRefused);
  EXPECT_FALSE(client.link.send("again"));
}

}  // namespace
}  // namespace headgate::net
