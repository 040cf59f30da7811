#include "dataplane/event/timer_wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <random>
#include <vector>

namespace headgate::event {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kTick = TimerWheel::kTick;

struct Shot {
  int count = 0;
  MonotonicTime at{};
  TimerWheel* wheel = nullptr;
  void on_time() {
    ++count;
    at = wheel->now();
  }
};

class TimerWheelTest : public ::testing::Test {
 protected:
  MonotonicTime begin_{hours(5)};
  TimerWheel wheel_{begin_};
};

TEST_F(TimerWheelTest, NeverEarlyAndATickLateAtMost) {
  for (const Duration delay : {Duration(0), Duration(1), Duration(milliseconds(9)), Duration(milliseconds(10)),
                               Duration(milliseconds(11)), Duration(milliseconds(639)), Duration(milliseconds(640)),
                               Duration(milliseconds(641)), Duration(seconds(40)), Duration(seconds(41)),
                               Duration(std::chrono::minutes(43)), Duration(hours(46)), Duration(hours(47)),
                               Duration(hours(500))}) {
    TimerWheel wheel(begin_);
    Shot shot{.wheel = &wheel};
    Timer timer(wheel, Timer::call<&Shot::on_time>, &shot);
    timer.arm(delay);
    EXPECT_TRUE(timer.armed());
    EXPECT_EQ(timer.deadline(), begin_ + delay);
    // Sleep as the Loop does: until next_expiry(), as often as it takes.
    for (int turns = 0; shot.count == 0; ++turns) {
      ASSERT_LT(turns, 300) << delay.count();
      const auto next = wheel.next_expiry();
      ASSERT_TRUE(next);
      ASSERT_GT(*next, wheel.now());  // a Loop never spins
      wheel.advance(*next);
    }
    EXPECT_GE(shot.at, begin_ + delay);
    EXPECT_LE(shot.at, begin_ + std::max(delay, Duration(1)) + kTick);
    EXPECT_FALSE(timer.armed());
    EXPECT_TRUE(wheel.empty());
    EXPECT_FALSE(wheel.next_expiry());
  }
}

TEST_F(TimerWheelTest, CancelRearmDestroy) {
  Shot shot{.wheel = &wheel_};
  {
    Timer timer(wheel_, Timer::call<&Shot::on_time>, &shot);
    timer.cancel();
    timer.arm(seconds(1));
    timer.arm(seconds(2));
    wheel_.advance(begin_ + milliseconds(1500));
    EXPECT_EQ(shot.count, 0);
    timer.cancel();
    EXPECT_TRUE(wheel_.empty());
    wheel_.advance(begin_ + seconds(3));
    EXPECT_EQ(shot.count, 0);
    timer.arm(seconds(1));
    EXPECT_FALSE(wheel_.empty());
  }
  EXPECT_TRUE(wheel_.empty());
  wheel_.advance(begin_ + seconds(10));
  EXPECT_EQ(shot.count, 0);
}

TEST_F(TimerWheelTest, TimeGoingBackIsNoTime) {
  Shot shot{.wheel = &wheel_};
  Timer timer(wheel_, Timer::call<&Shot::on_time>, &shot);
  wheel_.advance(begin_ + seconds(5));
  wheel_.advance(begin_);
  EXPECT_EQ(wheel_.now(), begin_ + seconds(5));
  timer.arm_at(begin_);  // long past: next tick
  wheel_.advance(begin_ + seconds(5) + kTick);
  EXPECT_EQ(shot.count, 1);
}

// A callback may arm itself and others again; the same advance does not run it twice.
TEST_F(TimerWheelTest, RearmInCallback) {
  struct Repeater {
    Timer timer;
    int count = 0;
    explicit Repeater(TimerWheel& wheel) : timer(wheel, Timer::call<&Repeater::on_time>, this) {}
    void on_time() {
      ++count;
      timer.arm(Duration(0));
    }
  } repeater(wheel_);
  repeater.timer.arm(Duration(0));
  wheel_.advance(begin_ + kTick);
  EXPECT_EQ(repeater.count, 1);
  wheel_.advance(begin_ + kTick * 2);
  EXPECT_EQ(repeater.count, 2);
}

// A callback may cancel and destroy others that are due at the same moment.
TEST_F(TimerWheelTest, DestroyInCallback) {
  struct Killer {
    std::vector<std::unique_ptr<Timer>>* victims;
    int count = 0;
    void on_time() {
      ++count;
      victims->clear();
    }
  };
  std::vector<std::unique_ptr<Timer>> timers;
  Killer killer{&timers};
  Timer trigger(wheel_, Timer::call<&Killer::on_time>, &killer);
  trigger.arm(seconds(1));
  for (int i = 0; i < 10; ++i) {
    timers.push_back(std::make_unique<Timer>(wheel_, Timer::call<&Killer::on_time>, &killer));
    timers.back()->arm(seconds(1));
  }
  wheel_.advance(begin_ + seconds(2));
  EXPECT_EQ(killer.count, 1);
  EXPECT_TRUE(wheel_.empty());
}

// Random arm, cancel, re-arm (also from callbacks) and jumps, against a plain list of deadlines. Checked on every step:
// what fires is due, what is due fires within a tick, the order of ticks is kept, and next_expiry() is never too late.
class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed), wheel_(MonotonicTime(seconds(random_() % 1000))) {
    for (int i = 0; i < 60; ++i) entries_.push_back(std::make_unique<Entry>(*this));
  }

  void step() {
    Entry& entry = *entries_[random_() % entries_.size()];
    switch (random_() % 8) {
      case 0:
        entry.timer.cancel();
        entry.armed = false;
        break;
      case 1:
      case 2:
      case 3: arm(entry); break;
      case 4: advance(Duration(static_cast<int64_t>(random_() % 30'000'000))); break;
      case 5: {
        const auto next = wheel_.next_expiry();
        if (next) advance(*next - wheel_.now());
        break;
      }
      case 6: advance(random_delay() / 4); break;
      default: advance(Duration(0));
    }
    check();
  }

 private:
  struct Entry {
    explicit Entry(Model& owner) : model(owner), timer(owner.wheel_, Timer::call<&Entry::on_time>, this) {}
    void on_time() { model.on_fired(*this); }
    Model& model;
    Timer timer;
    bool armed = false;
    MonotonicTime deadline{};
    MonotonicTime armed_at{};
  };

  Duration random_delay() {
    const int magnitude = static_cast<int>(random_() % 48);  // up to 78 hours
    return Duration(static_cast<int64_t>(random_() % (uint64_t{1} << magnitude)));
  }
  void arm(Entry& entry) {
    const Duration delay = random_delay();
    entry.timer.arm(delay);
    entry.armed = true;
    entry.armed_at = wheel_.now();
    entry.deadline = wheel_.now() + delay;
  }
  void advance(Duration by) {
    last_deadline_ = MonotonicTime::min();
    wheel_.advance(wheel_.now() + by);
  }
  void on_fired(Entry& entry) {
    ASSERT_TRUE(entry.armed);
    ASSERT_LE(entry.deadline, wheel_.now());
    // Inside one advance: in order of deadlines, to a tick.
    if (entry.armed_at < wheel_.now()) {
      ASSERT_GE(entry.deadline + kTick, last_deadline_);
      last_deadline_ = std::max(last_deadline_, entry.deadline);
    }
    entry.armed = false;
    if (random_() % 3 == 0) arm(entry);
    if (random_() % 5 == 0) {
      Entry& other = *entries_[random_() % entries_.size()];
      other.timer.cancel();
      other.armed = false;
    }
  }
  void check() {
    const auto next = wheel_.next_expiry();
    bool any = false;
    for (const auto& entry : entries_) {
      ASSERT_EQ(entry->timer.armed(), entry->armed);
      if (!entry->armed) continue;
      any = true;
      // What was due a full tick before this moment has fired.
      ASSERT_GT(entry->deadline + kTick, wheel_.now() - (entry->armed_at == wheel_.now() ? hours(1000) : hours(0)));
      ASSERT_TRUE(next);
      ASSERT_LE(*next, std::max(entry->deadline, wheel_.now()) + kTick);
    }
    ASSERT_EQ(wheel_.empty(), !any);
    ASSERT_EQ(next.has_value(), any);
    if (next) {
      ASSERT_GT(*next, wheel_.now() - kTick);
    }
  }

  std::mt19937_64 random_;
  TimerWheel wheel_;
  std::vector<std::unique_ptr<Entry>> entries_;
  MonotonicTime last_deadline_ = MonotonicTime::min();
};

TEST(TimerWheelModel, RandomAgainstAList) {
  const uint64_t seed = std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  for (uint64_t round = 0; round < 30; ++round) {
    Model model(seed + round);
    for (int step = 0; step < 3000; ++step) {
      model.step();
      if (::testing::Test::HasFatalFailure()) FAIL() << "round " << round << " step " << step;
    }
  }
}

// A jump over years costs no time per tick when nothing is armed, and little when something far away is.
TEST_F(TimerWheelTest, LongSleepIsCheap) {
  wheel_.advance(begin_ + hours(24 * 365));
  Shot shot{.wheel = &wheel_};
  Timer timer(wheel_, Timer::call<&Shot::on_time>, &shot);
  timer.arm(hours(24 * 30));
  wheel_.advance(wheel_.now() + hours(24 * 31));
  EXPECT_EQ(shot.count, 1);
}

}  // namespace
}  // namespace headgate::event
