// worker_test.cc -- a worker on the thread of the test: what its listeners and Snapshots do when the configuration changes.
#include "dataplane/worker/worker.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>

#include "dataplane/net/socket.h"
#include "dataplane/snapshot/build.h"
#include "proto/check/normalize.h"

namespace headgate::worker {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr const char* kSite = R"(
  listeners { name: "web" transport: LISTENER_TCP protocol: LISTENER_HTTP address: "127.0.0.1" port: 1 route_table: "web" }
  route_tables { name: "web" }
  virtual_hosts { name: "web/*" table: "web" host: "*"
                  routes { name: "all" match { prefix: "/" } respond { status: 200 body: "as before" } } }
)";

class WorkerTest : public ::testing::Test {
 protected:
  std::shared_ptr<const snapshot::Snapshot> build(const std::string& text) {
    config::v1::ResourceSet set;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &set));
    check::normalize(set);
    const snapshot::BuildOutcome outcome = builder_.build(set);
    for (const check::Problem& problem : outcome.problems) ADD_FAILURE() << check::to_string(problem);
    return outcome.snapshot;
  }
  void apply(std::shared_ptr<const snapshot::Snapshot> snapshot, std::vector<ListenerSocket> sockets = {}) {
    EXPECT_EQ(worker_.apply(std::move(snapshot), std::move(sockets)), std::vector<std::string>());
  }
  // Runs the worker until the peer of `fd` has said `expected`, or has closed it: "" then.
  std::string answer(int fd, std::string_view expected) {
    std::string text;
    const auto until = steady_clock::now() + milliseconds(5000);
    while (text.find(expected) == std::string::npos && steady_clock::now() < until) {
      worker_.context().loop.run_once(milliseconds(5));
      char piece[4096];
      const ssize_t count = ::recv(fd, piece, sizeof piece, MSG_DONTWAIT);
      if (count == 0) return "";
      if (count > 0) text.append(piece, static_cast<size_t>(count));
    }
    return text;
  }
  bool is_retired(uint64_t version) const {
    return std::find(retired_.begin(), retired_.end(), version) != retired_.end();
  }

  snapshot::Builder builder_;
  std::vector<uint64_t> retired_;  // versions
  Worker worker_{{}, [this](std::shared_ptr<const snapshot::Snapshot> old) { retired_.push_back(old->version); }};
};

// Whoever is connected is served by what was in force when the listener went, however many changes follow.
TEST_F(WorkerTest, AListenerThatLeftServesItsConnections) {
  const auto address = SocketAddress::parse("127.0.0.1:0");
  ASSERT_TRUE(address.has_value());
  auto listening = net::bind_socket(*address, {});
  ASSERT_TRUE(listening.has_value());
  const auto bound = net::local_address(listening->get());
  ASSERT_TRUE(bound.has_value());
  std::vector<ListenerSocket> sockets;
  sockets.push_back({"web", std::move(*listening), {}});
  auto first = build(kSite);
  ASSERT_NE(first, nullptr);
  const uint64_t version = first->version;
  apply(std::move(first), std::move(sockets));

  sockaddr_storage storage{};
  const socklen_t size = bound->fill(storage);
  UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&storage), size), 0);
  constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  const auto ask = [&] {
    EXPECT_EQ(::send(client.get(), kRequest.data(), kRequest.size(), MSG_NOSIGNAL), static_cast<ssize_t>(kRequest.size()));
    return answer(client.get(), "as before");
  };
  EXPECT_NE(ask().find("200 OK"), std::string::npos);

  for (int change = 0; change < 3; ++change) apply(build("route_tables { name: \"web\" }"));
  EXPECT_FALSE(is_retired(version)) << "its listener still has a connection";
  EXPECT_TRUE(is_retired(version + 1));
  EXPECT_NE(ask().find("200 OK"), std::string::npos);

  client.reset();
  const auto until = steady_clock::now() + milliseconds(5000);
  while (!is_retired(version) && steady_clock::now() < until) worker_.context().loop.run_once(milliseconds(5));
  EXPECT_TRUE(is_retired(version)) << "the last connection is gone";
}

}  // namespace
}  // namespace headgate::worker
