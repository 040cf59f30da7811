// The commands against a scripted admin listener on a Unix socket, and against files.
#include "dataplane/cli/commands.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "dataplane/base/unique_fd.h"
#include "dataplane/cli/admin_client.h"
#include "dataplane/control/admin.h"
#include "dataplane/control/admin_reply.h"
#include "dataplane/net/socket.h"

namespace headgate::cli {
namespace {

using control::Command;
using control::Options;

struct Ran {
  int code = -1;
  std::string out;
  std::string err;
};

Ran run(const Options& options) {
  Ran ran;
  std::array<char*, 2> text{};
  std::array<size_t, 2> size{};
  std::FILE* out = ::open_memstream(&text[0], &size[0]);
  std::FILE* err = ::open_memstream(&text[1], &size[1]);
  ran.code = run_command(options, {out, err});
  std::fclose(out);
  std::fclose(err);
  ran.out.assign(text[0], size[0]);
  ran.err.assign(text[1], size[1]);
  std::free(text[0]);
  std::free(text[1]);
  return ran;
}

class CommandsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "cliXXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    socket_ = directory_ + "/admin.sock";
  }
  void TearDown() override {
    if (thread_.joinable()) thread_.join();
    std::filesystem::remove_all(directory_);
  }
  // Answers one connection with these bytes and remembers what it was asked.
  void answer_once(const std::string& bytes) {
    auto fd = net::bind_socket(*SocketAddress::unix_path(socket_), {});
    ASSERT_TRUE(fd);
    thread_ = std::thread([this, bytes, listener = std::move(*fd)] {
      pollfd entry{.fd = listener.get(), .events = POLLIN, .revents = 0};
      ASSERT_EQ(::poll(&entry, 1, 10'000), 1);
      const UniqueFd client(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      std::array<char, 1024> piece{};
      while (asked_.find("\r\n\r\n") == std::string::npos) {
        const ssize_t count = ::recv(client.get(), piece.data(), piece.size(), 0);
        if (count <= 0) return;
        asked_.append(piece.data(), static_cast<size_t>(count));
      }
      // In two pieces, as a network may.
      ::send(client.get(), bytes.data(), bytes.size() / 2, MSG_NOSIGNAL);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      ::send(client.get(), bytes.data() + bytes.size() / 2, bytes.size() - bytes.size() / 2, MSG_NOSIGNAL);
    });
  }
  static std::string with_head(int status, const std::string& body) {
    return "HTTP/1.1 " + std::to_string(status) + " Text\r\nContent-Type: application/json\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  Options with(Command command) {
    Options options;
    options.command = command;
    options.admin = "unix://" + socket_;
    return options;
  }
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ + "/" + name) << text;
    return directory_ + "/" + name;
  }

  std::string directory_;
  std::string socket_;
  std::string asked_;
  std::thread thread_;
};

TEST_F(CommandsTest, ReloadSucceeds) {
  answer_once(with_head(200, control::outcome_json({.ok = true, .message = "2 workers run the new file"})));
  const Ran ran = run(with(Command::kReload));
  thread_.join();
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out, "2 workers run the new file\n");
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(asked_, "POST /reload HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
}

TEST_F(CommandsTest, ReloadFailsWithPlaces) {
  answer_once(with_head(409, control::outcome_json({.ok = false,
                                                    .message = "the old configuration stays",
                                                    .problems = {{"site.json", 3, 7, "$.listen[0]", "unknown \"x\""},
                                                                 {"site.json", 0, 0, "", "as a whole"},
                                                                 {"", 0, 0, "$.a", "no file"}}})));
  const Ran ran = run(with(Command::kReload));
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err,
            "site.json:3:7: $.listen[0]: unknown \"x\"\nsite.json: as a whole\n$.a: no file\n"
            "the old configuration stays\n");
}

TEST_F(CommandsTest, EachActionHasItsPath) {
  const std::array<std::pair<Command, const char*>, 3> actions = {
      {{Command::kDrain, "POST /drain "}, {Command::kReopen, "POST /reopen "}, {Command::kUpgrade, "POST /upgrade "}}};
  for (const auto& [command, begin] : actions) {
    asked_.clear();
    answer_once(with_head(200, control::outcome_json({.ok = true})));
    EXPECT_EQ(run(with(command)).code, 0);
    thread_.join();
    EXPECT_TRUE(asked_.starts_with(begin)) << asked_;
  }
}

TEST_F(CommandsTest, HealthCheckIsForProbes) {
  answer_once(with_head(200, "ready\n"));
  Ran ran = run(with(Command::kHealthCheck));
  thread_.join();
  EXPECT_EQ(ran.code, 0);
  EXPECT_TRUE(asked_.starts_with("GET /readyz ")) << asked_;
  asked_.clear();
  answer_once(with_head(503, "draining\n"));
  ran = run(with(Command::kHealthCheck));
  thread_.join();
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.err, "headgate: not ready: draining\n");
  EXPECT_EQ(run(with(Command::kHealthCheck)).code, 1) << "nobody listens";
}

