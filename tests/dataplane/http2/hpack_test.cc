// hpack_test.cc -- blocks are decoded as they were encoded, however they are cut; the table follows the peer's setting.
#include "dataplane/http2/hpack.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "dataplane/http2/text_of.h"

namespace headgate::http2 {
namespace {

std::string encode(HeaderEncoder& encoder, std::string_view name, std::string_view value) {
  const std::array<nghttp2_nv, 2> fields{field_of(":path", "/a"), field_of(name, value)};
  std::string block(36 + 5 + name.size() + value.size(), '\0');
  block.resize(encoder.encode(fields.data(), fields.size(), block.data(), block.size()));
  return block;
}

std::string decode(HeaderDecoder& decoder, std::initializer_list<std::string_view> pieces) {
  std::string fields;
  for (const std::string_view piece : pieces) {
    const auto outcome = decoder.decode(piece, [&](std::string_view name, std::string_view value) {
      fields += std::string(name) + "=" + std::string(value) + ";";
      return true;
    });
    if (outcome != HeaderDecoder::Outcome::kOk) return "malformed";
  }
  return decoder.finish() ? fields : "unfinished";
}

TEST(Hpack, AnyCut) {
  HeaderEncoder encoder;
  HeaderDecoder decoder;
  for (size_t cut = 0;; ++cut) {
    const std::string block = encode(encoder, "x-name", "value " + std::to_string(cut));
    if (cut > block.size()) break;
    EXPECT_EQ(decode(decoder, {block.substr(0, cut), block.substr(cut)}),
              ":path=/a;x-name=value " + std::to_string(cut) + ";");
  }
}

TEST(Hpack, RepeatedFieldsCostAByteUnlessThePeerWantsNoTable) {
  HeaderEncoder encoder;
  HeaderDecoder decoder;
  (void)decode(decoder, {encode(encoder, "x-name", "some value")});
  const std::string again = encode(encoder, "x-name", "some value");
  EXPECT_LE(again.size(), 5U);
  EXPECT_EQ(decode(decoder, {again}), ":path=/a;x-name=some value;");
  encoder.set_table_size(0);
  for (int i = 0; i < 2; ++i) {
    const std::string block = encode(encoder, "x-name", "some value");
    EXPECT_GE(block.size(), 10U);
    EXPECT_EQ(decode(decoder, {block}), ":path=/a;x-name=some value;");
  }
}

TEST(Hpack, WhatIsNoBlock) {
  HeaderDecoder unfinished;
  HeaderEncoder encoder;
  const std::string block = encode(encoder, "x-name", "value");
  EXPECT_EQ(decode(unfinished, {std::string_view(block).substr(0, block.size() - 1)}), "unfinished");
  HeaderDecoder decoder;
  EXPECT_EQ(decode(decoder, {"\xff\xff\xff\xff\xff\xff"}), "malformed");  // an index far behind the table
  EXPECT_EQ(decode(decoder, {"\x82"}), "malformed");                      // and nothing after that is believed
}

TEST(Hpack, TheSinkMayStop) {
  HeaderEncoder encoder;
  HeaderDecoder decoder;
  EXPECT_EQ(decoder.decode(encode(encoder, "a", "b"), [](std::string_view, std::string_view) { return false; }),
            HeaderDecoder::Outcome::kStopped);
}

}  // namespace
}  // namespace headgate::http2
