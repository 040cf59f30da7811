#include "dataplane/base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <limits>
#include <sstream>
#include <thread>
#include <vector>

#include "dataplane/base/text.h"
#include "dataplane/base/unique_fd.h"

namespace headgate {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class LogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "logXXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    path_ = directory_ + "/error.log";
    ASSERT_TRUE(set_log_file(path_));
    set_log_format(LogFormat::kPretty);
    set_log_level(LogLevel::kInfo);
  }
  void TearDown() override {
    flush_logs();
    set_log_file("stderr");
    set_log_format(LogFormat::kPretty);
    set_log_level(LogLevel::kInfo);
  }
  static std::string read(const std::string& path) {
    const std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::string logged() {
    flush_logs();
    return read(path_);
  }
  static size_t count(const std::string& text, std::string_view what) {
    size_t found = 0;
    for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
    return found;
  }

  std::string directory_;
  std::string path_;
};

TEST_F(LogTest, PrettyLine) {
  HG_LOG(kWarn, kTls, "handshake \"failed\"\n", {"client", "192.0.2.1:40"}, {"error", "bad record"}, {"count", 3},
         {"empty", ""}, {"odd", "a\"b\\c=\n\x1b[31m"}, {"bytes", std::string("\xff\xc2\x85\xc3\xbc")});
  const std::string line = logged();
  ASSERT_GT(line.size(), 25U);
  // 2026-08-01T12:00:00.123Z
  EXPECT_EQ(line[10], 'T');
  EXPECT_EQ(line[19], '.');
  EXPECT_EQ(line[23], 'Z');
  EXPECT_EQ(line.substr(24),
            " warn  tls: handshake \"failed\"\\n client=192.0.2.1:40 error=\"bad record\" count=3 empty=\"\" "
            "odd=\"a\\\"b\\\\c=\\n\\x1b[31m\" bytes=\"\\xff\\u0085\xc3\xbc\"\n");
}

TEST_F(LogTest, JsonLine) {
  set_log_format(LogFormat::kJson);
  HG_LOG(kError, kConfig, "it \"broke\"", {"line", 12}, {"ratio", 0.5}, {"bad", std::nan("")},
         {"text", std::string("\x01\xff\xed\xa0\x80\xf0\x9f\x98\x80")});
  const std::string line = logged();
  EXPECT_EQ(line.substr(0, 9), "{\"time\":\"");
  EXPECT_EQ(line.substr(33),
            "\",\"level\":\"error\",\"subsystem\":\"config\",\"message\":\"it \\\"broke\\\"\",\"line\":12,"
            "\"ratio\":0.500000,\"bad\":\"nan\","
            "\"text\":\"\\u0001\\ufffd\\ufffd\\ufffd\\ufffd\xf0\x9f\x98\x80\"}\n");
}

TEST_F(LogTest, TimeIsNowInUtc) {
  const std::string line = format_log_line(LogFormat::kPretty, LogLevel::kInfo, Subsystem::kCore, "x");
  std::tm parsed{};
  ASSERT_NE(::strptime(line.c_str(), "%Y-%m-%dT%H:%M:%S", &parsed), nullptr);
  EXPECT_LE(std::abs(::timegm(&parsed) - ::time(nullptr)), 1);
  EXPECT_EQ(line.substr(24), " info  core: x\n");
}

TEST_F(LogTest, LevelsPerSubsystem) {
  set_log_level(LogLevel::kWarn);
  set_log_level(Subsystem::kHttp, LogLevel::kDebug);
  set_log_level(Subsystem::kDns, LogLevel::kOff);
  HG_LOG(kInfo, kCore, "core info");
  HG_LOG(kWarn, kCore, "core warn");
  HG_LOG(kTrace, kHttp, "http trace");
  HG_LOG(kDebug, kHttp, "http debug");
  HG_LOG(kError, kDns, "dns error");
  const std::string text = logged();
  EXPECT_EQ(count(text, "\n"), 2U) << text;
  EXPECT_NE(text.find("core warn"), std::string::npos);
  EXPECT_NE(text.find("http debug"), std::string::npos);
}

TEST_F(LogTest, Names) {
  for (const auto level : {LogLevel::kTrace, LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarn, LogLevel::kError,
                           LogLevel::kOff}) {
    LogLevel parsed{};
    EXPECT_TRUE(parse_level(level_name(level), parsed));
    EXPECT_EQ(parsed, level);
  }
  for (int i = 0; i < static_cast<int>(Subsystem::kCount); ++i) {
    Subsystem parsed{};
    EXPECT_TRUE(parse_subsystem(subsystem_name(static_cast<Subsystem>(i)), parsed));
    EXPECT_EQ(static_cast<int>(parsed), i);
  }
  LogLevel level{};
  Subsystem subsystem{};
  EXPECT_FALSE(parse_level("loud", level));
  EXPECT_FALSE(parse_level("", level));
  EXPECT_FALSE(parse_subsystem("kernel", subsystem));
}

