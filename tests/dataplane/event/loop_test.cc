// loop, mailbox and poller.
#include "dataplane/event/loop.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace headgate::event {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Pair {
  Pair() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0) {
      near.reset(ends[0]);
      far.reset(ends[1]);
    }
  }
  UniqueFd near;
  UniqueFd far;
};

struct Recorder final : FdObserver {
  void on_fd_ready(uint8_t ready) override {
    seen |= ready;
    ++calls;
    if (then) then();
  }
  uint8_t seen = 0;
  int calls = 0;
  std::function<void()> then;
};

TEST(Loop, ReadinessIsEdgeTriggered) {
  Loop loop;
  Pair pair;
  Recorder recorder;
  FdWatch watch;
  ASSERT_TRUE(watch.start(loop, pair.near.get(), recorder));
  EXPECT_TRUE(watch.active());
  loop.run_once(milliseconds(0));
  EXPECT_EQ(recorder.seen, kWritable);
  recorder.seen = 0;
  loop.run_once(milliseconds(0));
  EXPECT_EQ(recorder.seen, 0);  // still writable, but no edge
  ASSERT_EQ(::write(pair.far.get(), "x", 1), 1);
  loop.run_once(seconds(5));
  EXPECT_TRUE(recorder.seen & kReadable);
  EXPECT_FALSE(recorder.seen & kHangup);
  recorder.seen = 0;
  ASSERT_EQ(::shutdown(pair.far.get(), SHUT_WR), 0);
  loop.run_once(seconds(5));
  EXPECT_TRUE(recorder.seen & kHangup);
  recorder.seen = 0;
  pair.far.reset();
  loop.run_once(seconds(5));
  EXPECT_TRUE(recorder.seen & kFailed);
  recorder.seen = 0;
  watch.stop();
  EXPECT_FALSE(watch.active());
  loop.run_once(milliseconds(0));
  EXPECT_EQ(recorder.seen, 0);
}

// Two descriptors are ready in one turn; the first observer ends the other's watch, descriptor and object.
TEST(Loop, WatchEndedInTheSameTurn) {
  for (const bool before_close : {false, true}) {
    Loop loop;
    std::array<Pair, 2> pairs;
    struct Side {
      Recorder recorder;
      FdWatch watch;
    };
    std::array<std::unique_ptr<Side>, 2> sides = {std::make_unique<Side>(), std::make_unique<Side>()};
    int calls = 0;
    for (size_t i = 0; i < 2; ++i) {
      ASSERT_TRUE(sides[i]->watch.start(loop, pairs[i].near.get(), sides[i]->recorder));
    }
    loop.run_once(milliseconds(0));  // the first edge: writable
    for (size_t i = 0; i < 2; ++i) {
      sides[i]->recorder.then = [&, other = 1 - i] {
        ++calls;
        if (sides[other] == nullptr) return;
        if (before_close) sides[other]->watch.stop_before_close();
        sides[other].reset();
        pairs[other].near.reset();
      };
      ASSERT_EQ(::write(pairs[i].far.get(), "x", 1), 1);
    }
    loop.run_once(seconds(5));
    loop.run_once(milliseconds(0));
    EXPECT_EQ(calls, 1);
  }
}

// A watch may be started from a callback; stopping it again in the same turn is no call.
TEST(Loop, WatchStoppedByItself) {
  Loop loop;
  Pair pair;
  Recorder recorder;
  FdWatch watch;
  ASSERT_TRUE(watch.start(loop, pair.near.get(), recorder));
  recorder.then = [&] { watch.stop(); };
  loop.run_once(seconds(5));
  ASSERT_EQ(::write(pair.far.get(), "x", 1), 1);
  loop.run_once(milliseconds(0));
  EXPECT_EQ(recorder.calls, 1);
}

TEST(Loop, BadDescriptorIsAnError) {
  Loop loop;
  Recorder recorder;
  FdWatch watch;
  const auto started = watch.start(loop, 987'654, recorder);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().sys_errno, EBADF);
  EXPECT_FALSE(watch.active());
}

struct Note {
  std::vector<std::string>* into;
  std::string text;
  DeferredCall* again = nullptr;
  void run() {
    into->push_back(text);
    if (again != nullptr) std::exchange(again, nullptr)->schedule();
  }
  static void call(void* self) { static_cast<Note*>(self)->run(); }
};

TEST(Loop, DeferredCallsCoalesceAndKeepOrder) {
  Loop loop;
  std::vector<std::string> done;
  Note one{&done, "one"};
  Note two{&done, "two"};
  DeferredCall first(loop, &Note::call, &one);
  DeferredCall second(loop, &Note::call, &two);
  one.again = &first;
  second.schedule();
  first.schedule();
  second.schedule();
  EXPECT_TRUE(first.scheduled());
  loop.run_once(seconds(5));  // does not wait: there is work
  EXPECT_EQ(done, (std::vector<std::string>{"two", "one"}));
  loop.run_once(seconds(5));  // asked again from a call: next turn
  EXPECT_EQ(done, (std::vector<std::string>{"two", "one", "one"}));
  second.schedule();
  second.cancel();
  {
    DeferredCall gone(loop, &Note::call, &two);
    gone.schedule();
  }
  loop.run_once(milliseconds(0));
  EXPECT_EQ(done.size(), 3U);
}

struct Doomed final : Disposable {
  Doomed(Loop& owner, std::vector<int>& list, int n) : loop(owner), into(list), number(n) {}
  ~Doomed() override {
    into.push_back(number);
    if (number > 0) loop.defer_delete(std::make_unique<Doomed>(loop, into, number - 1));
  }
  Loop& loop;
  std::vector<int>& into;
  int number;
};

TEST(Loop, DeferredDestruction) {
  std::vector<int> gone;
  {
    Loop loop;
    loop.defer_delete(nullptr);
    loop.defer_delete(std::make_unique<Doomed>(loop, gone, 3));
    EXPECT_TRUE(gone.empty());
    loop.run_once(seconds(5));
    EXPECT_EQ(gone, (std::vector<int>{3, 2, 1, 0}));  // what destruction defers goes in the same turn
    loop.defer_delete(std::make_unique<Doomed>(loop, gone, 0));
  }
  EXPECT_EQ(gone.size(), 5U);  // the Loop takes what is left with it
}

TEST(Loop, TimersWakeIt) {
  Loop loop;
  int fired = 0;
  struct Counter {
    int* into;
    void hit() { ++*into; }
  } counter{&fired};
  Timer timer(loop.timers(), Timer::call<&Counter::hit>, &counter);
  const auto begin = std::chrono::steady_clock::now();
  timer.arm(milliseconds(30));
  while (fired == 0) loop.run_once(Duration(-1));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(30));
  EXPECT_LT(loop.turns(), 10U);  // slept, not spun
}

