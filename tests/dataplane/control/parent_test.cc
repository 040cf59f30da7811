// The real parent with a small serving process (tests/support/stub): crashes, upgrades, signals, sockets.
#include "dataplane/control/parent.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/base/address.h"
#include "dataplane/base/number.h"
#include "dataplane/base/unique_fd.h"

extern char** environ;

namespace headgate::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct Answer {
  bool refused = false;
  std::string line;  // empty: the connection broke
};

Answer ask(const SocketAddress& address, const std::string& question, int wait_ms = 3000) {
  const UniqueFd fd(::socket(address.domain(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage storage{};
  const socklen_t length = address.fill(storage);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), length) != 0) return {.refused = true};
  ::send(fd.get(), question.data(), question.size(), MSG_NOSIGNAL);
  std::string line;
  for (;;) {
    pollfd entry{.fd = fd.get(), .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, wait_ms) <= 0) return {};
    std::array<char, 256> bytes{};
    const ssize_t count = ::recv(fd.get(), bytes.data(), bytes.size(), 0);
    if (count <= 0) return {};
    line.append(bytes.data(), static_cast<size_t>(count));
    if (line.ends_with('\n')) return {.line = line.substr(0, line.size() - 1)};
  }
}

template <typename Condition>
bool eventually(Condition&& condition, milliseconds limit = milliseconds(10'000)) {
  const auto until = steady_clock::now() + limit;
  while (!condition()) {
    if (steady_clock::now() > until) return false;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return true;
}

struct Who {
  pid_t pid = -1;
  std::string version;
  unsigned restarts = 0;
};

class ParentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "parentXXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    binary_ = directory_ + "/headgate-stub";
    std::filesystem::copy_file(HEADGATE_SERVING_STUB, binary_);
    set_mode("v1 ok");
  }
  void TearDown() override {
    if (pid_ > 0) {
      const Who last = who();
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
      if (last.pid > 0) ::kill(last.pid, SIGKILL);
    }
    std::filesystem::remove_all(directory_);
  }

  void set_mode(const std::string& text) {
    std::ofstream(directory_ + "/mode.new") << text;
    std::filesystem::rename(directory_ + "/mode.new", directory_ + "/mode");
  }
  void spawn(const std::string& address = "127.0.0.1:0", const std::string& workers = "1",
             std::vector<std::string> environment = {}) {
    std::vector<char*> variables;
    for (char** variable = environ; *variable != nullptr; ++variable) variables.push_back(*variable);
    for (std::string& variable : environment) variables.push_back(variable.data());
    variables.push_back(nullptr);
    std::vector<std::string> words = {binary_, directory_, address, workers};
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 2, (directory_ + "/stderr").c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                       0600);
    ASSERT_EQ(::posix_spawn(&pid_, binary_.c_str(), &actions, nullptr, argv.data(), variables.data()), 0);
    ::posix_spawn_file_actions_destroy(&actions);
  }
  void start(const std::string& address = "127.0.0.1:0", const std::string& workers = "1",
             std::vector<std::string> environment = {}) {
    spawn(address, workers, std::move(environment));
    ASSERT_TRUE(eventually([&] { return std::filesystem::exists(directory_ + "/port"); })) << log();
    uint32_t port = 0;
    std::ifstream(directory_ + "/port") >> port;
    address_ = *SocketAddress::parse(address);
    if (address_.is_ip()) address_.set_port(static_cast<uint16_t>(port));
  }
  Answer say(const std::string& question) { return ask(address_, question); }
  Who who() {
    Who answer;
    std::istringstream(ask(address_, "who", 500).line) >> answer.pid >> answer.version >> answer.restarts;
    return answer;
  }
  std::string log() {
    std::ifstream file(directory_ + "/stderr");
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  // Exit status of the parent, -1 when it does not end.
  int wait_for_end(milliseconds limit = milliseconds(10'000)) {
    int status = -1;
    if (!eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; }, limit)) return -1;
    pid_ = -1;
    return status;
  }

  std::string directory_;
  std::string binary_;
  pid_t pid_ = -1;
  SocketAddress address_;
};

