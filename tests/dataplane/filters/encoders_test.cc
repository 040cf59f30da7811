// The streaming compressors by what decoders make of their output.
#include <brotli/decode.h>
#include <gtest/gtest.h>
#include <zstd.h>

#include <string>

#include "dataplane/base/random.h"
#include "dataplane/filters/encoder.h"

namespace headgate::filters {
namespace {

std::string brotli_decoded(const std::string& coded) {
  std::string plain(8 << 20, '\0');
  size_t size = plain.size();
  const auto result = BrotliDecoderDecompress(coded.size(), reinterpret_cast<const uint8_t*>(coded.data()), &size,
                                              reinterpret_cast<uint8_t*>(plain.data()));
  EXPECT_EQ(result, BROTLI_DECODER_RESULT_SUCCESS);
  plain.resize(result == BROTLI_DECODER_RESULT_SUCCESS ? size : 0);
  return plain;
}

std::string zstd_decoded(const std::string& coded) {
  std::string plain(8 << 20, '\0');
  const size_t size = ZSTD_decompress(plain.data(), plain.size(), coded.data(), coded.size());
  EXPECT_EQ(ZSTD_isError(size), 0u);
  plain.resize(ZSTD_isError(size) != 0 ? 0 : size);
  return plain;
}

// Pieces of input, rooms for output and flushes at random; what comes out, or "" on failure.
std::string encode(EncoderLease encoder, std::string_view plain, Random& random) {
  std::string coded;
  std::string room;
  const auto step = [&](std::string_view input, Encoder::Flush flush) {
    room.resize(1 + random.below(5000));
    const Encoder::Step result = encoder->run(input, room, flush);
    EXPECT_FALSE(result.failed);
    coded.append(room, 0, result.produced);
    return result;
  };
  while (!plain.empty()) {
    std::string_view piece = plain.substr(0, 1 + random.below(20000));
    plain.remove_prefix(piece.size());
    while (!piece.empty()) piece.remove_prefix(step(piece, Encoder::Flush::kNone).consumed);
    if (random.below(4) == 0) {
      while (!step({}, Encoder::Flush::kSync).complete) {
      }
    }
  }
  while (!step({}, Encoder::Flush::kFinish).complete) {
  }
  return coded;
}

TEST(Encoders, RoundTrips) {
  Random random(7);
  for (int round = 0; round < 30; ++round) {
    std::string plain;
    const size_t size = random.below(200'000);
    while (plain.size() < size) {
      plain += random.below(3) == 0 ? std::to_string(random.next()) : std::string("the same words again and again ");
    }
    const int level = 1 + static_cast<int>(random.below(6));
    EXPECT_EQ(brotli_decoded(encode(take_brotli_encoder(level), plain, random)), plain);
    EXPECT_EQ(zstd_decoded(encode(take_zstd_encoder(level), plain, random)), plain);
  }
}

TEST(Encoders, WhatWasFlushedCanBeDecoded) {
  for (const bool brotli : {true, false}) {
    EncoderLease encoder = brotli ? take_brotli_encoder(5) : take_zstd_encoder(5);
    std::string coded(1000, '\0');
    const Encoder::Step taken = encoder->run("event", coded, Encoder::Flush::kNone);
    EXPECT_EQ(taken.consumed, 5u);
    const Encoder::Step flushed =
        encoder->run({}, std::span<char>(coded).subspan(taken.produced), Encoder::Flush::kSync);
    EXPECT_TRUE(flushed.complete);
    coded.resize(taken.produced + flushed.produced);
    std::string plain(100, '\0');
    if (brotli) {
      BrotliDecoderState* const decoder = BrotliDecoderCreateInstance(nullptr, nullptr, nullptr);
      size_t in_left = coded.size();
      const auto* in = reinterpret_cast<const uint8_t*>(coded.data());
      size_t out_left = plain.size();
      auto* out = reinterpret_cast<uint8_t*>(plain.data());
      BrotliDecoderDecompressStream(decoder, &in_left, &in, &out_left, &out, nullptr);
      plain.resize(plain.size() - out_left);
      BrotliDecoderDestroyInstance(decoder);
    } else {
      ZSTD_DCtx* const decoder = ZSTD_createDCtx();
      ZSTD_inBuffer in{coded.data(), coded.size(), 0};
      ZSTD_outBuffer out{plain.data(), plain.size(), 0};
      ZSTD_decompressStream(decoder, &out, &in);
      plain.resize(out.pos);
      ZSTD_freeDCtx(decoder);
    }
    EXPECT_EQ(plain, "event");
  }
}

TEST(Encoders, AreBounded) {
  std::vector<EncoderLease> leases;
  for (int i = 0; i < 64; ++i) leases.push_back(take_zstd_encoder(1));
  EXPECT_TRUE(leases.back());
  EXPECT_FALSE(take_zstd_encoder(1));
  leases.clear();
  EXPECT_TRUE(take_zstd_encoder(1));
}

}  // namespace
}  // namespace headgate::filters
