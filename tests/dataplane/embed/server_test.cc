// server_test.cc -- headgate::Server: routes, requests, answers, limits, listeners, stopping.
#include "dataplane/embed/server.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <thread>

#include "tests/dataplane/embed/client.h"
#include "tests/support/temp_folder.h"

namespace headgate::embed {
namespace {

using namespace std::chrono_literals;

void hello(const RequestView&, Response& response) { response.set_body("hello\n"); }

TEST(Server, AnswersOnSeveralListeners) {
  const test::TempFolder folder;
  Server server({.workers = 2});
  server.on("GET", "/hello", hello);
  ASSERT_TRUE(server.listen("unix:" + folder.at("socket"), {.unix_mode = 0600}).has_value()) << server.problem();
  const auto second = server.listen("127.0.0.1:0");
  ASSERT_TRUE(second.has_value());
  const uint16_t port = listen_and_start(server);
  EXPECT_NE(port, 0);
  EXPECT_NE(port, *second);
  for (int i = 0; i < 20; ++i) {
    std::vector<Client> clients;
    clients.emplace_back(port);
    clients.emplace_back(*second);
    clients.emplace_back(folder.at("socket"));
    for (Client& client : clients) {
      const Answer answer = client.ask("GET", "/hello");
      EXPECT_EQ(answer.status(), 200);
      EXPECT_EQ(answer.body, "hello\n");
      EXPECT_TRUE(answer.has("Content-Type: text/plain; charset=utf-8"));
      EXPECT_EQ(client.ask("GET", "/hello").body, "hello\n") << "the connection is kept";
    }
  }
  server.stop(0ms);
  EXPECT_FALSE(Client(port).connected());
  EXPECT_NE(::access(folder.at("socket").c_str(), F_OK), 0) << "the socket file is removed";
}

TEST(Server, ChoosesRoutes) {
  Server server;
  const auto says = [](const char* text) { return [text](const RequestView&, Response& response) { response.set_body(text); }; };
  server.on("GET", "/a", says("exact"));
  server.on("POST", "/a", says("posted"));
  server.on("/a/*", says("below"));
  server.on("/a/b/*", says("below b"));
  server.on("GET", "/users/{id}", [](const RequestView& request, Response& response) {
    response.set_body("user " + std::string(request.parameter("id")) + std::string(request.parameter("other")));
  });
  server.on("GET", "/users/{id}/files/{name}/*", [](const RequestView& request, Response& response) {
    response.set_body(std::string(request.parameter("id")) + ":" + std::string(request.parameter("name")));
  });
  server.on("PURGE", "/cache", says("purged"));
  server.on("GET", "/own", says("get"));
  server.on("HEAD", "/own", [](const RequestView&, Response& response) { response.set_header("X-Own", "yes"); });
  Client client(listen_and_start(server));
  struct Case {
    const char* method;
    const char* target;
    int status;
    const char* body;
  };
  const Case cases[] = {
      {"GET", "/a", 200, "exact"},
      {"GET", "/a?x=1", 200, "exact"},
      {"GET", "/b/../a", 200, "exact"},
      {"POST", "/a", 200, "posted"},
      {"DELETE", "/a", 200, "below"},
      {"GET", "/a/", 200, "below"},
      {"GET", "/a/c/d", 200, "below"},
      {"GET", "/a/b/d", 200, "below b"},
      {"GET", "/ab", 404, "404 Not Found\n"},
      {"GET", "/users/4%202", 200, "user 4 2"},
      {"GET", "/users/", 404, "404 Not Found\n"},
      {"GET", "/users/1/2", 404, "404 Not Found\n"},
      {"GET", "/users/1/files/x%2fy", 200, "1:x/y"},
      {"GET", "/users/1/files/x/y/z", 200, "1:x"},
      {"PUT", "/users/1", 405, "405 Method Not Allowed\n"},
      {"PURGE", "/cache", 200, "purged"},
      {"HEAD", "/a", 200, ""},
      {"GET", "/own", 200, "get"},
  };
  for (const Case& one : cases) {
    const Answer answer = client.ask(one.method, one.target);
    EXPECT_EQ(answer.status(), one.status) << one.method << " " << one.target;
    EXPECT_EQ(answer.body, one.body) << one.method << " " << one.target;
  }
  EXPECT_TRUE(client.ask("PUT", "/users/1").has("Allow: GET, HEAD, OPTIONS"));
  const Answer options = client.ask("OPTIONS", "/cache");
  EXPECT_EQ(options.status(), 204);
  EXPECT_TRUE(options.has("Allow: PURGE, OPTIONS"));
  EXPECT_TRUE(client.ask("OPTIONS", "*").has("Allow: GET, HEAD, POST, PURGE, OPTIONS"));
  EXPECT_TRUE(client.ask("HEAD", "/a").has("Content-Length: 5"));
  EXPECT_TRUE(client.ask("HEAD", "/own").has("X-Own: yes"));
}

TEST(Server, ShowsTheRequest) {
  Server server;
  std::string seen;
  server.on("/echo", [&seen](const RequestView& request, Response& response) {
    seen = std::string(request.method()) + "|" + std::string(request.target()) + "|" + std::string(request.path()) + "|" +
           std::string(request.query()) + "|" + std::string(request.host()) + "|" + std::string(request.client_address()) + "|" +
           std::string(request.header("x-one").value_or("none")) + "|" + std::string(request.header("X-Two").value_or("none")) +
           "|" + request.query_value("q").value_or("none") + "|" + request.query_value("z").value_or("none") + "|" +
           (request.is_secure() ? "tls" : "plain") + "|" + std::string(request.header("host").value_or("none")) + "|" + std::to_string(request.headers().size());
    response.set_body(std::string(request.body()), request.header("Content-Type").value_or(""));
  });
  Client client(listen_and_start(server));
  const std::string body = "line\0two" + std::string(100000, 'x');
  const Answer answer = client.ask("POST", "/%65cho?q=a+b%26c&y", "X-One: 1\r\nContent-Type: a/b\r\n", body);
  EXPECT_EQ(answer.status(), 200);
  EXPECT_EQ(answer.body, body);
  EXPECT_TRUE(answer.has("Content-Type: a/b"));
  EXPECT_EQ(seen, "POST|/%65cho?q=a+b%26c&y|/echo|q=a+b%26c&y|test.example|127.0.0.1|1|none|a b&c|none|plain|test.example|3");
  client.send("PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
  EXPECT_EQ(client.receive().body, "abcdefg");
  EXPECT_EQ(client.ask("POST", "/echo").body, "") << "no body";
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(client.receive("HEAD").status(), 100);
  client.send("hi");
  EXPECT_EQ(client.receive().body, "hi");
}

TEST(Server, EachBadRequestHasItsStatus) {
  Server server({.limits = {.header_bytes = 4096,
                            .header_fields = 20,
                            .target_bytes = 256,
                            .body_bytes = 1000,
                            .header_timeout = 300ms,
                            .body_timeout = 300ms}});
  server.on("/echo", [](const RequestView& request, Response& response) { response.set_body(std::string(request.body())); });
  const uint16_t port = listen_and_start(server);
  std::string fields;
  for (int i = 0; i < 30; ++i) fields += "X-" + std::to_string(i) + ": 1\r\n";
  const std::string start = "GET /echo HTTP/1.1\r\nHost: a\r\n";
  const std::string post = "POST /echo HTTP/1.1\r\nHost: a\r\n";
  const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  const std::pair<std::string, int> cases[] = {
      {"GET /echo HTTP/1.1\r\n\r\n", 400},
      {"GET /echo\r\n\r\n", 505},
      {start + "Bad Name: x\r\n\r\n", 400},
      {start + " folded\r\n\r\n", 400},
      {post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
      {post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {chunked + "zz\r\n", 400},
      {"GET /" + std::string(300, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
      {start + fields + "\r\n", 431},
      {start + "X: " + std::string(5000, 'x') + "\r\n\r\n", 431},
      {post + "Content-Length: 1001\r\n\r\n", 413},
      {chunked + "3e9\r\n" + std::string(1001, 'x') + "\r\n0\r\n\r\n", 413},
      {start + "Expect: more\r\n\r\n", 417},
      {post + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {"GET /echo HTTP/3.0\r\nHost: a\r\n\r\n", 505},
      {start, 408},
      {post + "Content-Length: 3\r\n\r\nab", 408},
  };
  for (const auto& [request, status] : cases) {
    Client client(port);
    client.send(request);
    const Answer answer = client.receive();
    EXPECT_EQ(answer.status(), status) << request.substr(0, 120);
    EXPECT_TRUE(answer.has("Connection: close")) << request.substr(0, 120);
    EXPECT_TRUE(client.at_end());
  }
  EXPECT_EQ(Client(port).ask("GET", "/echo").status(), 200);
}

TEST(Server, NobodyTakesAnUpgrade) {
  Server server;
  server.on("/hello", hello);
  const uint16_t port = listen_and_start(server);
  const std::string upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n";
  EXPECT_EQ(Client(port).ask("GET", "/hello", upgrade).status(), 501);
  EXPECT_EQ(Client(port).ask("GET", "/other", upgrade).status(), 501);
  Client tunnel(port);
  tunnel.send("CONNECT test.example:443 HTTP/1.1\r\nHost: test.example:443\r\n\r\n");
  EXPECT_EQ(tunnel.receive().status(), 501);
}

TEST(Server, AFailingHandlerIsA500) {
  Server server;
  server.on("/throws", [](const RequestView&, Response&) { throw std::runtime_error("no such row"); });
  server.on("/throws-int", [](const RequestView&, Response&) { throw 7; });
  server.on("/splits", [](const RequestView&, Response& response) { response.set_header("X", "a\r\nY: b"); });
  server.on("/frames", [](const RequestView&, Response& response) { response.set_header("Content-Length", "3"); });
  server.on("/status", [](const RequestView&, Response& response) { response.set_status(99); });
  server.on("/none", [](const RequestView&, Response& response) { response.set_status(204).set_body("x"); });
  server.on("/hello", hello);
  Client client(listen_and_start(server));
  for (const char* path : {"/throws", "/throws-int", "/splits", "/frames", "/status", "/none"}) {
    const Answer answer = client.ask("GET", path);
    EXPECT_EQ(answer.status(), 500) << path;
    EXPECT_EQ(answer.body, "500 Internal Server Error\n") << path;
    EXPECT_EQ(answer.head.find("Y: b"), std::string::npos);
  }
  EXPECT_EQ(client.ask("GET", "/hello").status(), 200) << "the connection survives";
}

TEST(Server, TheErrorHookChangesTheAnswer) {
  Server server({.limits = {.body_bytes = 10}});
  server.on("GET", "/throws", [](const RequestView&, Response&) { throw std::runtime_error("no such row"); });
  server.on_error([](const Failure& failure, const RequestView& request, Response& response) {
    if (failure.status == 501) throw std::runtime_error("in the hook");
    if (failure.status == 405) {
      response.set_header("Bad Name", "x");
      return;
    }
    response.set_body("{\"status\":" + std::to_string(failure.status) + ",\"path\":\"" + std::string(request.path()) +
                          "\",\"why\":\"" + std::string(failure.reason) + "\"}",
                      "application/json");
  });
  const uint16_t port = listen_and_start(server);
  Client client(port);
  Answer answer = client.ask("GET", "/throws");
  EXPECT_EQ(answer.status(), 500);
  EXPECT_EQ(answer.body, R"({"status":500,"path":"/throws","why":"no such row"})");
  EXPECT_TRUE(answer.has("Content-Type: application/json"));
  answer = client.ask("GET", "/nowhere");
  EXPECT_EQ(answer.status(), 404);
  EXPECT_EQ(answer.body, R"({"status":404,"path":"/nowhere","why":"no route"})");
  EXPECT_EQ(client.ask("PUT", "/throws").status(), 405) << "a hook whose answer cannot be sent";
  EXPECT_EQ(client.ask("GET", "/", "Connection: upgrade\r\nUpgrade: x\r\n").status(), 501) << "a hook that throws";
}

TEST(Server, StreamsWhatAProducerMakes) {
  Server server;
  const auto pieces = [](int count, bool fails) {
    return [count, fails, made = 0](std::string& chunk) mutable {
      if (made == count && fails) throw std::runtime_error("source broke");
      if (made == count) return false;
      chunk.assign(10000, static_cast<char>('a' + made++ % 26));
      return true;
    };
  };
  server.on("/chunked", [&](const RequestView&, Response& response) { response.set_stream(pieces(100, false), "a/b"); });
  server.on("/length", [&](const RequestView&, Response& response) { response.set_stream(pieces(100, false), "a/b", 1000000); });
  server.on("/short", [&](const RequestView&, Response& response) { response.set_stream(pieces(99, false), "a/b", 1000000); });
  server.on("/breaks", [&](const RequestView&, Response& response) { response.set_stream(pieces(3, true), "a/b"); });
  server.on("/stuck", [](const RequestView&, Response& response) { response.set_stream([](std::string&) { return true; }, ""); });
  const uint16_t port = listen_and_start(server);
  std::string expected;
  for (int i = 0; i < 100; ++i) expected.append(10000, static_cast<char>('a' + i % 26));
  Client client(port);
  for (const char* path : {"/chunked", "/length"}) {
    const Answer answer = client.ask("GET", path);
    EXPECT_TRUE(answer.whole) << path;
    EXPECT_TRUE(answer.body == expected) << path;
  }
  for (const char* path : {"/short", "/breaks", "/stuck"}) {
    Client broken(port);
    EXPECT_FALSE(broken.ask("GET", path).whole) << path;
    EXPECT_TRUE(broken.at_end()) << path;
  }
  EXPECT_EQ(client.ask("HEAD", "/length").status(), 200);
  EXPECT_EQ(client.ask("HEAD", "/chunked").status(), 200);
}

TEST(Server, SaysWhatIsWrong) {
  const auto problem_of = [](const char* method, const char* pattern) {
    Server server;
    server.on(method, pattern, hello);
    EXPECT_TRUE(server.listen("127.0.0.1:0").has_value());
    EXPECT_FALSE(server.start().has_value()) << method << " " << pattern;
    return server.problem();
  };
  for (const char* pattern : {"", "a", "/a b", "/a?x", "/a/*/b", "/{a", "/x{a}", "/{a}x", "/{a}/{a}", "/{}", "/a/../b", "/%41",
                              "/a//*", "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}", "/\xc3\xa4"}) {
    EXPECT_NE(problem_of("GET", pattern), "") << pattern;
  }
  EXPECT_NE(problem_of("GE T", "/"), "");
  EXPECT_NE(problem_of("CONNECT", "/"), "");
  Server server;
  EXPECT_FALSE(server.start().has_value());
  EXPECT_EQ(server.problem(), "listen() before start()");
  EXPECT_FALSE(server.listen("localhost").has_value());
  EXPECT_FALSE(server.listen("127.0.0.1:0", {.certificate_file = "/x.pem"}).has_value());
  EXPECT_FALSE(server.listen("127.0.0.1:0", {.certificate_file = "/nowhere/x.pem", .key_file = "/nowhere/x.key"}).has_value());
  EXPECT_NE(server.problem().find("/nowhere/x.pem"), std::string::npos);
  Server limited({.limits = {.body_bytes = 0}});
  EXPECT_TRUE(limited.listen("127.0.0.1:0").has_value());
  EXPECT_FALSE(limited.start().has_value());
}

TEST(Server, APortOrPathInUseIsAnError) {
  const test::TempFolder folder;
  Server first({.workers = 2});
  first.on("/hello", hello);
  const uint16_t port = listen_and_start(first);
  Server second({.workers = 2});
  EXPECT_FALSE(second.listen("127.0.0.1:" + std::to_string(port)).has_value());
  EXPECT_NE(second.problem().find(std::to_string(port)), std::string::npos) << second.problem();
  Server third;
  ASSERT_TRUE(third.listen("unix:" + folder.at("s")).has_value()) << third.problem();
  EXPECT_FALSE(second.listen("unix:" + folder.at("s")).has_value());
}

TEST(Server, TwoInOneProcess) {
  Server first;
  Server second({.workers = 2});
  first.on("/who", [](const RequestView&, Response& response) { response.set_body("first"); });
  second.on("/who", [](const RequestView&, Response& response) { response.set_body("second"); });
  const uint16_t first_port = listen_and_start(first);
  const uint16_t second_port = listen_and_start(second);
  EXPECT_EQ(Client(first_port).ask("GET", "/who").body, "first");
  EXPECT_EQ(Client(second_port).ask("GET", "/who").body, "second");
  first.stop(0ms);
  EXPECT_EQ(Client(second_port).ask("GET", "/who").body, "second");
}

TEST(Server, ConnectionsAreLimited) {
  Server server({.workers = 2, .limits = {.connections = 3}});
  server.on("/hello", hello);
  const uint16_t port = listen_and_start(server);
  std::vector<Client> held;
  for (int i = 0; i < 3; ++i) {
    held.emplace_back(port);
    EXPECT_EQ(held.back().ask("GET", "/hello").status(), 200);
  }
  EXPECT_EQ(Client(port).ask("GET", "/hello").status(), 0) << "the fourth is reset";
  held.clear();
  int status = 0;
  for (int i = 0; i < 200 && status != 200; ++i) {
    std::this_thread::sleep_for(10ms);
    status = Client(port).ask("GET", "/hello").status();
  }
  EXPECT_EQ(status, 200);
}

TEST(Server, ManyClientsOnSeveralWorkers) {
  Server server({.workers = 3});
  std::atomic<int> calls{0};
  server.on("/add/{n}", [&calls](const RequestView& request, Response& response) {
    calls.fetch_add(1);
    response.set_body(std::string(request.parameter("n")));
  });
  const uint16_t port = listen_and_start(server);
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([port, t, &right] {
      for (int c = 0; c < 5; ++c) {
        Client client(port);
        for (int i = 0; i < 20; ++i) {
          const std::string n = std::to_string(t * 1000 + c * 100 + i);
          if (client.ask("GET", "/add/" + n).body == n) right.fetch_add(1);
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right.load(), 400);
  EXPECT_EQ(calls.load(), 400);
}

}  // namespace
}  // namespace headgate::embed
