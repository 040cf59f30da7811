// blocking_test.cc -- on_blocking(): the thread pool, Responder, clients that leave, stopping.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "dataplane/embed/server.h"
#include "tests/dataplane/embed/client.h"

namespace headgate::embed {
namespace {

using namespace std::chrono_literals;

// Opens once; everybody who waits goes on.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  [[nodiscard]] bool wait(std::chrono::seconds limit = 20s) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

template <typename Condition>
bool becomes_true(Condition&& condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

TEST(Blocking, OwnsTheRequestAndSends) {
  Server server({.workers = 2});
  server.on_blocking("POST", "/users/{id}", [](const Request& request, Responder& responder) {
    std::this_thread::sleep_for(20ms);
    Response response(201);
    response.set_body(std::string(request.parameter("id")) + "|" + std::string(request.header("x-one").value_or("")) + "|" +
                      std::string(request.query()) + "|" + std::string(request.host()) + "|" + std::string(request.body()));
    EXPECT_FALSE(responder.has_answered());
    EXPECT_TRUE(responder.send(std::move(response)));
    EXPECT_TRUE(responder.has_answered());
    EXPECT_FALSE(responder.send(Response())) << "one answer only";
    EXPECT_FALSE(responder.begin(Response()));
    EXPECT_FALSE(responder.write("x"));
    EXPECT_FALSE(responder.end());
  });
  const uint16_t port = listen_and_start(server);
  Client client(port);
  const std::string body(200000, 'b');
  for (int i = 0; i < 3; ++i) {
    const Answer answer = client.ask("POST", "/users/a%20b?x=1", "X-One: 1\r\n", body);
    EXPECT_EQ(answer.status(), 201);
    EXPECT_EQ(answer.body, "a b|1|x=1|test.example|" + body);
  }
  EXPECT_EQ(client.ask("GET", "/users/1").status(), 405);
}

TEST(Blocking, TheWorkerServesOthersMeanwhile) {
  Server server;
  Gate gate;
  Gate entered;
  server.on_blocking("/slow", [&](const Request&, Responder& responder) {
    entered.open();
    EXPECT_TRUE(gate.wait());
    responder.send(Response().set_body("slow"));
  });
  server.on("/fast", [](const RequestView&, Response& response) { response.set_body("fast"); });
  const uint16_t port = listen_and_start(server);
  Client slow(port);
  slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /fast HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(entered.wait());
  EXPECT_EQ(Client(port).ask("GET", "/fast").body, "fast");
  gate.open();
  EXPECT_EQ(slow.receive().body, "slow");
  EXPECT_EQ(slow.receive().body, "fast") << "pipelined behind it";
}

TEST(Blocking, StreamsInOrderAndInChunks) {
  Server server({.workers = 2});
  server.on_blocking("/stream", [](const Request& request, Responder& responder) {
    const bool sized = request.query() == "sized";
    EXPECT_TRUE(responder.begin(Response().set_header("X-Kind", "stream"), sized ? std::optional<uint64_t>(3000000) : std::nullopt));
    EXPECT_TRUE(responder.write(""));
    for (int i = 0; i < 300; ++i) {
      if (!responder.write(std::string(10000, static_cast<char>('a' + i % 26)))) return;
    }
    EXPECT_TRUE(responder.end());
    EXPECT_FALSE(responder.write("late"));
  });
  std::string expected;
  for (int i = 0; i < 300; ++i) expected.append(10000, static_cast<char>('a' + i % 26));
  Client client(listen_and_start(server));
  for (const char* target : {"/stream", "/stream?sized", "/stream"}) {
    const Answer answer = client.ask("GET", target);
    EXPECT_EQ(answer.status(), 200);
    EXPECT_TRUE(answer.has("X-Kind: stream"));
    EXPECT_TRUE(answer.whole);
    EXPECT_TRUE(answer.body == expected);
  }
}

TEST(Blocking, WriteWaitsForTheClient) {
  Server server;
  std::atomic<size_t> written{0};
  Gate done;
  constexpr size_t kPiece = 64 * 1024;
  constexpr size_t kTotal = 64 * 1024 * 1024;
  server.on_blocking("/big", [&](const Request&, Responder& responder) {
    responder.begin(Response());
    const std::string piece(kPiece, 'x');
    while (written < kTotal && responder.write(piece)) written += kPiece;
    responder.end();
    done.open();
  });
  Client client(listen_and_start(server));
  client.send("GET /big HTTP/1.0\r\n\r\n");
  // Nobody reads: it stops at what the kernel, the connection and the call hold.
  size_t before = 1;
  EXPECT_TRUE(becomes_true([&] {
    const size_t now = written;
    const bool still = now == before && now > 0;
    before = now;
    std::this_thread::sleep_for(200ms);
    return still;
  }));
  EXPECT_LT(before, kTotal / 2) << "write() must block";
  size_t read = 0;
  while (const size_t got = client.read_some()) read += got;
  EXPECT_TRUE(done.wait());
  EXPECT_EQ(written, kTotal);
  EXPECT_GT(read, kTotal) << "the body and its head";
}

TEST(Blocking, WriteTellsThatTheClientHasLeft) {
  Server server;
  Gate entered;
  Gate left;
  std::atomic<bool> told{false};
  server.on_blocking("/endless", [&](const Request&, Responder& responder) {
    responder.begin(Response());
    entered.open();
    const std::string piece(100000, 'x');
    for (int i = 0; i < 1000000; ++i) {
      if (responder.write(piece)) continue;
      told = true;
      break;
    }
    EXPECT_TRUE(responder.client_has_left());
    EXPECT_FALSE(responder.end());
    left.open();
  });
  const uint16_t port = listen_and_start(server);
  {
    Client client(port);
    client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_TRUE(entered.wait());
  }
  EXPECT_TRUE(left.wait());
  EXPECT_TRUE(told);
}

TEST(Blocking, AClientThatLeavesBeforeTheAnswer) {
  Server server;
  Gate entered;
  Gate left;
  server.on_blocking("/waits", [&](const Request&, Responder& responder) {
    entered.open();
    EXPECT_TRUE(becomes_true([&] { return responder.client_has_left(); }));
    EXPECT_FALSE(responder.send(Response()));
    left.open();
  });
  const uint16_t port = listen_and_start(server);
  {
    Client client(port);
    client.send("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_TRUE(entered.wait());
  }
  EXPECT_TRUE(left.wait());
}

TEST(Blocking, FailuresOfHandlers) {
  Server server;
  server.on_blocking("/throws", [](const Request&, Responder&) { throw std::runtime_error("no such row"); });
  server.on_blocking("/throws-int", [](const Request&, Responder&) { throw 7; });
  server.on_blocking("/silent", [](const Request&, Responder&) {});
  server.on_blocking("/bad", [](const Request&, Responder& responder) { responder.send(Response(99)); });
  server.on_blocking("/bad-begin", [](const Request&, Responder& responder) {
    EXPECT_FALSE(responder.begin(Response().set_body("early")));
    EXPECT_FALSE(responder.write("x"));
  });
  server.on_blocking("/throws-late", [](const Request&, Responder& responder) {
    responder.begin(Response());
    responder.write("part");
    throw std::runtime_error("late");
  });
  server.on_blocking("/forgets-the-end", [](const Request&, Responder& responder) {
    responder.begin(Response(), 8);
    responder.write("part");
  });
  server.on_blocking("/throws-after", [](const Request&, Responder& responder) {
    responder.send(Response().set_body("sent"));
    throw std::runtime_error("after the answer");
  });
  server.on_error([](const Failure& failure, const RequestView& request, Response& response) {
    response.set_body(std::string(request.path()) + ": " + std::string(failure.reason));
  });
  const uint16_t port = listen_and_start(server);
  Client client(port);
  for (const char* path : {"/throws", "/throws-int", "/silent", "/bad", "/bad-begin"}) EXPECT_EQ(client.ask("GET", path).status(), 500) << path;
  EXPECT_EQ(client.ask("GET", "/throws").body, "/throws: no such row");
  EXPECT_EQ(client.ask("GET", "/throws-after").body, "sent");
  for (const char* path : {"/throws-late", "/forgets-the-end"}) {
    Client broken(port);
    const Answer answer = broken.ask("GET", path);
    EXPECT_EQ(answer.status(), 200) << path;
    EXPECT_FALSE(answer.whole) << path << ": the client sees that something is missing";
  }
  EXPECT_EQ(client.ask("HEAD", "/throws").status(), 500);
}

TEST(Blocking, ABodyOverTheCapIs413) {
  Server server({.limits = {.body_bytes = 1000}});
  std::atomic<int> calls{0};
  server.on_blocking("/in", [&](const Request& request, Responder& responder) {
    ++calls;
    responder.send(Response().set_body(std::to_string(request.body().size())));
  });
  const uint16_t port = listen_and_start(server);
  EXPECT_EQ(Client(port).ask("POST", "/in", {}, std::string(1000, 'x')).body, "1000");
  EXPECT_EQ(Client(port).ask("POST", "/in", {}, std::string(1001, 'x')).status(), 413);
  Client chunked(port);
  chunked.send("POST /in HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1f4\r\n" + std::string(500, 'x') + "\r\n1f5\r\n" +
               std::string(501, 'x') + "\r\n0\r\n\r\n");
  EXPECT_EQ(chunked.receive().status(), 413);
  EXPECT_EQ(calls, 1);
}

TEST(Blocking, AFullQueueIs503) {
  Server server({.blocking_threads = 1, .blocking_queue = 2});
  Gate gate;
  std::atomic<int> entered{0};
  server.on_blocking("/slow", [&](const Request&, Responder& responder) {
    ++entered;
    EXPECT_TRUE(gate.wait());
    responder.send(Response().set_body("done"));
  });
  const uint16_t port = listen_and_start(server);
  const std::string request = "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n";
  Client running(port);
  running.send(request);
  ASSERT_TRUE(becomes_true([&] { return entered == 1; }));
  Client first(port);
  Client second(port);
  first.send(request);
  second.send(request);
  // Which one comes too late is not for us to say; that exactly one does is.
  Client third(port);
  std::this_thread::sleep_for(100ms);
  third.send(request);
  const Answer refused = third.receive();
  EXPECT_EQ(refused.status(), 503);
  EXPECT_TRUE(refused.has("Retry-After: 1"));
  gate.open();
  for (Client* client : {&running, &first, &second}) EXPECT_EQ(client->receive().body, "done");
}

TEST(Blocking, StopLetsRequestsFinish) {
  Server server({.workers = 2});
  Gate entered;
  server.on_blocking("/slow", [&](const Request&, Responder& responder) {
    entered.open();
    std::this_thread::sleep_for(300ms);
    responder.send(Response().set_body("done"));
  });
  const uint16_t port = listen_and_start(server);
  Client idle(port);
  Client client(port);
  client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(entered.wait());
  server.stop(20s);
  const Answer answer = client.receive();
  EXPECT_EQ(answer.body, "done");
  EXPECT_TRUE(answer.has("Connection: close"));
  EXPECT_TRUE(client.at_end());
  EXPECT_TRUE(idle.at_end());
  EXPECT_FALSE(Client(port).connected());
}

TEST(Blocking, StopCutsWhatTakesLonger) {
  Server server;
  Gate entered;
  std::atomic<bool> told{false};
  server.on_blocking("/endless", [&](const Request&, Responder& responder) {
    responder.begin(Response());
    entered.open();
    while (responder.write(std::string(100000, 'x'))) {
    }
    told = true;
  });
  Client client(listen_and_start(server));
  client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(entered.wait());
  server.stop(100ms);
  EXPECT_TRUE(told) << "its handler has returned";
}

TEST(Blocking, StopDropsWhatWaits) {
  auto server = std::make_unique<Server>(ServerOptions{.blocking_threads = 1});
  Gate gate;
  Gate entered;
  std::atomic<int> calls{0};
  server->on_blocking("/slow", [&](const Request&, Responder& responder) {
    ++calls;
    entered.open();
    EXPECT_TRUE(becomes_true([&] { return responder.client_has_left(); }));
  });
  const uint16_t port = listen_and_start(*server);
  Client running(port);
  Client waiting(port);
  running.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(entered.wait());
  waiting.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  std::this_thread::sleep_for(50ms);
  server.reset();
  EXPECT_EQ(calls, 1);
}

TEST(Blocking, ManyAtOnce) {
  Server server({.workers = 2, .blocking_threads = 4, .blocking_queue = 1000});
  server.on_blocking("/n/{n}", [](const Request& request, Responder& responder) {
    const std::string n(request.parameter("n"));
    if (n.back() % 2 == 0) {
      responder.send(Response().set_body(n));
      return;
    }
    responder.begin(Response());
    for (const char digit : n) responder.write(std::string_view(&digit, 1));
    responder.end();
  });
  const uint16_t port = listen_and_start(server);
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([port, t, &right] {
      Client client(port);
      for (int i = 0; i < 100; ++i) {
        const std::string n = std::to_string(t * 1000 + i);
        if (client.ask("GET", "/n/" + n).body == n) right.fetch_add(1);
        if (i % 10 == 9) {
          Client leaver(port);
          leaver.send("GET /n/" + n + " HTTP/1.1\r\nHost: a\r\n\r\n");
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right.load(), 400);
}

}  // namespace
}  // namespace headgate::embed