TEST_F(CommandsTest, NobodyListens) {
  const Ran ran = run(with(Command::kStatus));
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("no process listens here"), std::string::npos) << ran.err;
}

TEST_F(CommandsTest, BadAdminAddress) {
  Options options = with(Command::kStatus);
  options.admin = "http://192.0.2.1:80";
  const Ran ran = run(options);
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("loopback"), std::string::npos);
  options.admin = "off";
  EXPECT_EQ(run(options).code, 2);
}

TEST_F(CommandsTest, BrokenAnswers) {
  for (const std::string& bytes :
       {std::string("x"), std::string("HTTP/1.1 200 OK\r\n"), std::string("HTTP/1.1 2x0 OK\r\n\r\n{}"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}"), with_head(200, "not json"), with_head(200, "[]"),
        with_head(200, "{}"), with_head(403, "not from a web page\n"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")}) {
    for (const Command command : {Command::kStatus, Command::kReload}) {
      answer_once(bytes);
      const Ran ran = run(with(command));
      thread_.join();
      EXPECT_EQ(ran.code, 1) << bytes;
      EXPECT_NE(ran.err, "") << bytes;
      EXPECT_EQ(ran.out, "");
    }
  }
}

TEST_F(CommandsTest, AdminOfTheFile) {
  answer_once(with_head(200, control::outcome_json({.ok = true, .message = "found"})));
  Options options = with(Command::kReload);
  options.admin.clear();
  options.config = write("site.json", "{\"listen\": [\"http://127.0.0.1:8080\"], \"admin\": \"unix://" + socket_ +
                                          "\", \"dispatch\": [{\"listener\": \"http://127.0.0.1:8080\", "
                                          "\"handler\": \"respond\", \"status\": 200}]}");
  const Ran ran = run(options);
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "found\n");
}

TEST_F(CommandsTest, ExplainByAFile) {
  Options options;
  options.command = Command::kExplain;
  options.config = write("site.json",
                         "{\"listen\": [{\"name\": \"web\", \"uri\": \"http://127.0.0.1:8080\"}],\n"
                         " \"dispatch\": [{\"listener\": \"web\", \"handler\": \"respond\", \"path\": \"/a/**\", \"status\": 204}]}\n");
  options.explain.url = "http://localhost:8080/a/b";
  Ran ran = run(options);
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("listener    web at 127.0.0.1:8080\n"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("action      respond 204\n"), std::string::npos) << ran.out;
  options.explain.url = "http://localhost:8080/b";
  ran = run(options);
  EXPECT_EQ(ran.code, 0);
  EXPECT_NE(ran.out.find("answer 404\n"), std::string::npos) << ran.out;
  options.explain.url = "ftp://localhost/";
  ran = run(options);
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("expected http://"), std::string::npos) << ran.err;
  options.config = directory_ + "/missing.json";
  EXPECT_EQ(run(options).code, 1);
}

TEST_F(CommandsTest, ExplainByAProcess) {
  answer_once(with_head(200, "route       found\n"));
  Options options = with(Command::kExplain);
  options.explain.url = "http://shop.example/a?b=c";
  options.explain.headers = {"X-Version: 2"};
  Ran ran = run(options);
  thread_.join();
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "route       found\n");
  EXPECT_TRUE(asked_.starts_with("GET /explain?url=http%3A%2F%2Fshop.example%2Fa%3Fb%3Dc&method=GET&client=127.0.0.1"
                                 "&header=X-Version%3A%202 HTTP/1.0\r\n"))
      << asked_;
  asked_.clear();
  answer_once(with_head(400, "the URL names no host\n"));
  ran = run(options);
  thread_.join();
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.err, "headgate: the URL names no host\n");
}

TEST_F(CommandsTest, CheckAndPrint) {
  Options options;
  options.command = Command::kCheck;
  options.file = write("good.json",
                       "{\"listen\": [{\"name\": \"web\", \"uri\": \"http://127.0.0.1:8080\"}],\n"
                       " \"dispatch\": [{\"listener\": \"web\", \"handler\": \"respond\", \"status\": 204}]}\n");
  Ran ran = run(options);
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, options.file + ": ok\n");

  options.command = Command::kPrint;
  const Ran printed = run(options);
  EXPECT_EQ(printed.code, 0) << printed.err;
  // What it prints is accepted and prints the same.
  options.file = write("printed.json", printed.out);
  EXPECT_EQ(run(options).out, printed.out);
  options.resources = true;
  ran = run(options);
  EXPECT_EQ(ran.code, 0);
  EXPECT_NE(ran.out.find("listener"), std::string::npos);
  EXPECT_NE(ran.out, printed.out);

  options.command = Command::kCheck;
  options.resources = false;
  options.file = write("bad.json", "{\"listen\": [\"htp://:8080\"],\n \"nonsense\": 1}\n");
  ran = run(options);
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.out, "");
  EXPECT_NE(ran.err.find("bad.json:1:13: "), std::string::npos) << ran.err;  // all problems, each with its place
  EXPECT_NE(ran.err.find("bad.json:2:2: "), std::string::npos) << ran.err;
  options.command = Command::kPrint;
  EXPECT_EQ(run(options).code, 1);
  options.file = directory_ + "/missing.json";
  ran = run(options);
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("missing.json"), std::string::npos);
}

