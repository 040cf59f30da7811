#include "dataplane/control/file_watch.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace headgate::control {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

class FileWatchTest : public ::testing::TestWithParam<FileWatch::Mode> {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "watchXXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    file_ = directory_ / "site.json";
    write(file_, "one");
  }
  void TearDown() override { fs::remove_all(directory_); }
  static void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }
  static void replace(const fs::path& path, const std::string& text) {
    write(path.string() + "~", text);
    fs::rename(path.string() + "~", path);
  }
  // Runs the loop until a change is reported, or the time is over.
  std::vector<std::string> next_change(milliseconds limit = milliseconds(5000)) {
    const auto until = steady_clock::now() + limit;
    while (changes_.empty() && steady_clock::now() < until) loop_.run_once(milliseconds(20));
    if (changes_.empty()) return {};
    auto change = changes_.front();
    changes_.erase(changes_.begin());
    return change;
  }
  using Paths = std::vector<std::string>;
  static FilePrints prints(const Paths& paths) {
    FilePrints prints;
    for (const std::string& path : paths) prints.emplace(path, FilePrint::of(path));
    return prints;
  }

  fs::path directory_;
  fs::path file_;
  event::Loop loop_;
  std::vector<Paths> changes_;
  FileWatch watch_{loop_, [this](const Paths& paths) { changes_.push_back(paths); }, GetParam(), milliseconds(50)};
};

TEST_P(FileWatchTest, ModeAsAsked) { EXPECT_EQ(watch_.mode(), GetParam()); }

TEST_P(FileWatchTest, WriteInPlace) {
  watch_.watch(prints({file_}));
  write(file_, "longer");
  EXPECT_EQ(next_change(), Paths{file_});
}

TEST_P(FileWatchTest, RenameOver) {
  watch_.watch(prints({file_}));
  for (int round = 0; round < 3; ++round) {
    replace(file_, "two" + std::to_string(round));
    EXPECT_EQ(next_change(), Paths{file_}) << round;
  }
}

TEST_P(FileWatchTest, OtherFilesDoNotCount) {
  watch_.watch(prints({file_}));
  write(directory_ / "other", "x");
  EXPECT_EQ(next_change(milliseconds(300)), Paths{});
}

TEST_P(FileWatchTest, AppearsAndDisappears) {
  const fs::path late = directory_ / "late.json";
  watch_.watch(prints({late, file_}));
  write(late, "here");
  EXPECT_EQ(next_change(), Paths{late});
  fs::remove(late);
  EXPECT_EQ(next_change(), Paths{late});
}

// Whoever reads a file and then asks for it to be watched learns of what happened in between.
TEST_P(FileWatchTest, ChangeBeforeItIsWatched) {
  const FilePrints read = prints({file_});
  replace(file_, "another");
  watch_.watch(read);
  EXPECT_EQ(next_change(), Paths{file_});
  EXPECT_EQ(next_change(milliseconds(300)), Paths{});  // once
}

// ..data is swapped by rename, as the kubelet does it.
TEST_P(FileWatchTest, SwappedLink) {
  fs::create_directory(directory_ / "..1");
  fs::create_directory(directory_ / "..2");
  write(directory_ / "..1" / "tls.crt", "one");
  write(directory_ / "..2" / "tls.crt", "two");
  fs::create_symlink("..1", directory_ / "..data");
  fs::create_symlink("..data/tls.crt", directory_ / "tls.crt");
  watch_.watch(prints({directory_ / "tls.crt"}));
  fs::create_symlink("..2", directory_ / "..data_tmp");
  fs::rename(directory_ / "..data_tmp", directory_ / "..data");
  EXPECT_EQ(next_change(), Paths{directory_ / "tls.crt"});
}

TEST_P(FileWatchTest, TargetOfALinkElsewhere) {
  fs::create_directory(directory_ / "store");
  write(directory_ / "store" / "cert", "one");
  fs::create_symlink(directory_ / "store" / "cert", directory_ / "cert");
  watch_.watch(prints({directory_ / "cert"}));
  replace(directory_ / "store" / "cert", "another");
  EXPECT_EQ(next_change(), Paths{directory_ / "cert"});
}

TEST_P(FileWatchTest, DirectoryReplaced) {
  const fs::path folder = directory_ / "conf";
  fs::create_directory(folder);
  write(folder / "a", "one");
  watch_.watch(prints({folder / "a"}));
  fs::rename(folder, directory_ / "old");
  EXPECT_EQ(next_change(), Paths{folder / "a"});  // gone
  fs::create_directory(folder);
  write(folder / "a", "two");
  EXPECT_EQ(next_change(), Paths{folder / "a"});
  replace(folder / "a", "three");
  EXPECT_EQ(next_change(), Paths{folder / "a"});
}

TEST_P(FileWatchTest, SetIsReplaced) {
  const fs::path other = directory_ / "other.json";
  write(other, "x");
  watch_.watch(prints({file_}));
  watch_.watch(prints({other}));
  replace(file_, "ignored");
  EXPECT_EQ(next_change(milliseconds(300)), Paths{});
  replace(other, "seen");
  EXPECT_EQ(next_change(), Paths{other});
  watch_.watch({});
  replace(other, "unseen");
  EXPECT_EQ(next_change(milliseconds(300)), Paths{});
}

INSTANTIATE_TEST_SUITE_P(Modes, FileWatchTest, ::testing::Values(FileWatch::Mode::kNotify, FileWatch::Mode::kPoll),
                         [](const auto& param) { return param.param == FileWatch::Mode::kNotify ? "Notify" : "Poll"; });

// A change that the kernel tells nothing of: here by another name of the file, in a folder that is not watched.
TEST(FileWatch, ChangeWithoutAnEvent) {
  std::string pattern = ::testing::TempDir() + "watchXXXXXX";
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const fs::path file = fs::path(pattern) / "f";
  std::ofstream(file) << "one";
  fs::create_directory(fs::path(pattern) / "elsewhere");
  const fs::path name = fs::path(pattern) / "elsewhere" / "link";
  fs::create_hard_link(file, name);
  event::Loop loop;
  int calls = 0;
  FileWatch watch(loop, [&](const auto&) { ++calls; }, FileWatch::Mode::kNotify, milliseconds(20));
  watch.watch({{name, FilePrint::of(name)}});
  std::ofstream(file) << "other";
  const auto until = steady_clock::now() + milliseconds(5000);
  while (calls == 0 && steady_clock::now() < until) loop.run_once(milliseconds(20));
  EXPECT_EQ(calls, 1);
  fs::remove_all(pattern);
}

TEST(FileWatch, ManyChangesAreOneCall) {
  std::string pattern = ::testing::TempDir() + "watchXXXXXX";
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const fs::path file = fs::path(pattern) / "f";
  event::Loop loop;
  int calls = 0;
  FileWatch watch(loop, [&](const auto&) { ++calls; });
  watch.watch({{file, FilePrint::of(file)}});
  for (int i = 0; i < 20; ++i) {
    std::ofstream(file) << i << std::string(static_cast<size_t>(i), 'x');
    loop.run_once(milliseconds(5));
  }
  const auto until = steady_clock::now() + milliseconds(400);
  while (steady_clock::now() < until) loop.run_once(milliseconds(20));
  // One when all was quiet between two writes on a loaded machine, too, but never one per write.
  EXPECT_GE(calls, 1);
  EXPECT_LE(calls, 4);
  fs::remove_all(pattern);
}

}  // namespace
}  // namespace headgate::control