// Asks "who" in a loop; nobody may ever be refused.
class Visitor {
 public:
  explicit Visitor(SocketAddress address)
      : thread_([this, address = std::move(address)] {
          while (!stop_.load()) {
            const Answer answer = ask(address, "who");
            ++asked_;
            if (answer.refused) ++refused_;
            if (answer.line.empty()) ++unanswered_;
          }
        }) {}
  ~Visitor() { finish(); }
  void finish() {
    stop_.store(true);
    if (thread_.joinable()) thread_.join();
  }
  std::atomic<int> asked_{0};
  std::atomic<int> refused_{0};
  std::atomic<int> unanswered_{0};

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

TEST_F(ParentTest, ServesAndStops) {
  start("127.0.0.1:0", "2");
  const Who first = who();
  EXPECT_GT(first.pid, 0);
  EXPECT_NE(first.pid, pid_);
  EXPECT_EQ(first.version, "v1");
  EXPECT_EQ(say("held").line, "2");
  ::kill(pid_, SIGTERM);
  EXPECT_EQ(wait_for_end(), 0) << log();
  EXPECT_TRUE(say("who").refused);
}

TEST_F(ParentTest, InterruptStopsToo) {
  start();
  ::kill(pid_, SIGINT);
  EXPECT_EQ(wait_for_end(), 0);
}

TEST_F(ParentTest, FirstFailureIsTheExitCode) {
  set_mode("v1 exit2");
  spawn();
  const int status = wait_for_end();
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 2);
}

TEST_F(ParentTest, NeverComesUp) {
  set_mode("v1 segv");
  spawn();
  const int status = wait_for_end();
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_NE(log().find("does not come up"), std::string::npos) << log();
  EXPECT_NE(log().find("SIGSEGV"), std::string::npos);
}

TEST_F(ParentTest, DrainedProcessEndsTheParent) {
  start();
  say("exit 0");
  EXPECT_EQ(wait_for_end(), 0);
}

TEST_F(ParentTest, KillRefusesNobody) {
  start("127.0.0.1:0", "2");
  Visitor visitor(address_);
  pid_t pid = who().pid;
  for (unsigned round = 1; round <= 5; ++round) {
    std::this_thread::sleep_for(milliseconds(50));
    ::kill(pid, SIGKILL);
    ASSERT_TRUE(eventually([&] { return who().restarts == round; })) << log();
    pid = who().pid;
  }
  visitor.finish();
  EXPECT_EQ(visitor.refused_, 0) << visitor.asked_;
  EXPECT_GT(visitor.asked_, 50);
  EXPECT_EQ(say("crash").line, "killed by SIGKILL");
  EXPECT_NE(log().find("reason=\"killed by SIGKILL\""), std::string::npos) << log();
}

TEST_F(ParentTest, CrashAndExitCodesAreRestarted) {
  start();
  say("segv");
  ASSERT_TRUE(eventually([&] { return who().restarts == 1; }));
  EXPECT_EQ(say("crash").line, "killed by SIGSEGV");
  say("exit 3");
  ASSERT_TRUE(eventually([&] { return who().restarts == 2; }));
  EXPECT_EQ(say("crash").line, "exited with code 3");
}

TEST_F(ParentTest, PausesDouble) {
  set_mode("v1 crash");
  start();
  const auto begin = steady_clock::now();
  // At once, 100, 200, 400 ms: the fifth start comes 700 ms after the first crash, and not much later.
  ASSERT_TRUE(eventually([&] {
    const std::string text = log();
    return text.find("restarts=5 ") != std::string::npos;
  })) << log();
  EXPECT_GE(steady_clock::now() - begin, milliseconds(650));
  EXPECT_NE(log().find("restarts=1 in_ms=0\n"), std::string::npos) << log();
  EXPECT_NE(log().find("restarts=2 in_ms=100\n"), std::string::npos) << log();
  EXPECT_NE(log().find("restarts=4 in_ms=400\n"), std::string::npos) << log();
  // While it is away, connections wait in the backlog.
  set_mode("v2 ok");
  EXPECT_EQ(ask(address_, "who").refused, false);
  ASSERT_TRUE(eventually([&] { return who().version == "v2"; })) << log();
}

TEST_F(ParentTest, StopsDuringAPause) {
  set_mode("v1 crash");
  start();
  ASSERT_TRUE(eventually([&] { return log().find("restarts=4") != std::string::npos; }));
  ::kill(pid_, SIGTERM);
  EXPECT_EQ(wait_for_end(), 0);
}

TEST_F(ParentTest, SignalsAreForwarded) {
  start();
  ::kill(pid_, SIGHUP);
  ASSERT_TRUE(eventually([&] { return say("signals").line == "1 0"; }));
  ::kill(pid_, SIGUSR1);
  ASSERT_TRUE(eventually([&] { return say("signals").line == "1 1"; }));
  EXPECT_EQ(who().restarts, 0U);
}

TEST_F(ParentTest, SecondTermThenKill) {
  set_mode("v1 ok");
  start("127.0.0.1:0", "1", {"STUB_KILL_MS=200"});
  const pid_t child = who().pid;
  ::kill(child, SIGSTOP);  // it cannot react
  ::kill(pid_, SIGTERM);
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_EQ(::waitpid(pid_, nullptr, WNOHANG), 0);
  ::kill(pid_, SIGTERM);
  const int status = wait_for_end(milliseconds(3000));
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 1);
}

