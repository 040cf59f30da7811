#include "dataplane/control/options.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace headgate::control {
namespace {

ParsedOptions parse(std::vector<const char*> words, const Environment& environment = {}) {
  return parse_options(words, environment);
}

// Every form of the command line that users of such servers have, word for word.
TEST(Options, KnownCommandLines) {
  auto parsed = parse({"http://:8080"});
  EXPECT_TRUE(parsed.problems.empty());
  EXPECT_EQ(parsed.options.listen, std::vector<std::string>{"http://:8080"});
  EXPECT_EQ(config_path(parsed.options), "");

  parsed = parse({"https://:443", "http://:80", "-cert", "a.pem", "-key", "a.key"});
  EXPECT_TRUE(parsed.problems.empty());
  EXPECT_EQ(parsed.options.listen.size(), 2U);
  EXPECT_EQ(parsed.options.cert, "a.pem");
  EXPECT_EQ(parsed.options.key, "a.key");

  parsed = parse({"tcp://:3307", "-to", "db.lan:3306"});
  EXPECT_TRUE(parsed.problems.empty());
  EXPECT_EQ(parsed.options.targets, std::vector<std::string>{"db.lan:3306"});

  parsed = parse({"unix:///tmp/app.sock", "--to=http://127.0.0.1:8000"});
  EXPECT_TRUE(parsed.problems.empty());
  EXPECT_EQ(parsed.options.targets, std::vector<std::string>{"http://127.0.0.1:8000"});

  parsed = parse({"http://:1", "-to", "a:1", "-to=b:1"});
  EXPECT_EQ(parsed.options.targets, (std::vector<std::string>{"a:1", "b:1"}));

  parsed = parse({"http://192.0.2.10:8080", "-c", "4096"});
  EXPECT_TRUE(parsed.problems.empty());
  EXPECT_EQ(parsed.options.backlog, 4096U);

  parsed = parse({"-config", "site.json", "-workers=3", "--log-level", "debug", "-no-parent", "-user", "www:www",
                  "-admin", "off"});
  EXPECT_TRUE(parsed.problems.empty());
  EXPECT_EQ(config_path(parsed.options), "site.json");
  EXPECT_EQ(parsed.options.workers, 3U);
  EXPECT_EQ(parsed.options.log_level, LogLevel::kDebug);
  EXPECT_TRUE(parsed.options.no_parent);
  EXPECT_EQ(parsed.options.user, "www:www");
  EXPECT_EQ(parsed.options.admin, "off");

  parsed = parse({"http://:80", "-drain-seconds", "0"});
  EXPECT_TRUE(parsed.problems.empty());
  EXPECT_EQ(parsed.options.drain_seconds, 0U);

  parsed = parse({});
  EXPECT_TRUE(parsed.problems.empty());
  EXPECT_EQ(config_path(parsed.options), "config.json");
}

TEST(Options, Commands) {
  EXPECT_EQ(parse({"check", "a.json"}).options.file, "a.json");
  EXPECT_EQ(parse({"check", "a.json"}).options.command, Command::kCheck);
  const auto print = parse({"print", "--resources", "a.json"});
  EXPECT_TRUE(print.problems.empty());
  EXPECT_TRUE(print.options.resources);
  EXPECT_EQ(print.options.command, Command::kPrint);
  EXPECT_EQ(parse({"print", "check"}).options.file, "check");
  EXPECT_EQ(parse({"status"}).options.command, Command::kStatus);
  EXPECT_EQ(parse({"reload", "-admin", "unix:///x"}).options.admin, "unix:///x");
  EXPECT_EQ(parse({"-admin", "unix:///x", "reload"}).options.command, Command::kReload);
  EXPECT_EQ(parse({"drain"}).options.command, Command::kDrain);
  EXPECT_EQ(parse({"reopen"}).options.command, Command::kReopen);
  EXPECT_EQ(parse({"upgrade"}).options.command, Command::kUpgrade);
  EXPECT_EQ(parse({"healthcheck", "-admin", "unix:///x"}).options.command, Command::kHealthCheck);
  for (const char* help : {"-help", "--help", "-h"}) EXPECT_EQ(parse({help}).options.command, Command::kHelp);
  EXPECT_EQ(parse({"check", "--help"}).options.command, Command::kHelp);
  EXPECT_TRUE(parse({"check", "--help"}).problems.empty());
  EXPECT_EQ(parse({"--version"}).options.command, Command::kVersion);
}

struct BadLine {
  std::vector<const char*> words;
  const char* problem;
};

TEST(Options, Problems) {
  const std::vector<BadLine> lines = {
      {{"-confg", "x"}, "unknown flag '-confg', did you mean '-config'?"},
      {{"--worker=3"}, "unknown flag '--worker', did you mean '-workers'?"},
      {{"-zzzzz"}, "unknown flag '-zzzzz', see --help"},
      {{"-x"}, "unknown flag '-x', see --help"},
      {{"statos"}, "unknown command 'statos', did you mean 'status'?"},
      {{"site.json"}, "'site.json' is neither a command nor a URI like http://:8080; a file is given with -config"},
      {{"http://:80", "-c", "0"}, "-c '0': expected a backlog from 1 to 1000000"},
      {{"http://:80", "-c", "x"}, "-c 'x': expected a backlog from 1 to 1000000"},
      {{"-workers", "0"}, "-workers '0': expected a number from 1 to 1024"},
      {{"-workers", "-1"}, "-workers '-1': expected a number from 1 to 1024"},
      {{"-workers"}, "flag -workers needs a value"},
      {{"-config="}, "flag -config has an empty value"},
      {{"-no-parent=yes"}, "flag -no-parent takes no value"},
      {{"-log-level", "loud"}, "-log-level 'loud': expected trace, debug, info, warn, error or off"},
      {{"-drain-seconds", "86401"}, "-drain-seconds '86401': expected a number from 0 to 86400"},
      {{"healthcheck", "-drain-seconds", "1"}, "flags and URIs of the server have no place beside a command"},
      {{"check"}, "which file? usage: headgate check FILE"},
      {{"check", "a", "b"}, "unexpected word 'b'"},
      {{"reload", "-workers", "3"}, "flags and URIs of the server have no place beside a command"},
      {{"-resources"}, "-resources belongs to print"},
      {{"http://:80", "-cert", "a"}, "-cert needs -key, and -key needs -cert"},
      {{"http://:80", "-key", "a"}, "-cert needs -key, and -key needs -cert"},
      {{"-config", "a", "http://:80"}, "give -config or URIs, not both: a file names its listeners"},
      {{"-config", "a", "-config", "b"}, "flag -config is given twice"},
      {{"-to", "x:1"}, "-to, -root, -cert and -key need a URI to listen on, like http://:8080"},
      {{"http://:80", "-to", "x:1", "-root", "y"}, "give -root or -to, not both"},
  };
  for (const BadLine& line : lines) {
    const auto parsed = parse(line.words);
    ASSERT_EQ(parsed.problems.size(), 1U) << line.problem;
    EXPECT_EQ(parsed.problems[0], line.problem);
  }
}

TEST(Options, AllProblemsAreReported) {
  EXPECT_EQ(parse({"-workers", "x", "-c", "y", "-bogus", "http://:80"}).problems.size(), 3U);
}

TEST(Options, EnvironmentYieldsToFlags) {
  const Environment environment{.workers = "7", .log_level = "warn", .config = "env.json"};
  auto parsed = parse({}, environment);
  EXPECT_EQ(parsed.options.workers, 7U);
  EXPECT_EQ(parsed.options.log_level, LogLevel::kWarn);
  EXPECT_EQ(config_path(parsed.options), "env.json");
  parsed = parse({"-workers", "2", "-config", "mine.json", "-log-level", "error"}, environment);
  EXPECT_EQ(parsed.options.workers, 2U);
  EXPECT_EQ(parsed.options.log_level, LogLevel::kError);
  EXPECT_EQ(config_path(parsed.options), "mine.json");
  EXPECT_EQ(config_path(parse({"http://:80"}, environment).options), "");
  EXPECT_TRUE(parse({}, {.workers = "", .log_level = "", .config = ""}).problems.empty());
  EXPECT_EQ(parse({}, {.workers = "many"}).problems.size(), 1U);
  EXPECT_EQ(parse({}, {.log_level = "loud"}).problems.size(), 1U);
  EXPECT_TRUE(parse({"status"}, {.workers = "many"}).problems.empty());
}

// Every flag is explained.
TEST(Options, HelpNamesEverything) {
  const std::string help = help_text();
  for (const char* word : {"-to", "-root", "-cert", "-key", "-c N", "-config", "-workers", "-admin", "-user",
                           "-no-parent", "-log-level", "--resources", "-help", "-version", "check", "print", "reload",
                           "status", "healthcheck", "drain", "-drain-seconds", "reopen", "upgrade", "HEADGATE_WORKERS", "HEADGATE_LOG_LEVEL",
                           "HEADGATE_CONFIG"}) {
    EXPECT_NE(help.find(word), std::string::npos) << word;
  }
  EXPECT_EQ(version_text(), "headgate " HEADGATE_VERSION "\n");
}

class CgroupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "cgroupXXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text << "\n";
  }
  std::string root_;
};

