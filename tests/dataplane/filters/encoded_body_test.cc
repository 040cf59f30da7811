#include "dataplane/filters/encoded_body.h"

#include <gtest/gtest.h>

#include "tests/support/exchange_harness.h"
#include "tests/support/inflate.h"

namespace headgate::filters {
namespace {

using test::Answer;
using test::ExchangeHarness;
using test::HandlerFunction;
using test::inflate_gzip;
using test::ScriptedBody;
using Pace = test::ScriptedBody::Pace;

std::string numbers(size_t size) {
  std::string text;
  for (size_t i = 0; text.size() < size; ++i) text += std::to_string(i * 7919) + (i % 10 == 9 ? "\n" : " ");
  text.resize(size);
  return text;
}

std::vector<std::string> cut(const std::string& text, size_t size) {
  std::vector<std::string> chunks;
  for (size_t at = 0; at < text.size(); at += size) chunks.push_back(text.substr(at, size));
  return chunks;
}

// Sends `source` through an encoder.
class EncodedBodyTest : public ::testing::Test {
 protected:
  HandlerFunction handler(http::BodySource& source, VariantKey keep = {}) {
    return HandlerFunction([this, &source, keep](http::Exchange& exchange) {
      exchange.respond(exchange.arena().make<EncodedBody>(source, take_gzip_encoder(5), exchange.arena(), variants_, keep));
    });
  }
  Answer run(http::BodySource& source, VariantKey keep = {}) { return harness_.run({}, {}, handler(source, keep)); }