TEST_F(ParentTest, OrphanedProcessEnds) {
  start();
  const pid_t child = who().pid;
  ::kill(pid_, SIGKILL);
  ASSERT_EQ(::waitpid(pid_, nullptr, 0), pid_);
  pid_ = -1;
  EXPECT_TRUE(eventually([&] { return ::kill(child, 0) != 0 && errno == ESRCH; }));
}

TEST_F(ParentTest, ReleasedListenerIsClosed) {
  start();
  const std::string port = say("acquire extra 127.0.0.1:0").line;
  SocketAddress extra = address_;
  extra.set_port(*parse_decimal<uint16_t>(port));
  EXPECT_EQ(ask(extra, "held").line, "2");
  EXPECT_EQ(ask(address_, "release extra 127.0.0.1:0").line, "released");
  EXPECT_TRUE(eventually([&] { return ask(extra, "who").refused; }));
  EXPECT_EQ(say("held").line, "1");
}

TEST_F(ParentTest, SocketsNobodyAsksForAreClosedAfterARestart) {
  start();
  const std::string port = say("acquire extra 127.0.0.1:0").line;
  SocketAddress extra = address_;
  extra.set_port(*parse_decimal<uint16_t>(port));
  EXPECT_EQ(ask(extra, "held").line, "2");
  say("segv");
  ASSERT_TRUE(eventually([&] { return who().restarts == 1; }));
  EXPECT_TRUE(eventually([&] { return ask(extra, "who").refused; }));
}

