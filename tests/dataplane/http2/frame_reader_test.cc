// frame_reader_test.cc -- frames come out the same however the bytes are cut, and what must not be read is told first.
#include "dataplane/http2/frame_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace headgate::http2 {
namespace {

std::string frame(FrameType type, uint8_t flags, int32_t stream, std::string_view payload) {
  std::string bytes(FrameHeader::kSize, '\0');
  write_frame_header(
      bytes.data(),
      {.length = static_cast<uint32_t>(payload.size()), .type = type, .flags = flags, .stream_id = stream});
  return bytes + std::string(payload);
}

// What the reader says, with the pieces of one frame's content joined.
std::string transcript(FrameReader& reader, const std::vector<std::string_view>& pieces) {
  std::string said;
  std::string content;
  for (std::string_view piece : pieces) {
    for (;;) {
      const FrameReader::Event event = reader.next(piece);
      if (event == FrameReader::Event::kNeedMore) break;
      const FrameHeader& header = reader.header();
      switch (event) {
        case FrameReader::Event::kHeader:
          said += std::to_string(static_cast<int>(header.type)) + " " + std::to_string(header.flags) + " on " +
                  std::to_string(header.stream_id) + " of " + std::to_string(header.length) + ": ";
          if (reader.fixed_too_long()) return said + "too long";
          break;
        case FrameReader::Event::kFixed:
          said += "[" + std::string(reader.fixed()) + "]";
          if (reader.padding_too_long()) return said + "padding too long";
          if (reader.padding() > 0) said += " padding " + std::to_string(reader.padding());
          break;
        case FrameReader::Event::kContent: content += reader.content(); break;
        case FrameReader::Event::kEnd: said += " " + std::exchange(content, {}) + "\n"; break;
        case FrameReader::Event::kBadPreface: return said + "bad preface";
        case FrameReader::Event::kNeedMore: break;
      }
    }
    EXPECT_TRUE(piece.empty());
  }
  return said;
}

std::string read(std::string_view bytes, FrameReader::Preface preface = FrameReader::Preface::kNone) {
  FrameReader reader(preface);
  return transcript(reader, {bytes});
}

TEST(FrameReader, AnyCutGivesTheSameFrames) {
  const std::string bytes = std::string(kClientPreface) + frame(FrameType::kSettings, 0, 0, "123456abcdef") +
                            frame(FrameType::kSettings, frame_flag::kAck, 0, "") +
                            frame(FrameType::kHeaders, frame_flag::kPadded | frame_flag::kPriority, 1,
                                  "\x03"
                                  "pppppblock---") +
                            frame(FrameType::kContinuation, frame_flag::kEndHeaders, 1, "rest") +
                            frame(FrameType::kData, frame_flag::kPadded, 1,
                                  std::string("\x02"
                                              "data..",
                                              7)) +
                            frame(FrameType::kData, frame_flag::kEndStream, 1, "") +
                            frame(FrameType::kGoaway, 0, 0, "12345678debug") + frame(FrameType{77}, 9, 5, "whatever") +
                            frame(FrameType::kPing, 0, 0, "pingping");
  const std::string expected =
      "4 0 on 0 of 12: [123456abcdef] \n4 1 on 0 of 0:  \n1 40 on 1 of 14: [\x03ppppp] padding 3 block\n"
      "9 4 on 1 of 4:  rest\n0 8 on 1 of 7: [\x02] padding 2 data\n0 1 on 1 of 0:  \n7 0 on 0 of 13: [12345678] debug\n"
      "77 9 on 5 of 8:  whatever\n6 0 on 0 of 8: [pingping] \n";
  EXPECT_EQ(read(bytes, FrameReader::Preface::kExpected), expected);
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    FrameReader reader(FrameReader::Preface::kExpected);
    EXPECT_EQ(transcript(reader, {std::string_view(bytes).substr(0, cut), std::string_view(bytes).substr(cut)}),
              expected)
        << cut;
  }
  std::vector<std::string_view> single;
  for (size_t at = 0; at < bytes.size(); ++at) single.push_back(std::string_view(bytes).substr(at, 1));
  FrameReader reader(FrameReader::Preface::kExpected);
  EXPECT_EQ(transcript(reader, single), expected);
}

TEST(FrameReader, APrefaceThatIsAnotherIsSeenAtItsFirstWrongByte) {
  EXPECT_EQ(read("GET / HTTP/1.1\r\n", FrameReader::Preface::kExpected), "bad preface");
  for (size_t at = 0; at < kClientPreface.size(); ++at) {
    std::string bytes(kClientPreface.substr(0, at + 1));
    bytes.back() ^= 1;
    EXPECT_EQ(read(bytes, FrameReader::Preface::kExpected), "bad preface") << at;
  }
}

TEST(FrameReader, FixedPartsThatDoNotFitAreToldWithTheHeader) {
  EXPECT_EQ(read(frame(FrameType::kSettings, 0, 0, std::string(6 * FrameReader::kMaxSettings, 's'))).back(), '\n');
  EXPECT_EQ(read(frame(FrameType::kSettings, 0, 0, std::string(6 * FrameReader::kMaxSettings + 6, 's'))),
            "4 0 on 0 of 198: too long");
  EXPECT_EQ(read(frame(FrameType::kData, frame_flag::kPadded, 1, "")), "0 8 on 1 of 0: too long");
  EXPECT_EQ(read(frame(FrameType::kHeaders, frame_flag::kPriority, 1, "1234")), "1 32 on 1 of 4: too long");
  EXPECT_EQ(read(frame(FrameType::kGoaway, 0, 0, "1234567")), "7 0 on 0 of 7: too long");
}

TEST(FrameReader, PaddingThatIsLongerThanTheFrame) {
  EXPECT_EQ(read(frame(FrameType::kData, frame_flag::kPadded, 1,
                       "\x03"
                       "ab")),
            "0 8 on 1 of 3: [\x03]padding too long");
  EXPECT_EQ(read(frame(FrameType::kData, frame_flag::kPadded, 1,
                       "\x02"
                       "ab")),
            "0 8 on 1 of 3: [\x02] padding 2 \n");
}

TEST(FrameReader, TheReservedBitIsNotPartOfTheStream) {
  std::string bytes = frame(FrameType::kData, 0, 3, "");
  bytes[5] = static_cast<char>(0x80);
  EXPECT_EQ(read(bytes), "0 0 on 3 of 0:  \n");
}

}  // namespace
}  // namespace headgate::http2