TEST_F(LogTest, RateLimitPerSiteThenOneLineSaysHowMany) {
  for (int i = 0; i < 200; ++i) HG_LOG(kInfo, kNet, "flood");
  HG_LOG(kInfo, kNet, "other site");
  const std::string first = logged();
  // The second may have turned over in between: at most two windows.
  EXPECT_GE(count(first, "net: flood\n"), 10U);
  EXPECT_LE(count(first, "net: flood\n"), 20U);
  EXPECT_EQ(count(first, "other site"), 1U);
  // Nobody logs here any more, and yet the line comes.
  const auto until = steady_clock::now() + milliseconds(3000);
  std::string text;
  while (steady_clock::now() < until) {
    text = logged();
    if (text.find("left_out=") != std::string::npos) break;
    std::this_thread::sleep_for(milliseconds(20));
  }
  const size_t at = text.find("flood left_out=");
  ASSERT_NE(at, std::string::npos) << text;
  const size_t written = count(text, "net: flood\n");
  EXPECT_EQ(text.substr(at, text.find('\n', at) - at), "flood left_out=" + std::to_string(200 - written));
}

TEST_F(LogTest, LongAndManyFieldsAreCut) {
  const std::string huge(200'000, 'x');
  HG_LOG(kInfo, kCore, "long", {"a", huge}, {"b", huge}, {"c", huge}, {"d", huge}, {"e", huge}, {"f", huge});
  EXPECT_LT(logged().size(), 24'000U);
}

TEST_F(LogTest, SinkIsSharedAndReopened) {
  const std::string path = directory_ + "/access.log";
  LogSink* sink = open_log_sink(path);
  ASSERT_NE(sink, nullptr);
  EXPECT_EQ(open_log_sink(path), sink);
  sink->write("one");
  flush_logs();
  ASSERT_EQ(::rename(path.c_str(), (path + ".1").c_str()), 0);
  sink->write("two");
  flush_logs();
  EXPECT_EQ(read(path + ".1"), "one\ntwo\n");
  reopen_logs();
  sink->write("three");
  flush_logs();
  EXPECT_EQ(read(path), "three\n");
  EXPECT_EQ(read(path + ".1"), "one\ntwo\n");
  EXPECT_EQ(open_log_sink(directory_ + "/missing/access.log"), nullptr);
  EXPECT_FALSE(set_log_file(directory_ + "/missing/error.log"));
}

TEST_F(LogTest, ReopenThatFailsKeepsTheOldFile) {
  const std::string folder = directory_ + "/sub";
  ASSERT_EQ(::mkdir(folder.c_str(), 0700), 0);
  LogSink* sink = open_log_sink(folder + "/access.log");
  ASSERT_NE(sink, nullptr);
  ASSERT_EQ(::rename(folder.c_str(), (folder + "2").c_str()), 0);
  reopen_logs();
  sink->write("still here");
  flush_logs();
  EXPECT_EQ(read(folder + "2/access.log"), "still here\n");
  EXPECT_NE(logged().find("cannot reopen"), std::string::npos);
}

TEST_F(LogTest, SinkLinesArriveWithoutFlush) {
  LogSink* sink = open_log_sink(directory_ + "/lazy.log");
  sink->write("soon");
  const auto until = steady_clock::now() + milliseconds(3000);
  while (read(directory_ + "/lazy.log").empty() && steady_clock::now() < until) {
    std::this_thread::sleep_for(milliseconds(5));
  }
  EXPECT_EQ(read(directory_ + "/lazy.log"), "soon\n");
}

TEST_F(LogTest, ManyThreadsLoseNothing) {
  LogSink* sink = open_log_sink(directory_ + "/threads.log");
  constexpr int kThreads = 4;
  constexpr int kLines = 5000;
  const uint64_t dropped = log_lines_dropped();
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kLines; ++i) sink->write(std::to_string(t) + ":" + std::to_string(i));
    });
  }
  for (auto& thread : threads) thread.join();
  flush_logs();
  ASSERT_EQ(log_lines_dropped(), dropped);
  std::ifstream file(directory_ + "/threads.log");
  std::array<int, kThreads> next{};
  std::string line;
  while (std::getline(file, line)) {
    const size_t colon = line.find(':');
    const int thread = line[0] - '0';
    EXPECT_EQ(line.substr(colon + 1), std::to_string(next.at(thread)++));
  }
  for (const int seen : next) EXPECT_EQ(seen, kLines);
}

