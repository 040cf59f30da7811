#include "dataplane/control/overload_watch.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/support/temp_folder.h"

namespace headgate::control {
namespace {

using std::chrono::milliseconds;

class MemoryGaugeTest : public ::testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root() + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text << "\n";
  }
  std::string root() const { return folder_.path(); }

 private:
  test::TempFolder folder_;
};

TEST_F(MemoryGaugeTest, NoLimitNoShare) {
  EXPECT_EQ(MemoryGauge(root()).share(), std::nullopt);
  write("/proc/self/cgroup", "0::/pod");
  write("/sys/fs/cgroup/pod/memory.max", "max");
  write("/sys/fs/cgroup/pod/memory.current", "1000");
  EXPECT_EQ(MemoryGauge(root()).share(), std::nullopt);
}

TEST_F(MemoryGaugeTest, TheNearestLimitCountsWithoutWhatCanBeReclaimed) {
  write("/proc/self/cgroup", "0::/kube/pod");
  write("/sys/fs/cgroup/kube/memory.max", "10000");
  write("/sys/fs/cgroup/kube/memory.current", "9000");
  write("/sys/fs/cgroup/kube/memory.stat", "anon 1\ninactive_file_x 5\ninactive_file 4000");
  write("/sys/fs/cgroup/kube/pod/memory.max", "4000");
  write("/sys/fs/cgroup/kube/pod/memory.current", "1000");
  const MemoryGauge gauge(root());
  EXPECT_DOUBLE_EQ(gauge.share().value_or(0), 0.5);
  write("/sys/fs/cgroup/kube/pod/memory.current", "3000");
  EXPECT_DOUBLE_EQ(gauge.share().value_or(0), 0.75);
  write("/sys/fs/cgroup/kube/pod/memory.max", "30000");  // resized while we run
  EXPECT_DOUBLE_EQ(gauge.share().value_or(0), 0.5);
}

TEST_F(MemoryGaugeTest, VersionOne) {
  write("/proc/self/cgroup", "5:cpu:/a\n4:memory:/a");
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
  write("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1000");
  write("/sys/fs/cgroup/memory/a/memory.usage_in_bytes", "950");
  write("/sys/fs/cgroup/memory/a/memory.stat", "inactive_file 1\ntotal_inactive_file 150");
  EXPECT_DOUBLE_EQ(MemoryGauge(root()).share().value_or(0), 0.8);
}

TEST(MemoryPressure, HasSteps) {
  EXPECT_EQ(next_pressure(MemoryPressure::kNone, std::nullopt), MemoryPressure::kNone);
  EXPECT_EQ(next_pressure(MemoryPressure::kNone, 0.89), MemoryPressure::kNone);
  EXPECT_EQ(next_pressure(MemoryPressure::kNone, 0.91), MemoryPressure::kShed);
  EXPECT_EQ(next_pressure(MemoryPressure::kShed, 0.96), MemoryPressure::kStop);
  EXPECT_EQ(next_pressure(MemoryPressure::kStop, 0.88), MemoryPressure::kShed);
  EXPECT_EQ(next_pressure(MemoryPressure::kShed, 0.86), MemoryPressure::kShed);  // no flapping
  EXPECT_EQ(next_pressure(MemoryPressure::kShed, 0.84), MemoryPressure::kNone);
}

struct LagSteps {
  LagGauge gauge;
  MonotonicTime now{std::chrono::hours(1)};
  uint64_t turns = 0;
  bool step(uint64_t more_turns, bool busy, int times = 1) {
    bool lagging = false;
    for (int i = 0; i < times; ++i) {
      now += OverloadWatch::kTick;
      turns += more_turns;
      lagging = gauge.look(turns, busy, now);
    }
    return lagging;
  }
};

TEST(LagGauge, SlowTurnsForASecond) {
  LagSteps loop;
  EXPECT_FALSE(loop.step(1000, true, 30));  // busy, and fast
  EXPECT_FALSE(loop.step(0, true, 9));
  EXPECT_TRUE(loop.step(0, true, 11));      // stuck
  EXPECT_TRUE(loop.step(0, true, 100));
  EXPECT_FALSE(loop.step(0, false));        // it waits: all is done
  EXPECT_FALSE(loop.step(0, true, 5));
}

TEST(LagGauge, AnIdleLoopDoesNotLag) {
  LagSteps loop;
  EXPECT_FALSE(loop.step(0, false, 50));
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(loop.step(1, i % 5 != 0));
}

TEST(LagGauge, ARealLoopThatIsHeldUp) {
  event::Loop loop;
  std::thread thread([&] { loop.run(); });
  std::atomic<bool> stop{false};
  std::function<void()> work = [&] {
    std::this_thread::sleep_for(milliseconds(150));
    if (!stop) loop.mailbox().post_fn([&] { work(); });
  };
  loop.mailbox().post_fn([&] { work(); });
  LagGauge gauge;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  bool lagging = false;
  while (!lagging && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(milliseconds(50));
    lagging = gauge.look(loop.turns(), loop.turn_began_ns() != 0, system_clock().now());
  }
  EXPECT_TRUE(lagging);
  stop = true;
  bool recovered = false;
  while (!recovered && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(milliseconds(50));
    recovered = !gauge.look(loop.turns(), loop.turn_began_ns() != 0, system_clock().now());
  }
  EXPECT_TRUE(recovered);
  loop.stop();
  thread.join();
}

}  // namespace
}  // namespace headgate::control
