#include "dataplane/net/stream_pump.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <thread>

#include "dataplane/base/hash.h"
#include "tests/dataplane/net/loopback.h"

namespace headgate::net {
namespace {

struct End final : PumpObserver {
  void on_pump_ended(PumpEnd end) override {
    how = end;
    ++calls;
  }
  PumpEnd how = PumpEnd::kDone;
  int calls = 0;
};

// client <-> (down) pump (up) <-> server
struct Relay {
  explicit Relay(const PumpOptions& options = {}) {
    auto [c, d] = tcp_pair();
    auto [u, s] = tcp_pair();
    client = std::move(c);
    server = std::move(s);
    pump = std::make_unique<StreamPump>(worker.context, as_stream(worker.loop, std::move(d)),
                                        as_stream(worker.loop, std::move(u)), options, end);
    pump->start();
  }
  // Reads what has come through within a moment; "EOF" and "RST" stand for themselves.
  std::string read_from(const UniqueFd& fd) {
    std::string got;
    const bool came = worker.run_until([&] {
      char bytes[4096];
      const ssize_t count = ::recv(fd.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
      if (count > 0) got.append(bytes, static_cast<size_t>(count));
      if (count == 0) got = "EOF";
      if (count < 0 && errno == ECONNRESET) got = "RST";
      return !got.empty();
    });
    return came ? got : "nothing";
  }
  static void send(const UniqueFd& fd, std::string_view text) {
    ASSERT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }

  TestWorker worker;
  UniqueFd client;
  UniqueFd server;
  End end;
  std::unique_ptr<StreamPump> pump;
};

TEST(StreamPump, BothDirectionsByteByByte) {
  Relay relay;
  for (const char c : std::string("hello, world")) {
    relay.send(relay.client, std::string(1, c));
    EXPECT_EQ(relay.read_from(relay.server), std::string(1, c));
    relay.send(relay.server, std::string(1, c));
    EXPECT_EQ(relay.read_from(relay.client), std::string(1, c));
  }
  EXPECT_EQ(relay.pump->bytes_up(), 12U);
  EXPECT_EQ(relay.pump->bytes_down(), 12U);
  EXPECT_EQ(relay.worker.counters.value(Counter::kForwardBytesUp), 12U);
}

TEST(StreamPump, HalfCloseLeavesTheOtherDirectionOpen) {
  Relay relay;
  relay.send(relay.client, "question");
  ::shutdown(relay.client.get(), SHUT_WR);
  EXPECT_EQ(relay.read_from(relay.server), "question");
  EXPECT_EQ(relay.read_from(relay.server), "EOF");
  EXPECT_EQ(relay.end.calls, 0);
  relay.send(relay.server, "answer");
  EXPECT_EQ(relay.read_from(relay.client), "answer");
  ::shutdown(relay.server.get(), SHUT_WR);
  EXPECT_EQ(relay.read_from(relay.client), "EOF");
  EXPECT_EQ(relay.end.calls, 1);
  EXPECT_EQ(relay.end.how, PumpEnd::kDone);
}

TEST(StreamPump, ResetPassesThrough) {
  for (const bool from_client : {true, false}) {
    Relay relay;
    relay.send(relay.client, "x");
    EXPECT_EQ(relay.read_from(relay.server), "x");
    UniqueFd& who = from_client ? relay.client : relay.server;
    set_reset_on_close(who.get());
    who.reset();
    ASSERT_TRUE(relay.worker.run_until([&] { return relay.end.calls == 1; }));
    EXPECT_EQ(relay.end.how, PumpEnd::kReset);
    relay.pump.reset();
    EXPECT_EQ(relay.read_from(from_client ? relay.server : relay.client), "RST");
  }
}

TEST(StreamPump, IdleTimeoutLooksAtBothDirections) {
  Relay relay({.idle_timeout = std::chrono::milliseconds(200)});
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 4; ++i) {
    relay.worker.run_until([] { return false; }, 100);
    relay.send(relay.server, "y");
    EXPECT_EQ(relay.read_from(relay.client), "y");
    EXPECT_EQ(relay.end.calls, 0);
  }
  ASSERT_TRUE(relay.worker.run_until([&] { return relay.end.calls == 1; }));
  EXPECT_EQ(relay.end.how, PumpEnd::kIdle);
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(600));
}

// 100 MB through splice(2) and without it: every byte, and bounded memory while the reader sleeps.
TEST(StreamPump, BulkIsExact) {
  for (const bool splice : {true, false}) {
    Relay relay({.splice = splice});
    constexpr size_t kTotal = size_t{100} << 20;
    const auto byte_at = [](size_t at) { return static_cast<char>((at * 2654435761U) >> 13); };
    std::thread sender([&] {
      std::string block(1 << 20, '\0');
      for (size_t at = 0; at < kTotal; at += block.size()) {
        for (size_t i = 0; i < block.size(); ++i) block[i] = byte_at(at + i);
        for (size_t sent = 0; sent < block.size();) {
          const ssize_t count = ::send(relay.client.get(), block.data() + sent, block.size() - sent, MSG_NOSIGNAL);
          if (count <= 0) return;
          sent += static_cast<size_t>(count);
        }
      }
      ::shutdown(relay.client.get(), SHUT_WR);
    });
    std::atomic<size_t> received{0};
    std::atomic<size_t> wrong{0};
    std::atomic<bool> over{false};
    std::thread receiver([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));  // the pump has to wait
      std::string block(1 << 20, '\0');
      for (;;) {
        const ssize_t count = ::recv(relay.server.get(), block.data(), block.size(), 0);
        if (count <= 0) break;
        const size_t at = received;
        for (size_t i = 0; i < static_cast<size_t>(count); ++i) wrong += block[i] == byte_at(at + i) ? 0 : 1;
        received = at + static_cast<size_t>(count);
      }
      over = true;
    });
    EXPECT_TRUE(relay.worker.run_until([&] { return over.load(); }, 60000));
    EXPECT_LE(BlockPool::bytes_in_use(), size_t{1} << 20);
    sender.join();
    receiver.join();
    EXPECT_EQ(received, kTotal);
    EXPECT_EQ(wrong, 0U);
    EXPECT_EQ(relay.pump->bytes_up(), kTotal);
  }
}

TEST(StreamPump, EndsAtItsDeadline) {
  Relay relay;
  relay.send(relay.client, "x");
  EXPECT_EQ(relay.read_from(relay.server), "x");
  relay.pump->end_at(relay.worker.loop.now() + std::chrono::milliseconds(50));
  ASSERT_TRUE(relay.worker.run_until([&] { return relay.end.calls == 1; }));
  EXPECT_EQ(relay.end.how, PumpEnd::kDeadline);
  EXPECT_EQ(relay.read_from(relay.client), "EOF");
  EXPECT_EQ(relay.read_from(relay.server), "EOF");
}

}  // namespace
}  // namespace headgate::net