TEST_F(CgroupTest, Version2) {
  EXPECT_EQ(cgroup_cpu_limit(root_), std::nullopt);
  write("/proc/self/cgroup", "0::/a/b");
  write("/sys/fs/cgroup/a/b/cpu.max", "max 100000");
  EXPECT_EQ(cgroup_cpu_limit(root_), std::nullopt);
  write("/sys/fs/cgroup/a/cpu.max", "150000 100000");
  EXPECT_EQ(cgroup_cpu_limit(root_), 1.5);
  write("/sys/fs/cgroup/a/b/cpu.max", "50000 100000");
  EXPECT_EQ(cgroup_cpu_limit(root_), 0.5);
}

TEST_F(CgroupTest, Version2InAContainer) {
  write("/proc/self/cgroup", "0::/");
  write("/sys/fs/cgroup/cpu.max", "200000 100000");
  EXPECT_EQ(cgroup_cpu_limit(root_), 2.0);
}

TEST_F(CgroupTest, Version1) {
  write("/proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/docker/12\n0::/system");
  write("/sys/fs/cgroup/cpu,cpuacct/docker/12/cpu.cfs_quota_us", "-1");
  write("/sys/fs/cgroup/cpu,cpuacct/docker/12/cpu.cfs_period_us", "100000");
  EXPECT_EQ(cgroup_cpu_limit(root_), std::nullopt);
  write("/sys/fs/cgroup/cpu,cpuacct/docker/12/cpu.cfs_quota_us", "300000");
  EXPECT_EQ(cgroup_cpu_limit(root_), 3.0);
}

TEST_F(CgroupTest, NonsenseIsNoLimit) {
  write("/proc/self/cgroup", "nonsense\n::\n0::/../../etc");
  write("/sys/fs/cgroup/cpu.max", "0 0");
  EXPECT_EQ(cgroup_cpu_limit(root_), std::nullopt);
}

TEST(Options, DefaultWorkersIsSane) {
  EXPECT_GE(default_workers(), 1U);
  EXPECT_LE(default_workers(), 1024U);
}

}  // namespace
}  // namespace headgate::control