// A pipe that nobody reads: writers never wait, other files go on, lines are dropped and counted, and what was queued
// comes out when the reader wakes up.
TEST_F(LogTest, StuckPipeBlocksNobody) {
  const std::string fifo = directory_ + "/pipe";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const UniqueFd reader(::open(fifo.c_str(), O_RDONLY | O_NONBLOCK));
  ASSERT_TRUE(reader.valid());
  LogSink* stuck = open_log_sink(fifo);
  LogSink* other = open_log_sink(directory_ + "/other.log");
  ASSERT_NE(stuck, nullptr);
  const std::string line(1000, 's');
  const uint64_t dropped = log_lines_dropped();
  const auto begin = steady_clock::now();
  for (int i = 0; i < 5000; ++i) stuck->write(line);
  other->write("goes on");
  EXPECT_LT(steady_clock::now() - begin, milliseconds(1000));
  const auto until = steady_clock::now() + milliseconds(3000);
  while (read(directory_ + "/other.log").empty() && steady_clock::now() < until) {
    std::this_thread::sleep_for(milliseconds(5));
  }
  EXPECT_EQ(read(directory_ + "/other.log"), "goes on\n");
  const uint64_t lost = log_lines_dropped() - dropped;
  EXPECT_GT(lost, 1000U);
  const auto flush_begin = steady_clock::now();
  flush_logs();
  EXPECT_LT(steady_clock::now() - flush_begin, milliseconds(2500));

  // Everything that was not counted as dropped is read, in whole lines.
  size_t got = 0;
  std::array<char, 65536> buffer{};
  const size_t expected = (5000 - lost) * (line.size() + 1);
  const auto read_until = steady_clock::now() + milliseconds(20000);
  while (got < expected && steady_clock::now() < read_until) {
    const ssize_t count = ::read(reader.get(), buffer.data(), buffer.size());
    if (count > 0) {
      got += static_cast<size_t>(count);
    } else {
      std::this_thread::sleep_for(milliseconds(2));
    }
  }
  EXPECT_EQ(got, expected);
}

TEST_F(LogTest, DiskFullIsCountedAndSurvived) {
  if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full";
  // /dev/full is a character device that always says ENOSPC.
  LogSink* full = open_log_sink("/dev/full");
  ASSERT_NE(full, nullptr);
  const uint64_t dropped = log_lines_dropped();
  for (int i = 0; i < 7; ++i) full->write("lost");
  flush_logs();
  EXPECT_EQ(log_lines_dropped() - dropped, 7U);
}

// The next line after a torn one starts on a line of its own.
TEST_F(LogTest, FileSizeLimitTearsOneLineOnly) {
  const std::string path = directory_ + "/limited.log";
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const uint64_t before = log_lines_dropped();
    LogSink* sink = open_log_sink(path);
    const rlimit limit{.rlim_cur = 10, .rlim_max = RLIM_INFINITY};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    sink->write("0123456789abcdef");
    flush_logs();
    const rlimit none{.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    ::setrlimit(RLIMIT_FSIZE, &none);
    sink->write("whole");
    flush_logs();
    ::_exit(log_lines_dropped() - before == 1 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read(path), "0123456789\nwhole\n");
}

TEST_F(LogTest, ClosedStderrAndBrokenPipe) {
  const pid_t child = ::fork();
  if (child == 0) {
    const uint64_t before = log_lines_dropped();
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) ::_exit(9);
    ::close(ends[0]);
    ::dup2(ends[1], 1);  // stdout: a pipe without a reader; SIGPIPE is not ignored here
    ::close(2);
    set_log_file("stderr");
    HG_LOG(kInfo, kCore, "nobody hears");
    flush_logs();
    const uint64_t after_closed = log_lines_dropped() - before;
    open_log_sink("stdout")->write("nobody reads");
    flush_logs();
    ::_exit(after_closed == 1 && log_lines_dropped() - before == 2 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(LogTest, ForkedChildHasItsOwnWriterAndRepeatsNothing) {
  HG_LOG(kInfo, kCore, "parent one");
  LogSink* sink = open_log_sink(directory_ + "/fork.log");
  for (int i = 0; i < 100; ++i) sink->write("parent");
  const pid_t child = ::fork();  // with lines queued, on purpose
  if (child == 0) {
    HG_LOG(kInfo, kCore, "child");
    sink->write("child");
    flush_logs();
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  HG_LOG(kInfo, kCore, "parent two");
  const std::string text = logged();
  EXPECT_EQ(count(text, "parent one"), 1U) << text;
  EXPECT_EQ(count(text, "core: child"), 1U) << text;
  EXPECT_EQ(count(text, "parent two"), 1U) << text;
  const std::string sunk = read(directory_ + "/fork.log");
  EXPECT_EQ(count(sunk, "parent\n"), 100U);
  EXPECT_EQ(count(sunk, "child\n"), 1U);
}

}  // namespace
}  // namespace headgate