// A ready descriptor after a long wait arms a timer: it counts from the event, not from before the wait.
TEST(Loop, TimersArmedByEventsCountFromTheEvent) {
  FakeClock clock;
  Loop loop(clock);
  Pair pair;
  Recorder recorder;
  FdWatch watch;
  ASSERT_TRUE(watch.start(loop, pair.near.get(), recorder));
  loop.run_once(milliseconds(0));
  struct Fired {
    int times = 0;
    void count() { ++times; }
  } fired;
  Timer timer(loop.timers(), Timer::call<&Fired::count>, &fired);
  recorder.then = [&timer] { timer.arm(milliseconds(500)); };
  clock.advance(seconds(60));
  ASSERT_EQ(::write(pair.far.get(), "x", 1), 1);
  loop.run_once(milliseconds(0));
  loop.run_once(milliseconds(0));
  EXPECT_EQ(fired.times, 0);
  EXPECT_EQ(timer.deadline(), clock.now() + milliseconds(500));
  clock.advance(milliseconds(520));
  loop.run_once(milliseconds(0));
  EXPECT_EQ(fired.times, 1);
}

TEST(Loop, TimeIsReadOncePerTurn) {
  FakeClock clock;
  Loop loop(clock);
  const auto begin = loop.now();
  const auto wall = loop.wall();
  clock.advance(seconds(3));
  EXPECT_EQ(loop.now(), begin);
  EXPECT_EQ(loop.wall(), wall);
  loop.run_once(milliseconds(0));
  EXPECT_EQ(loop.now() - begin, seconds(3));
  EXPECT_EQ(loop.wall() - wall, seconds(3));
}

TEST(Loop, HeartbeatTellsWaitingFromStuck) {
  Loop loop;
  loop.run_once(milliseconds(0));
  const uint64_t turns = loop.turns();
  std::thread thread([&] { loop.run(); });
  const auto until = std::chrono::steady_clock::now() + seconds(10);
  while (loop.turn_began_ns() != 0 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_EQ(loop.turn_began_ns(), 0);  // waiting
  std::atomic<bool> inside{false};
  std::atomic<bool> release{false};
  loop.mailbox().post_fn([&] {
    inside = true;
    while (!release) std::this_thread::yield();
  });
  while (!inside) std::this_thread::yield();
  EXPECT_NE(loop.turn_began_ns(), 0);  // busy since then
  release = true;
  loop.stop();
  thread.join();
  EXPECT_GT(loop.turns(), turns);
  EXPECT_TRUE(loop.stopping());
}

TEST(Mailbox, RunsInOrderAndOnlyWhatWasThere) {
  Mailbox mailbox;
  std::vector<int> done;
  mailbox.post_fn([&] {
    done.push_back(1);
    mailbox.post_fn([&] { done.push_back(3); });
  });
  mailbox.post_fn([&] { done.push_back(2); });
  mailbox.run();
  EXPECT_EQ(done, (std::vector<int>{1, 2}));
  mailbox.run();
  EXPECT_EQ(done, (std::vector<int>{1, 2, 3}));
  mailbox.run();
  EXPECT_EQ(done.size(), 3U);
}

TEST(Mailbox, MoveOnlyTasksAndUnrunOnes) {
  const auto watched = std::make_shared<int>(7);
  int got = 0;
  {
    Mailbox mailbox;
    mailbox.post_fn([&got, value = std::make_unique<int>(5)] { got = *value; });
    mailbox.run();
    mailbox.post_fn([watched] {});
  }
  EXPECT_EQ(got, 5);
  EXPECT_EQ(watched.use_count(), 1);  // destroyed without having run
}

// Many senders, one loop: everything arrives, each sender's in order, no wake-up is lost.
TEST(Mailbox, ManyThreads) {
  Loop loop;
  constexpr int kThreads = 4;
  constexpr int kEach = 20'000;
  std::array<int, kThreads> next{};
  bool in_order = true;
  int total = 0;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        loop.mailbox().post_fn([&, t, i] {
          in_order = in_order && next[t] == i;
          next[t] = i + 1;
          if (++total == kThreads * kEach) loop.stop();
        });
      }
    });
  }
  loop.run();
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(in_order);
  EXPECT_EQ(total, kThreads * kEach);
}

}  // namespace
}  // namespace headgate::event
