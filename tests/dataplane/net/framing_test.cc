#include "dataplane/net/framing.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace headgate::net {
namespace {

struct Read {
  std::vector<std::string> messages;
  size_t lost = 0;
};

Read read_all(Framing framing, std::string_view bytes, size_t step) {
  FrameReader reader(framing);
  Read read;
  std::string held;
  for (size_t at = 0; at < bytes.size() + 1; at += step) {
    const bool at_end = at + step > bytes.size();
    held += bytes.substr(std::min(at, bytes.size()), step);
    while (!held.empty()) {
      const Frame frame = reader.next(held, at_end);
      if (frame.state == Frame::State::kMessage) read.messages.emplace_back(frame.message);
      if (frame.state == Frame::State::kTooLarge) ++read.lost;
      held.erase(0, frame.size);
      if (frame.state == Frame::State::kNeedMore) break;
    }
  }
  return read;
}

TEST(Framing, LinesInPiecesOfEverySize) {
  const std::string bytes = "a:1|c\n\nlong line\nlast";
  const std::vector<std::string> expected = {"a:1|c", "", "long line", "last"};
  for (size_t step = 1; step <= bytes.size() + 1; ++step) {
    EXPECT_EQ(read_all(Framing::kLine, bytes, step).messages, expected) << step;
  }
}

TEST(Framing, LengthsKeepEmptyMessages) {
  const std::string bytes("\0\3abc\0\0\0\1x", 10);
  for (size_t step = 1; step <= bytes.size() + 1; ++step) {
    const Read read = read_all(Framing::kLength, bytes, step);
    EXPECT_EQ(read.messages, (std::vector<std::string>{"abc", "", "x"})) << step;
    EXPECT_EQ(read.lost, 0U);
  }
}

TEST(Framing, ACutMessageIsLostAndSaysSo) {
  const std::string bytes("\0\5abc", 5);
  const Read read = read_all(Framing::kLength, bytes, 2);
  EXPECT_TRUE(read.messages.empty());
  EXPECT_EQ(read.lost, 1U);
}

TEST(Framing, ALineThatNoDatagramHoldsIsLostOnceAndTheNextOneIsRead) {
  const std::string bytes = std::string(3 * kMaxMessage, 'x') + "\nnext\n";
  for (const size_t step : {size_t{1000}, bytes.size() + 1}) {
    const Read read = read_all(Framing::kLine, bytes, step);
    EXPECT_EQ(read.messages, std::vector<std::string>{"next"}) << step;
    EXPECT_EQ(read.lost, 1U) << step;
  }
}

TEST(Framing, MarksAreThoseThatAreRead) {
  FrameMarks marks;
  ASSERT_TRUE(write_marks(Framing::kLength, std::string(300, 'x'), marks));
  EXPECT_EQ(marks.head_size, 2);
  EXPECT_EQ(static_cast<uint8_t>(marks.head[0]), 1);
  EXPECT_EQ(static_cast<uint8_t>(marks.head[1]), 44);
  EXPECT_FALSE(write_marks(Framing::kLength, std::string(65536, 'x'), marks));
  ASSERT_TRUE(write_marks(Framing::kLine, "x", marks));
  EXPECT_EQ(marks.tail_size, 1);
  ASSERT_TRUE(write_marks(Framing::kLine, "x\n", marks));
  EXPECT_EQ(marks.tail_size, 0);
}

}  // namespace
}  // namespace headgate::net
