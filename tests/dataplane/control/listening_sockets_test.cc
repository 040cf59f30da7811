#include "dataplane/control/listening_sockets.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "dataplane/control/listening_table.h"
#include "dataplane/control/parent_channel.h"

namespace headgate::control {
namespace {

SocketKey key(const std::string& name, const std::string& address, uint32_t worker = 0) {
  return {name, *SocketAddress::parse(address), net::Transport::kStream, worker};
}

std::string folder() {
  std::string pattern = ::testing::TempDir() + "listenXXXXXX";
  return ::mkdtemp(pattern.data()) == nullptr ? "" : pattern;
}

TEST(ListeningTable, WorkersShareOneChosenPort) {
  ListeningTable table;
  const auto first = table.acquire(key("web", "127.0.0.1:0", 0), {}, 1);
  const auto second = table.acquire(key("web", "127.0.0.1:0", 1), {}, 1);
  const auto other = table.acquire(key("other", "127.0.0.1:0", 0), {}, 1);
  ASSERT_TRUE(first && second && other);
  EXPECT_NE(*first, *second);
  EXPECT_EQ(net::local_address(*first)->port(), net::local_address(*second)->port());
  EXPECT_NE(net::local_address(*first)->port(), net::local_address(*other)->port());
  EXPECT_EQ(*table.acquire(key("web", "127.0.0.1:0", 1), {}, 1), *second);
  EXPECT_EQ(table.keys().size(), 3U);
}

TEST(ListeningTable, RenamedListenerKeepsItsSocket) {
  ListeningTable table;
  const auto probe = table.acquire(key("probe", "127.0.0.1:0"), {}, 1);
  const std::string address = net::local_address(*probe)->to_string();
  table.release(key("probe", "127.0.0.1:0"));
  const int first = *table.acquire(key("old", address), {}, 1);
  EXPECT_EQ(*table.acquire(key("new", address), {}, 1), first);
  table.release(key("old", address));
  EXPECT_EQ(table.entries().size(), 1U);
  table.release(key("old", address));  // not ours any more: nothing happens
  table.release(key("never", address));
  EXPECT_EQ(*table.acquire(key("new", address), {}, 1), first);
  table.release(key("new", address));
  EXPECT_TRUE(table.entries().empty());
}

TEST(ListeningTable, UnixSocketIsOnePerPath) {
  const std::string directory = folder();
  const std::string path = directory + "/made/web.sock";
  ListeningTable table;
  const ListenOptions options{.bind = {.unix_mode = 0600}, .make_directory = true};
  EXPECT_FALSE(table.acquire(key("web", "unix:" + path), {}, 1));  // the directory is missing
  const auto first = table.acquire(key("web", "unix:" + path, 0), options, 1);
  ASSERT_TRUE(first) << to_string(first.error());
  EXPECT_EQ(*table.acquire(key("web", "unix:" + path, 3), options, 1), *first);
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  // Somebody else's socket of the same name is not removed.
  ASSERT_EQ(::unlink(path.c_str()), 0);
  ListeningTable other;
  ASSERT_TRUE(other.acquire(key("x", "unix:" + path), options, 1));
  table.release(key("web", "unix:" + path, 0));
  EXPECT_TRUE(std::filesystem::exists(path));
  other.unlink_all();
  EXPECT_FALSE(std::filesystem::exists(path));
  std::filesystem::remove_all(directory);
}

TEST(ListeningTable, CloseUnused) {
  ListeningTable table;
  ASSERT_TRUE(table.acquire(key("a", "127.0.0.1:0"), {}, 1));
  ASSERT_TRUE(table.acquire(key("b", "127.0.0.1:0"), {}, 1));
  ASSERT_TRUE(table.acquire(key("b", "127.0.0.1:0"), {}, 2));
  table.close_unused(2);
  ASSERT_EQ(table.keys().size(), 1U);
  EXPECT_EQ(table.keys()[0].listener, "b");
}

TEST(ListeningTable, AdoptedSocketServesEveryWorker) {
  auto bound = net::bind_socket(*SocketAddress::parse("127.0.0.1:0"), {.reuse_port = false});
  ASSERT_TRUE(bound);
  const std::string address = net::local_address(bound->get())->to_string();
  ListeningTable table;
  const int raw = bound->get();
  ASSERT_TRUE(table.adopt(std::move(*bound)));
  EXPECT_EQ(*table.acquire(key("web", address, 0), {}, 1), raw);
  EXPECT_EQ(*table.acquire(key("web", address, 1), {}, 1), raw);
  std::array<int, 2> pipe_ends{};
  ASSERT_EQ(::pipe(pipe_ends.data()), 0);
  EXPECT_FALSE(table.adopt(UniqueFd(pipe_ends[0])));
  EXPECT_FALSE(table.adopt(UniqueFd(pipe_ends[1])));
}

TEST(LocalBroker, DescriptorsAreCopies) {
  const auto broker = make_local_broker();
  auto first = broker->acquire(key("web", "127.0.0.1:0"), {});
  ASSERT_TRUE(first);
  const uint16_t port = net::local_address(first->get())->port();
  first->reset();
  const auto again = broker->acquire(key("web", "127.0.0.1:0"), {});
  ASSERT_TRUE(again);
  EXPECT_EQ(net::local_address(again->get())->port(), port);
  bool answered = false;
  broker->request_upgrade([&](const UpgradeOutcome& outcome) { answered = !outcome.ok && !outcome.reason.empty(); });
  EXPECT_TRUE(answered);
}

// Fewer workers: the surplus socket gets no new connection, and what it had queued is served before it goes.
TEST(Steering, SurplusSocketCanBeEmptiedAndClosed) {
  ListeningTable table;
  std::array<int, 3> fds{};
  for (uint32_t worker = 0; worker < 3; ++worker) fds[worker] = *table.acquire(key("web", "127.0.0.1:0", worker), {}, 1);
  const SocketAddress address = *net::local_address(fds[0]);
  std::vector<UniqueFd> clients;
  const auto connect_some = [&](int count) {
    for (int i = 0; i < count; ++i) {
      auto client = net::start_connect(address);
      ASSERT_TRUE(client);
      pollfd entry{.fd = client->get(), .events = POLLOUT, .revents = 0};
      ASSERT_EQ(::poll(&entry, 1, 2000), 1);
      ASSERT_TRUE(net::connect_result(client->get()));
      clients.push_back(std::move(*client));
    }
  };
  const auto accept_all = [](int fd) {
    int count = 0;
    for (int client = -1; (client = ::accept(fd, nullptr, nullptr)) >= 0; ++count) ::close(client);
    return count;
  };
  connect_some(90);
  const auto steered = steer_connections(fds[0], 2);
  if (!steered) GTEST_SKIP() << to_string(steered.error());
  const int queued = accept_all(fds[2]);
  EXPECT_GT(queued, 0);
  connect_some(90);
  EXPECT_EQ(accept_all(fds[2]), 0);
  table.release(key("web", "127.0.0.1:0", 2));
  connect_some(30);
  EXPECT_EQ(queued + accept_all(fds[0]) + accept_all(fds[1]), 210);
  EXPECT_FALSE(steer_connections(fds[0], 0));
}

// ---- the channel ----

TEST(ParentChannel, CarriesMessagesAndDescriptors) {
  auto pair = ParentChannel::make_pair();
  ASSERT_TRUE(pair);
  ParentChannel left(std::move(pair->first));
  ParentChannel right(std::move(pair->second));
  Message message;
  EXPECT_EQ(right.receive(message, Duration(0)), ReceiveOutcome::kNothing);
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const UniqueFd read_end(ends[0]);
  const UniqueFd write_end(ends[1]);
  ASSERT_TRUE(left.send(MessageType::kSocket, 77, "payload", write_end.get()));
  ASSERT_TRUE(left.send(MessageType::kReplaced, 78));
  ASSERT_EQ(right.receive(message, Duration(0)), ReceiveOutcome::kMessage);
  EXPECT_EQ(message.type, MessageType::kSocket);
  EXPECT_EQ(message.id, 77U);
  EXPECT_EQ(message.payload, "payload");
  ASSERT_TRUE(message.fd.valid());
  ASSERT_EQ(::write(message.fd.get(), "x", 1), 1);
  char byte = 0;
  ASSERT_EQ(::read(read_end.get(), &byte, 1), 1);
  ASSERT_EQ(right.receive(message, Duration(0)), ReceiveOutcome::kMessage);
  EXPECT_FALSE(message.fd.valid());
  EXPECT_FALSE(left.send(MessageType::kStart, 0, std::string(kMaxMessage, 'x')));
  left.close();
  EXPECT_EQ(right.receive(message, std::chrono::seconds(5)), ReceiveOutcome::kClosed);
  EXPECT_FALSE(right.send(MessageType::kReady, 0));
}

TEST(ParentChannel, SenderNeverBlocks) {
  auto pair = ParentChannel::make_pair();
  ParentChannel left(std::move(pair->first));
  const ParentChannel right(std::move(pair->second));
  Result<void> sent;
  for (int i = 0; i < 100'000 && sent; ++i) sent = left.send(MessageType::kStart, 0, std::string(4000, 'x'));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, Errc::kOverloaded);
  EXPECT_EQ(left.send_waiting(MessageType::kStart, 0, std::string(4000, 'x'), -1, std::chrono::milliseconds(20))
                .error()
                .code,
            Errc::kTimeout);
}

TEST(ParentChannel, MalformedHeadCloses) {
  for (const std::string& bytes : {std::string("x"), std::string("\x02\x01\0\0\0\0\0\0", 8), std::string("\x01\x01\0\0\0\0\0", 7),
                                   std::string("\x01\x01") + std::string(kMaxMessage, 'x')}) {
    auto pair = ParentChannel::make_pair();
    ParentChannel right(std::move(pair->second));
    ASSERT_EQ(::send(pair->first.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    Message message;
    EXPECT_EQ(right.receive(message, std::chrono::seconds(1)), ReceiveOutcome::kClosed);
  }
}

TEST(Payload, RoundTrip) {
  SocketKey all = key("web", "[2001:db8::1]:443", 1023);
  all.transport = net::Transport::kDatagram;
  const ListenOptions options{.bind = {.backlog = 77, .reuse_port = false, .unix_mode = 0640, .receive_buffer = 4096},
                              .make_directory = true};
  PayloadWriter out;
  out.key(all).options(options).u64(0x0123456789abcdefU);
  PayloadReader in(out.bytes());
  EXPECT_EQ(in.key(), all);
  const ListenOptions read = in.options();
  EXPECT_EQ(read.bind.backlog, 77);
  EXPECT_FALSE(read.bind.reuse_port);
  EXPECT_EQ(read.bind.unix_mode, 0640U);
  EXPECT_EQ(read.bind.receive_buffer, 4096);
  EXPECT_TRUE(read.make_directory);
  EXPECT_EQ(in.u64(), 0x0123456789abcdefU);
  EXPECT_TRUE(in.complete());
  for (size_t cut = 0; cut < out.bytes().size(); ++cut) {
    PayloadReader shorter(std::string_view(out.bytes()).substr(0, cut));
    shorter.key();
    shorter.options();
    shorter.u64();
    EXPECT_FALSE(shorter.ok()) << cut;
  }
  for (const char* address : {"127.0.0.1:80", ":0", "unix:/tmp/a b", "unix:@abstract"}) {
    PayloadWriter one;
    one.address(*SocketAddress::parse(address));
    PayloadReader back(one.bytes());
    EXPECT_EQ(back.address(), *SocketAddress::parse(address));
    EXPECT_TRUE(back.complete());
  }
}

TEST(Payload, OverlongUnixPathIsRefused) {
  for (const size_t length : {size_t{107}, size_t{108}, size_t{120}}) {
    std::string bytes(2, '\0');
    const sa_family_t family = AF_UNIX;
    std::memcpy(bytes.data(), &family, sizeof(family));
    bytes.append(length, 'p');
    PayloadWriter out;
    out.text(bytes);
    PayloadReader in(out.bytes());
    in.address();
    EXPECT_EQ(in.complete(), length == 107) << length;
  }
}

TEST(Payload, OutOfRangeIsRefused) {
  const auto refused = [](const SocketKey& one, const ListenOptions& options) {
    PayloadWriter out;
    out.key(one).options(options);
    PayloadReader in(out.bytes());
    in.key();
    in.options();
    return !in.ok();
  };
  EXPECT_FALSE(refused(key("a", "127.0.0.1:1"), {}));
  EXPECT_TRUE(refused(key(std::string(256, 'a'), "127.0.0.1:1"), {}));
  EXPECT_TRUE(refused(key("a", "127.0.0.1:1", 1024), {}));
  EXPECT_TRUE(refused(key("a", "127.0.0.1:1"), {.bind = {.backlog = 0}}));
  EXPECT_TRUE(refused(key("a", "127.0.0.1:1"), {.bind = {.backlog = -1}}));
  EXPECT_TRUE(refused(key("a", "127.0.0.1:1"), {.bind = {.unix_mode = 04755}}));
  EXPECT_TRUE(refused(key("a", "127.0.0.1:1"), {.bind = {.receive_buffer = -1}}));
}

}  // namespace
}  // namespace headgate::control
