#include "dataplane/net/output_queue.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace headgate::net {
namespace {

// Takes `room` bytes in all, then says that it would block.
class NarrowStream final : public ByteStream {
 public:
  Result<IoResult> write(std::span<const iovec> from) override {
    ++writes;
    size_t taken = 0;
    for (const iovec& piece : from) {
      const size_t count = std::min(piece.iov_len, room - taken);
      got.append(static_cast<const char*>(piece.iov_base), count);
      taken += count;
    }
    room -= taken;
    return taken == 0 ? IoResult{.state = IoState::kWouldBlock} : IoResult{.bytes = taken};
  }
  Result<IoResult> read(std::span<char>) override { return IoResult{.state = IoState::kWouldBlock}; }
  void shutdown_write() override {}
  void watch(Interest, StreamObserver&) override {}
  void unwatch() override {}
  [[nodiscard]] bool readable_hint() const override { return false; }
  [[nodiscard]] const ConnectionFacts& facts() const override { return facts_; }
  void set_remote(const SocketAddress&) override {}

  std::string got;
  size_t room = SIZE_MAX;
  int writes = 0;

 private:
  ConnectionFacts facts_;
};

void write(OutputQueue& queue, std::string_view text) {
  std::memcpy(queue.reserve(text.size() + 10), text.data(), text.size());
  queue.commit(text.size());
}

TEST(OutputQueue, SmallPiecesLeaveInOneWriteAndWithoutMemory) {
  OutputQueue queue;
  NarrowStream stream;
  const size_t before = BlockPool::bytes_in_use();
  write(queue, "head ");
  queue.append_copy("body");
  EXPECT_FALSE(queue.empty());
  EXPECT_EQ(queue.bytes(), 9U);
  EXPECT_EQ(BlockPool::bytes_in_use(), before);
  EXPECT_TRUE(queue.flush(stream));
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes(), 0U);
  EXPECT_EQ(stream.got, "head body");
  EXPECT_EQ(stream.writes, 1);
}

TEST(OutputQueue, KeepsTheOrderWhereverThePiecesLie) {
  OutputQueue queue;
  NarrowStream stream;
  std::string sent;
  const auto add = [&sent](std::string text) {
    sent += text;
    return text;
  };
  write(queue, add("first "));
  write(queue, add(std::string(4090, 'x')));  // does not fit behind the first
  queue.append(Buffer::copy(add("buffer ")));
  queue.append_copy(add("copied "));
  queue.append_copy(add("behind it "));
  EXPECT_EQ(queue.bytes(), sent.size());
  EXPECT_TRUE(queue.flush(stream));
  EXPECT_EQ(stream.got, sent);
  EXPECT_TRUE(queue.empty());
}

// Every way to cut a message of three parts: nothing is lost, doubled or moved.
TEST(OutputQueue, GoesOnWhereTheStreamStopped) {
  const std::string whole = "head of it|body|and its end";
  for (size_t first = 0; first <= whole.size(); ++first) {
    OutputQueue queue;
    NarrowStream stream;
    write(queue, "head of it|");
    queue.append(Buffer::copy("body"));
    queue.append_copy("|and its end");
    stream.room = first;
    EXPECT_TRUE(queue.flush(stream));
    EXPECT_EQ(queue.bytes(), whole.size() - first);
    EXPECT_EQ(queue.empty(), first == whole.size());
    queue.append_copy(" more");
    while (!queue.empty()) {
      stream.room = 3;
      EXPECT_TRUE(queue.flush(stream));
    }
    EXPECT_EQ(stream.got, whole + " more");
  }
}

TEST(OutputQueue, QueuesDoNotShareWhatWaits) {
  OutputQueue one;
  OutputQueue two;
  NarrowStream first;
  NarrowStream second;
  write(one, "one");
  write(two, "two");
  first.room = 1;
  EXPECT_TRUE(one.flush(first));
  write(two, " and more");
  EXPECT_TRUE(two.flush(second));
  {
    OutputQueue three;
    write(three, "never sent");
  }
  first.room = SIZE_MAX;
  EXPECT_TRUE(one.flush(first));
  EXPECT_EQ(first.got, "one");
  EXPECT_EQ(second.got, "two and more");
  write(one, "forgotten");
  one.clear();
  EXPECT_TRUE(one.empty());
  write(two, "again");
  EXPECT_TRUE(two.flush(second));
  EXPECT_EQ(second.got, "two and moreagain");
}

}  // namespace
}  // namespace headgate::net
