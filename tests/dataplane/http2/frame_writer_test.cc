// frame_writer_test.cc -- what is written is read back: heads of any length, bodies, and frames that had to wait.
#include "dataplane/http2/frame_writer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dataplane/base/arena.h"
#include "dataplane/http2/frame_reader.h"

namespace headgate::http2 {
namespace {

// Takes what it is given, or nothing.
class Pipe final : public net::ByteStream {
 public:
  Result<net::IoResult> read(std::span<char>) override { return net::IoResult{0, net::IoState::kWouldBlock}; }
  Result<net::IoResult> write(std::span<const iovec> pieces) override {
    size_t size = 0;
    for (const iovec& piece : pieces) {
      bytes.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
      size += piece.iov_len;
    }
    return net::IoResult{size, net::IoState::kOk};
  }
  bool readable_hint() const override { return false; }
  void watch(net::Interest, net::StreamObserver&) override {}
  void unwatch() override {}
  void shutdown_write() override {}
  const ConnectionFacts& facts() const override { return facts_; }
  void set_ends(const SocketAddress&, const SocketAddress&) override {}
  std::string bytes;

 private:
  ConnectionFacts facts_;
};

// One line for each frame; header blocks are decoded.
std::string lines(std::string_view bytes, HeaderDecoder& decoder) {
  FrameReader reader(FrameReader::Preface::kNone);
  std::string said;
  size_t content = 0;
  std::string fields;
  for (;;) {
    const FrameHeader& header = reader.header();
    switch (reader.next(bytes)) {
      case FrameReader::Event::kHeader:
        EXPECT_LE(header.length, kDefaultFrameSize);
        content = 0;
        break;
      case FrameReader::Event::kContent:
        content += reader.content().size();
        if (header.type == FrameType::kData) break;
        EXPECT_EQ(decoder.decode(reader.content(),
                                 [&](std::string_view name, std::string_view value) {
                                   fields += " " + std::string(name) + "=" +
                                             (value.size() < 20 ? std::string(value) : std::to_string(value.size()));
                                   return true;
                                 }),
                  HeaderDecoder::Outcome::kOk);
        break;
      case FrameReader::Event::kEnd:
        said += std::to_string(static_cast<int>(header.type)) + (header.ends_stream() ? "!" : "");
        if (header.type == FrameType::kData) said += " " + std::to_string(content);
        if (header.type <= FrameType::kHeaders || header.type == FrameType::kContinuation) {
          if (header.has(frame_flag::kEndHeaders) && header.type != FrameType::kData) {
            EXPECT_TRUE(decoder.finish());
            said += std::exchange(fields, {});
          }
        }
        said += "\n";
        break;
      case FrameReader::Event::kNeedMore: return said;
      default: break;
    }
  }
}

class FrameWriterTest : public testing::Test {
 protected:
  void flush() {
    EXPECT_TRUE(queue_.flush(pipe_).has_value());
    writer_.drained();
  }
  std::string written() {
    flush();
    return lines(std::exchange(pipe_.bytes, {}), decoder_);
  }
  http::RequestHead head(std::string_view value) {
    http::RequestHead made(arena_);
    made.method_text = "GET";
    made.target = "/";
    made.headers.add("X-Field", value);
    return made;
  }

  Arena arena_;
  Pipe pipe_;
  net::OutputQueue queue_;
  FrameWriter writer_{queue_};
  HeaderDecoder decoder_;
};

TEST_F(FrameWriterTest, HeadsOfAnyLength) {
  for (const size_t size : {size_t{10}, size_t{1000}, size_t{16000}, size_t{17000}, size_t{40000}, size_t{60000}}) {
    const std::string value(size, 'v');
    writer_.head(1, FieldArray(head(value)), true);
    const std::string said = written();
    const std::string end = " x-field=" + (size < 20 ? value : std::to_string(size)) + "\n";
    ASSERT_GE(said.size(), end.size());
    EXPECT_EQ(said.substr(said.size() - end.size()), end) << size;
    EXPECT_TRUE(said.starts_with("1!")) << size;
    EXPECT_EQ(said.find("\n9") != std::string::npos, size > 30000) << said;
  }
}

TEST_F(FrameWriterTest, BodiesSmallAndLarge) {
  writer_.data(1, Buffer::copy("abc"), false);
  writer_.data(1, Buffer::copy(std::string(10000, 'x')), false);
  writer_.data(1, Buffer(), true);
  EXPECT_EQ(written(), "0 3\n0 10000\n0! 0\n");
}

TEST_F(FrameWriterTest, WhatComesWhileTheQueueIsFullWaitsInOrder) {
  for (int i = 0; !writer_.full(); ++i) writer_.data(1, Buffer::copy(std::string(10000, 'x')), false);
  for (int i = 0; i < 100; ++i) {
    writer_.head(2 * i + 1, FieldArray(head(std::string(4000, 'v'))), true);
    writer_.reset(2 * i + 1, ErrorCode::kCancel);
  }
  EXPECT_EQ(writer_.control_frames(), 100U);
  EXPECT_TRUE(writer_.full());
  flush();
  EXPECT_TRUE(writer_.full());  // until it has caught up
  writer_.catch_up();
  const std::string said = written();
  EXPECT_EQ(writer_.control_frames(), 0U);
  EXPECT_FALSE(writer_.full());
  std::string expected;
  for (int i = 0; i < 100; ++i) expected += "1! :method=GET :scheme=http :path=/ x-field=4000\n3\n";
  EXPECT_EQ(said.substr(said.find('1', said.rfind("0 10000\n") + 8)), expected);
}

TEST_F(FrameWriterTest, FramesOfTheConnection) {
  writer_.settings(std::vector<SettingEntry>{{Setting::kEnablePush, 0}, {Setting::kInitialWindowSize, 70000}});
  writer_.settings_ack();
  writer_.ping_ack("12345678");
  writer_.window_update(0, 100);
  writer_.goaway(7, ErrorCode::kNoError);
  EXPECT_EQ(writer_.control_frames(), 5U);
  flush();
  const std::string expected(
      "\0\0\x0c\4\0\0\0\0\0"
      "\0\2\0\0\0\0"
      "\0\4\0\1\x11\x70"
      "\0\0\0\4\1\0\0\0\0"
      "\0\0\x08\6\1\0\0\0\0"
      "12345678"
      "\0\0\4\x08\0\0\0\0\0"
      "\0\0\0\x64"
      "\0\0\x08\7\0\0\0\0\0"
      "\0\0\0\7\0\0\0\0",
      77);
  EXPECT_EQ(pipe_.bytes, expected);
}

}  // namespace
}  // namespace headgate::http2
