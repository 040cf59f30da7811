#include "dataplane/handlers/file_cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "dataplane/base/random.h"
#include "tests/support/temp_folder.h"

namespace headgate::handlers {
namespace {

using Kind = CachedFile::Kind;

class FileCacheTest : public ::testing::Test {
 protected:
  FileCacheTest() { turn(); }
  void turn(Duration later = Duration::zero()) {
    clock_.advance(later);
    loop_.run_once(Duration::zero());
  }
  FileRef find(std::string_view path) { return cache().find(root_, path); }
  FileCache& cache() {
    if (cache_ == nullptr) cache_ = std::make_unique<FileCache>(loop_, counters_, limits_);
    return *cache_;
  }
  uint64_t hits() const { return counters_.value(Counter::kStaticCacheHits); }
  uint64_t misses() const { return counters_.value(Counter::kStaticCacheMisses); }

  test::TempFolder folder_;
  FileRoot root_{.path = folder_.path()};
  FakeClock clock_;
  event::Loop loop_{clock_};
  Counters counters_;
  FileCache::Limits limits_;
  std::unique_ptr<FileCache> cache_;
};

constexpr Duration kSecond = std::chrono::seconds(1);

TEST_F(FileCacheTest, SmallFilesAreKeptInMemoryLargeOnesOpen) {
  folder_.write("small.html", "hello");
  folder_.write("empty", "");
  folder_.write("large.bin", std::string(100'000, 'x'));
  const FileRef small = find("small.html");
  EXPECT_EQ(small->kind(), Kind::kFile);
  EXPECT_TRUE(small->in_memory());
  EXPECT_EQ(small->content().view(), "hello");
  EXPECT_EQ(small->fd(), -1);
  EXPECT_TRUE(small->content_type().starts_with("text/html"));
  EXPECT_EQ(small->etag().size(), 18u);
  EXPECT_TRUE(small->etag().starts_with('"') && small->etag().ends_with('"'));
  EXPECT_TRUE(find("empty")->in_memory());
  const FileRef large = find("large.bin");
  EXPECT_FALSE(large->in_memory());
  EXPECT_GE(large->fd(), 0);
  EXPECT_EQ(large->size(), 100'000u);
  EXPECT_EQ(cache().open_files(), 1u);
  EXPECT_EQ(find("")->kind(), Kind::kFolder);
  EXPECT_EQ(find("nothing")->kind(), Kind::kMissing);
  EXPECT_EQ(find("small.html/x")->kind(), Kind::kMissing);
  EXPECT_NE(small->content_id(), large->content_id());
}

TEST_F(FileCacheTest, AHitMakesNoSystemCallWithinASecond) {
  folder_.write("a", "one");
  folder_.set_modified("a", 1'000'000);
  const FileRef first = find("a");
  folder_.replace("a", "two");
  EXPECT_EQ(find("a")->content().view(), "one");  // not looked at again yet
  EXPECT_EQ(hits(), 1u);
  EXPECT_EQ(misses(), 1u);
  turn(kSecond);
  EXPECT_EQ(find("a")->content().view(), "two");
  EXPECT_EQ(first->content().view(), "one");  // who holds the old one keeps it
}

TEST_F(FileCacheTest, NoticesEveryKindOfChange) {
  const auto etag_after = [this](auto&& change) {
    change();
    turn(kSecond);
    return std::string(find("a")->etag());
  };
  folder_.write("a", "one");
  folder_.set_modified("a", 1'000'000);
  std::vector<std::string> etags{std::string(find("a")->etag())};
  etags.push_back(etag_after([this] { folder_.write("a", "longer"); folder_.set_modified("a", 1'000'000); }));
  etags.push_back(etag_after([this] { folder_.set_modified("a", 1'000'001); }));
  etags.push_back(etag_after([this] { folder_.replace("a", "LONGER"); folder_.set_modified("a", 1'000'001); }));
  for (size_t i = 0; i < etags.size(); ++i) {
    EXPECT_EQ(std::count(etags.begin(), etags.end(), etags[i]), 1) << i;
  }
  EXPECT_EQ(find("a")->content().view(), "LONGER");
  EXPECT_EQ(etag_after([] {}), etags.back());
  folder_.remove("a");
  turn(kSecond);
  EXPECT_EQ(find("a")->kind(), Kind::kMissing);
  folder_.make_folder("a");
  turn(kSecond);
  EXPECT_EQ(find("a")->kind(), Kind::kFolder);
  folder_.remove("a");
  folder_.link("/etc/passwd", "a");
  turn(kSecond);
  EXPECT_EQ(find("a")->kind(), Kind::kMissing);
}

TEST_F(FileCacheTest, PermissionsAreNoticed) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  folder_.write("a", "one");
  EXPECT_EQ(find("a")->kind(), Kind::kFile);
  ASSERT_EQ(::chmod(folder_.at("a").c_str(), 0), 0);
  turn(kSecond);
  EXPECT_EQ(find("a")->kind(), Kind::kDenied);
}

TEST_F(FileCacheTest, MissingIsForgottenAfterASecond) {
  EXPECT_EQ(find("late")->kind(), Kind::kMissing);
  folder_.write("late", "here");
  EXPECT_EQ(find("late")->kind(), Kind::kMissing);
  turn(kSecond);
  EXPECT_EQ(find("late")->content().view(), "here");
}

TEST_F(FileCacheTest, TheRootIsFollowedByName) {
  folder_.write("v1/a", "one");
  folder_.write("v2/a", "two");
  folder_.link("v1", "current");
  root_.path = folder_.at("current");
  EXPECT_EQ(find("a")->content().view(), "one");
  folder_.remove("current");
  folder_.link("v2", "current");
  turn(kSecond);
  EXPECT_EQ(find("a")->content().view(), "two");
  folder_.remove("current");
  turn(kSecond);
  EXPECT_EQ(find("a")->kind(), Kind::kMissing);
  folder_.link("v1", "current");
  turn(kSecond);
  EXPECT_EQ(find("a")->content().view(), "one");
}

TEST_F(FileCacheTest, NothingOutsideTheRootIsFound) {
  test::TempFolder outside;
  outside.write("secret", "secret");
  folder_.write("in/a", "a");
  folder_.link(outside.at("secret"), "absolute");
  folder_.link("../" + outside.path().substr(outside.path().rfind('/') + 1) + "/secret", "relative");
  folder_.link(outside.path(), "folder");
  folder_.link("in/a", "inside");
  folder_.link("/proc/self/root", "magic");
  ASSERT_EQ(::mkfifo(folder_.at("fifo").c_str(), 0600), 0);
  const std::string up = "../" + outside.path().substr(outside.path().rfind('/') + 1) + "/secret";
  for (const Symlinks symlinks : {Symlinks::kRefuse, Symlinks::kFollow}) {
    root_.symlinks = symlinks;
    for (const std::string& path :
         {std::string("absolute"), std::string("relative"), std::string("folder/secret"), up, "in/../../" + up,
          "/" + outside.at("secret"), outside.at("secret"), std::string("magic/etc/passwd"), std::string("fifo"),
          std::string("/proc/self/environ"), std::string(5000, 'a')}) {
      EXPECT_EQ(find(path)->kind(), Kind::kMissing) << path;
    }
  }
  root_.symlinks = Symlinks::kRefuse;
  EXPECT_EQ(find("inside")->kind(), Kind::kMissing);
  root_.symlinks = Symlinks::kFollow;
  EXPECT_EQ(find("inside")->content().view(), "a");
  // Magic links are refused whatever the option: /proc as root, its descriptors as files.
  root_.path = "/proc/self";
  EXPECT_EQ(find("root/etc/passwd")->kind(), Kind::kMissing);
  EXPECT_EQ(find("cwd/x")->kind(), Kind::kMissing);
}

TEST_F(FileCacheTest, MemoryStaysWithinItsLimit) {
  limits_.memory_bytes = 64 * 1024;
  for (int i = 0; i < 100; ++i) {
    const std::string name = "f" + std::to_string(i);
    folder_.write(name, std::string(3000, 'x'));
    find("f0");  // in use: must survive
    find(name);
    EXPECT_LE(cache().memory_used(), limits_.memory_bytes);
  }
  EXPECT_GT(cache().entries(), 5u);
  const uint64_t before = misses();
  find("f0");
  find("f99");
  EXPECT_EQ(misses(), before);
  find("f1");
  EXPECT_EQ(misses(), before + 1);
}

TEST_F(FileCacheTest, OpenFilesStayWithinTheirLimitAndAreClosedWhenIdle) {
  limits_.open_files = 4;
  limits_.object_bytes = 10;
  for (int i = 0; i < 10; ++i) {
    const std::string name = "f" + std::to_string(i);
    folder_.write(name, "larger than ten bytes");
    EXPECT_EQ(find(name)->kind(), Kind::kFile);
    EXPECT_LE(cache().open_files(), 4u);
  }
  EXPECT_EQ(cache().open_files(), 4u);
  const FileRef held = find("f9");
  for (int i = 0; i < 5; ++i) turn(std::chrono::seconds(10));
  EXPECT_EQ(cache().open_files(), 0u);
  EXPECT_NE(::fcntl(held->fd(), F_GETFD), -1);  // who sends it keeps it open
}

TEST_F(FileCacheTest, MissingNamesCannotPushOutFiles) {
  limits_.missing = 8;
  folder_.write("a", "a");
  find("a");
  for (int i = 0; i < 1000; ++i) find("no-" + std::to_string(i));
  EXPECT_LE(cache().entries(), 9u);
  const uint64_t before = hits();
  find("a");
  EXPECT_EQ(hits(), before + 1);
}

TEST_F(FileCacheTest, AFileChangedThisVeryMomentIsLoadedAgain) {
  clock_.step_wall(system_clock().wall() - clock_.wall());
  turn();
  folder_.write("a", "one");
  EXPECT_EQ(find("a")->content().view(), "one");
  struct stat status {};
  ASSERT_EQ(::stat(folder_.at("a").c_str(), &status), 0);
  const uint64_t first = find("a")->content_id();
  turn(kSecond);
  EXPECT_NE(find("a")->content_id(), first);
  const uint64_t second = find("a")->content_id();
  turn(kSecond);
  EXPECT_EQ(find("a")->content_id(), second);
}

TEST_F(FileCacheTest, Siblings) {
  folder_.write("a.js", "plain");
  folder_.write("a.js.gz", "packed");
  const FileRef file = find("a.js");
  EXPECT_TRUE(cache().has_sibling(file, Sibling::kGzip));
  EXPECT_FALSE(cache().has_sibling(file, Sibling::kBrotli));
  folder_.write("a.js.br", "packed");
  EXPECT_FALSE(cache().has_sibling(file, Sibling::kBrotli));
  turn(kSecond);
  EXPECT_TRUE(cache().has_sibling(find("a.js"), Sibling::kBrotli));
}

TEST_F(FileCacheTest, LimitsAreSharedByWorkersAndMayChange) {
  Random random(1);
  WorkerContext worker{.loop = loop_, .counters = counters_, .random = random};
  EXPECT_EQ(FileCache::Limits::share(worker).memory_bytes, size_t{64} * 1024 * 1024);
  EXPECT_EQ(FileCache::Limits::share(worker).open_files, 512u);
  worker.worker_count = 4;
  EXPECT_EQ(FileCache::Limits::share(worker).memory_bytes, size_t{16} * 1024 * 1024);
  EXPECT_EQ(FileCache::Limits::share(worker).open_files, 128u);

  FileCache& cache = FileCache::of(worker);
  EXPECT_EQ(&FileCache::of(worker), &cache);
  for (int i = 0; i < 200; ++i) {
    const std::string name = "f" + std::to_string(i);
    folder_.write(name, "content");
    cache.find(root_, name);
  }
  const size_t before = cache.memory_used();
  EXPECT_GT(before, 200u * Block::kSmall);
  worker.file_cache_bytes = 4 * 256 * 1024;
  FileCache::of(worker);
  EXPECT_LE(cache.memory_used(), size_t{256} * 1024);
  worker.release_files(worker);
  EXPECT_EQ(worker.files, nullptr);
}

}  // namespace
}  // namespace headgate::handlers