TEST_F(CommandsTest, FullDiskIsNoSuccess) {
  std::FILE* full = std::fopen("/dev/full", "w");
  if (full == nullptr) GTEST_SKIP() << "no /dev/full";
  Options options;
  options.command = Command::kPrint;
  options.file = write("good.json", "{\"listen\": [\"http://127.0.0.1:8080\"], \"dispatch\": [{\"listener\": "
                                    "\"http://127.0.0.1:8080\", \"handler\": \"respond\", \"status\": 200}]}");
  EXPECT_EQ(run_command(options, {full, stderr}), 1);
  std::fclose(full);
}

TEST(Commands, HelpAndVersion) {
  Options options;
  options.command = Command::kHelp;
  EXPECT_EQ(run(options).out, control::help_text());
  options.command = Command::kVersion;
  EXPECT_EQ(run(options).out, "headgate " HEADGATE_VERSION "\n");
  options.command = Command::kServe;
  EXPECT_EQ(run(options).code, 2);
}

// What admin.cc writes is what the command line reads.
class FixedBackend final : public control::AdminBackend {
 public:
  std::vector<control::Heartbeat> heartbeats() override { return {}; }
  std::string not_ready_reason() override { return ""; }
  std::vector<const Counters*> counters() override { return {&counters_}; }
  std::vector<control::MetricSample> samples() override { return {}; }
  std::string config_text() override { return "{}"; }
  control::AdminStats stats() override { return fixed; }
  control::AdminAnswer explain(const explain::Question&) override { return {}; }
  void reload(control::ActionDone done) override { done({.ok = true}); }
  void drain(control::ActionDone done) override { done({.ok = true}); }
  void reopen(control::ActionDone done) override { done({.ok = true}); }
  void upgrade(control::ActionDone done) override { done({.ok = true}); }
  Counters counters_;
  control::AdminStats fixed;
};

TEST(Status, TableOfARealAnswer) {
  FixedBackend backend;
  backend.counters_.add(Counter::kConnectionsAccepted, 7);
  backend.counters_.add(Counter::kRequests, 20);
  backend.counters_.add(Counter::kResponses2xx, 18);
  backend.counters_.add(Counter::kResponses4xx, 2);
  backend.fixed = {.state = "serving",
                   .uptime_s = 93'784.5,
                   .workers = 2,
                   .restarts = 1,
                   .config = "/etc/site.json",
                   .config_time_s = 1'785'585'600,
                   .listeners = 3,
                   .upstreams = {{"app", {{"127.0.0.1:8001", true, ""}, {"127.0.0.1:8002", false, "refused\x1b[31m"}}},
                                 {"empty", {}}}};
  control::Admin admin(backend);
  std::string body;
  admin.handle({.method = "GET", .path = "/stats", .over_unix_socket = true},
               [&](control::AdminAnswer answer) { body = answer.body; });
  const auto reply = control::read_stats(body);
  ASSERT_TRUE(reply) << body;
  const std::string table = status_table(*reply);
  EXPECT_EQ(table, "headgate     " HEADGATE_VERSION ", serving for 1d 2h, pid " + std::to_string(::getpid()) +
                       "\n"
                       "workers      2 (restarted after a crash: 1)\n"
                       "config       /etc/site.json, applied 2026-08-01 12:00:00 UTC\n"
                       "listeners    3\n"
                       "connections  0 open, 7 accepted, 0 refused\n"
                       "requests     0 active, 20 received\n"
                       "responses    18 2xx, 0 3xx, 2 4xx, 0 5xx\n"
                       "\n"
                       "UPSTREAM  ENDPOINT        HEALTH\n"
                       "app       127.0.0.1:8001  up\n"
                       "          127.0.0.1:8002  down: refused?[31m\n"
                       "empty     -               no endpoint\n");
}

TEST(Outcome, ReadsBack) {
  const control::ActionOutcome written{
      .ok = false, .message = "a \"b\"\n", .problems = {{"f", 1, 2, "$.x", "m"}, {"", 0, 0, "", ""}}};
  const auto read = control::read_outcome(control::outcome_json(written));
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->ok);
  EXPECT_EQ(read->message, written.message);
  ASSERT_EQ(read->problems.size(), 2U);
  EXPECT_EQ(read->problems[0].column, 2U);
  EXPECT_EQ(read->problems[0].path, "$.x");
  for (const char* bad : {"", "{", "[]", "{}", "null", "{\"ok\":true} x"}) EXPECT_FALSE(control::read_outcome(bad)) << bad;
}

}  // namespace
}  // namespace headgate::cli