TEST_F(ParentTest, AddressInUseIsReported) {
  start();
  const UniqueFd taken(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  ASSERT_EQ(::bind(taken.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(::listen(taken.get(), 1), 0);
  ::getsockname(taken.get(), reinterpret_cast<sockaddr*>(&address), &length);
  EXPECT_EQ(say("acquire other 127.0.0.1:" + std::to_string(ntohs(address.sin_port))).line, "refused");
  EXPECT_NE(log().find("stub: system: bind: Address already in use"), std::string::npos) << log();
  EXPECT_EQ(who().restarts, 0U);
}

TEST_F(ParentTest, UnixSocketSurvivesACrashAndIsRemovedAtTheEnd) {
  const std::string path = directory_ + "/web.sock";
  start("unix:" + path, "2");
  EXPECT_EQ(who().version, "v1");
  say("segv");
  ASSERT_TRUE(eventually([&] { return who().restarts == 1; })) << log();
  EXPECT_EQ(say("held").line, "1");
  ::kill(pid_, SIGTERM);
  EXPECT_EQ(wait_for_end(), 0);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(ParentTest, LastGoodSurvivesCrashAndUpgrade) {
  start();
  EXPECT_EQ(say("lastgood").line, "");
  EXPECT_EQ(say("keep configuration-one").line, "kept");
  say("segv");
  ASSERT_TRUE(eventually([&] { return who().restarts == 1; }));
  EXPECT_EQ(say("lastgood").line, "configuration-one");
  const pid_t before = who().pid;
  EXPECT_EQ(say("upgrade").line, "ok") << log();
  ASSERT_TRUE(eventually([&] { return who().pid != before && who().pid > 0; }));
  EXPECT_EQ(say("lastgood").line, "configuration-one");
}

TEST_F(ParentTest, UpgradeUnderLoadLosesNothing) {
  start("127.0.0.1:0", "2");
  const pid_t parent = pid_;
  Visitor visitor(address_);
  for (int round = 2; round <= 6; ++round) {
    const Who before = who();
    const std::string version = "v" + std::to_string(round);
    set_mode(version + " ok");
    // As a package does it: the new file takes the old one's name.
    std::filesystem::copy_file(HEADGATE_SERVING_STUB, binary_ + ".new");
    std::filesystem::rename(binary_ + ".new", binary_);
    if (round % 2 == 0) {
      ::kill(parent, SIGUSR2);
    } else {
      ASSERT_EQ(say("upgrade").line, "ok") << log();
    }
    ASSERT_TRUE(eventually([&] { return who().version == version && ::kill(before.pid, 0) != 0; })) << log();
    // The parent went over to the new file as well, with its pid.
    std::array<char, 512> target{};
    ASSERT_TRUE(eventually([&] {
      const ssize_t length = ::readlink(("/proc/" + std::to_string(parent) + "/exe").c_str(), target.data(), 511);
      return std::string(target.data(), static_cast<size_t>(std::max<ssize_t>(length, 0))) == binary_;
    })) << target.data();
  }
  visitor.finish();
  EXPECT_EQ(visitor.refused_, 0);
  EXPECT_EQ(visitor.unanswered_, 0) << "of " << visitor.asked_;
  // A crash after upgrades is still handled, and so are signals.
  say("segv");
  ASSERT_TRUE(eventually([&] { return who().restarts == 1; })) << log();
  EXPECT_EQ(who().version, "v6");
  ::kill(pid_, SIGTERM);
  EXPECT_EQ(wait_for_end(), 0) << log();
}

TEST_F(ParentTest, UpgradeThatFailsChangesNothing) {
  start("127.0.0.1:0", "1", {"STUB_READY_MS=300"});
  const pid_t before = who().pid;
  Visitor visitor(address_);
  set_mode("v2 exit4");
  EXPECT_EQ(say("upgrade").line, "the new binary exited with code 4");
  set_mode("v2 segv");
  EXPECT_EQ(say("upgrade").line, "the new binary killed by SIGSEGV");
  set_mode("v2 hang");
  EXPECT_EQ(say("upgrade").line, "the new binary was not ready within 300 ms");
  set_mode("v2 ok");
  std::ofstream(binary_ + ".new") << "not a program";
  ::chmod((binary_ + ".new").c_str(), 0755);
  std::filesystem::rename(binary_ + ".new", binary_);
  EXPECT_EQ(say("upgrade").line, "the new binary could not be executed");
  std::filesystem::remove(binary_);
  EXPECT_EQ(say("upgrade").line, "cannot execute " + binary_ + ": No such file or directory");
  visitor.finish();
  EXPECT_EQ(visitor.refused_ + visitor.unanswered_, 0);
  const Who after = who();
  EXPECT_EQ(after.pid, before);
  EXPECT_EQ(after.version, "v1");
  // Crash recovery needs no binary on disk.
  say("segv");
  ASSERT_TRUE(eventually([&] { return who().restarts == 1; })) << log();
}

TEST_F(ParentTest, WorksWithoutStandardDescriptors) {
  // `exec` closes all three: no listening socket may become descriptor 0 to 2.
  const std::string command = "exec " + binary_ + " " + directory_ + " 127.0.0.1:0 1 <&- >&- 2>&-";
  std::array<std::string, 3> words = {"/bin/sh", "-c", command};
  std::array<char*, 4> argv = {words[0].data(), words[1].data(), words[2].data(), nullptr};
  ASSERT_EQ(::posix_spawn(&pid_, "/bin/sh", nullptr, nullptr, argv.data(), environ), 0);
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(directory_ + "/port"); }));
  uint32_t port = 0;
  std::ifstream(directory_ + "/port") >> port;
  address_ = SocketAddress::ip(IpAddress::v4(INADDR_LOOPBACK), static_cast<uint16_t>(port));
  say("segv");
  ASSERT_TRUE(eventually([&] { return who().restarts == 1; }));
  for (const char* number : {"0", "1", "2"}) {
    const auto target = std::filesystem::read_symlink("/proc/" + std::to_string(pid_) + "/fd/" + number);
    EXPECT_EQ(target, "/dev/null");
  }
}

TEST_F(ParentTest, WithoutAParent) {
  start("127.0.0.1:0", "2", {"STUB_NO_PARENT=1"});
  EXPECT_EQ(who().pid, pid_);
  EXPECT_NE(say("upgrade").line.find("-no-parent"), std::string::npos);
  ::kill(pid_, SIGTERM);
  EXPECT_EQ(wait_for_end(), 0);
}

// Sanitizers multiply memory; the figure is for the program as it ships.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_F(ParentTest, ParentIsThin) {
  start("127.0.0.1:0", "4");
  const auto pss_kib = [&] {
    std::ifstream file("/proc/" + std::to_string(pid_) + "/smaps_rollup");
    std::string line;
    while (std::getline(file, line)) {
      if (!line.starts_with("Pss:")) continue;
      std::istringstream words(line.substr(4));
      unsigned value = 0;
      words >> value;
      return value;
    }
    return 0U;
  };
  const unsigned forked = pss_kib();
  EXPECT_GT(forked, 0U);
  EXPECT_LT(forked, 1536U);
  const pid_t before = who().pid;
  EXPECT_EQ(say("upgrade").line, "ok");
  ASSERT_TRUE(eventually([&] { return ::kill(before, 0) != 0; }));
  const unsigned executed = pss_kib();
  EXPECT_LT(executed, 1536U);
  std::printf("parent: %u KiB after fork, %u KiB after an upgrade (Pss)\n", forked, executed);
  const std::filesystem::path tasks = "/proc/" + std::to_string(pid_) + "/task";
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(tasks), std::filesystem::directory_iterator()), 1);
}
#endif

}  // namespace
}  // namespace headgate::control