  VariantCache variants_{VariantCache::kMaxBytes};
  ExchangeHarness harness_;
};

TEST_F(EncodedBodyTest, EveryChunkSizeAndPaceRoundTrips) {
  const std::string text = numbers(70'000);
  for (const Pace pace : {Pace::kAtOnce, Pace::kLater}) {
    for (const size_t size : {size_t{1}, size_t{7}, size_t{1000}, size_t{16'352}, size_t{70'000}}) {
      if (pace == Pace::kLater && size == 1) continue;  // the same as 7, only slower
      ScriptedBody source(harness_.loop(), cut(text, size), pace);
      const Answer answer = run(source);
      EXPECT_TRUE(answer.complete) << size;
      EXPECT_EQ(inflate_gzip(answer.body), text) << size;
    }
  }
}

TEST_F(EncodedBodyTest, IncompressibleInputRoundTrips) {
  std::string noise(300'000, '\0');
  Random random(7);
  for (char& c : noise) c = static_cast<char>(random.next());
  ScriptedBody source(harness_.loop(), cut(noise, 65'504), Pace::kAtOnce);
  const Answer answer = run(source);
  EXPECT_EQ(inflate_gzip(answer.body), noise);
  for (const size_t size : answer.chunk_sizes) EXPECT_LE(size, Block::kMedium);
}

TEST_F(EncodedBodyTest, EmptyBodyIsAnEmptyGzipStream) {
  ScriptedBody source(harness_.loop(), {}, Pace::kAtOnce);
  const Answer answer = run(source);
  EXPECT_TRUE(answer.complete);
  EXPECT_FALSE(answer.body.empty());
  EXPECT_EQ(inflate_gzip(answer.body), "");
}

TEST_F(EncodedBodyTest, DoesNotFlushWhileTheSourceAnswersAtOnce) {
  const std::string text = numbers(10'000);
  ScriptedBody at_once(harness_.loop(), cut(text, 10), Pace::kAtOnce);
  const Answer one = run(at_once);
  EXPECT_EQ(one.chunk_sizes.size(), 1u);
  ScriptedBody later(harness_.loop(), cut(text, 10), Pace::kLater);
  const Answer many = run(later);
  EXPECT_GT(many.chunk_sizes.size(), 500u);
  EXPECT_GT(many.body.size(), one.body.size());
}

TEST_F(EncodedBodyTest, WhatAWaitingSourceGaveCanBeDecodedAtOnce) {
  ScriptedBody source(harness_.loop(), {"data: one\n\n", "data: two\n\n"}, Pace::kManual);
  HandlerFunction function = handler(source);
  harness_.begin({}, {}, function);
  EXPECT_EQ(harness_.answer().body, "");
  ASSERT_TRUE(source.release());
  EXPECT_EQ(inflate_gzip(harness_.answer().body, test::Ending::kOpen), "data: one\n\n");
  ASSERT_TRUE(source.release());
  EXPECT_EQ(inflate_gzip(harness_.answer().body, test::Ending::kOpen), "data: one\n\ndata: two\n\n");
  EXPECT_FALSE(harness_.ended());
  ASSERT_TRUE(source.release());
  EXPECT_TRUE(harness_.ended());
  EXPECT_EQ(inflate_gzip(harness_.end().body), "data: one\n\ndata: two\n\n");
}

TEST_F(EncodedBodyTest, PullsNothingUnasked) {
  harness_.pull_at_once = false;
  const std::string text = numbers(200'000);
  ScriptedBody source(harness_.loop(), cut(text, 1000), Pace::kAtOnce);
  HandlerFunction function = handler(source);
  harness_.begin({}, {}, function);
  EXPECT_EQ(source.pulls(), 0u);
  harness_.pull();
  const size_t after_one = source.pulls();
  EXPECT_GT(after_one, 0u);
  EXPECT_LT(after_one, 150u);
  EXPECT_EQ(harness_.answer().chunk_sizes.size(), 1u);
  while (!harness_.ended()) harness_.pull();
  EXPECT_EQ(inflate_gzip(harness_.end().body), text);
}

TEST_F(EncodedBodyTest, AnErrorOfTheSourceIsNeverACleanEnd) {
  for (const Pace pace : {Pace::kAtOnce, Pace::kLater}) {
    ScriptedBody source(harness_.loop(), {"some text"}, pace);
    source.set_failure({.code = Errc::kReset, .origin = Origin::kUpstream, .detail = "gone"});
    const Answer answer = run(source);
    EXPECT_TRUE(answer.failed);
    EXPECT_FALSE(answer.complete);
    EXPECT_EQ(answer.error.code, Errc::kReset);
  }
}

TEST_F(EncodedBodyTest, TrailersFollow) {
  Arena arena;
  http::Trailers trailers(arena);
  trailers.add("Grpc-Status", "0");
  ScriptedBody source(harness_.loop(), {"text"}, Pace::kAtOnce);
  source.set_trailers(&trailers);
  const Answer answer = run(source);
  EXPECT_EQ(answer.trailers, (test::FieldList{{"Grpc-Status", "0"}}));
}

TEST_F(EncodedBodyTest, CancelReachesTheSourceAndGivesTheEncoderBack) {
  for (int i = 0; i < 1000; ++i) {  // more than may be active at once
    ScriptedBody source(harness_.loop(), {"text", "more"}, Pace::kManual);
    Arena arena;
    auto* body = arena.make<EncodedBody>(source, take_gzip_encoder(5), arena, variants_, VariantKey{});
    body->cancel();
    EXPECT_TRUE(source.canceled());
  }
  EXPECT_TRUE(static_cast<bool>(take_gzip_encoder(5)));
}

TEST_F(EncodedBodyTest, KeepsAWholeBodyOnly) {
  const std::string text = numbers(50'000);
  ScriptedBody broken(harness_.loop(), cut(text, 1000), Pace::kAtOnce);
  broken.set_failure({.code = Errc::kReset, .detail = "gone"});
  run(broken, {.content_id = 1});
  EXPECT_EQ(variants_.size(), 0u);
  ScriptedBody whole(harness_.loop(), cut(text, 1000), Pace::kAtOnce);
  const Answer answer = run(whole, {.content_id = 1});
  EXPECT_EQ(variants_.find({.content_id = 1}).view(), answer.body);
  EXPECT_TRUE(variants_.find({.content_id = 2}).empty());
}

TEST(GzipEncoder, LevelsDifferAndStatesAreReused) {
  const std::string text = numbers(60'000);
  std::string out(100'000, '\0');
  size_t sizes[2];
  for (int round = 0; round < 2; ++round) {
    int i = 0;
    for (const int level : {1, 9}) {
      EncoderLease lease = take_gzip_encoder(level);
      const Encoder::Step step = lease->run(text, out, Encoder::Flush::kFinish);
      ASSERT_TRUE(step.complete);
      sizes[i++] = step.produced;
      EXPECT_EQ(inflate_gzip(std::string_view(out).substr(0, step.produced)), text);
    }
    EXPECT_GT(sizes[0], sizes[1]);
  }
}

TEST(GzipEncoder, ThereIsALimitOfActiveStates) {
  std::vector<EncoderLease> leases;
  for (int i = 0; i < 256; ++i) leases.push_back(take_gzip_encoder(1));
  EXPECT_TRUE(static_cast<bool>(leases.back()));
  EXPECT_FALSE(static_cast<bool>(take_gzip_encoder(1)));
  leases.pop_back();
  EXPECT_TRUE(static_cast<bool>(take_gzip_encoder(1)));
}

}  // namespace
}  // namespace headgate::filters
