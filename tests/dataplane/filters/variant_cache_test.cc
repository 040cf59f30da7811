#include "dataplane/filters/variant_cache.h"

#include <gtest/gtest.h>

#include <string>

namespace headgate::filters {
namespace {

void insert(VariantCache& cache, uint64_t id, size_t size, uint32_t coding = 1) {
  const Buffer chunks[] = {Buffer::copy(std::string(size / 2, 'a')), Buffer::copy(std::string(size - size / 2, 'b'))};
  cache.insert({.content_id = id, .coding = coding}, chunks);
}

TEST(VariantCache, JoinsChunksAndTellsCodingsApart) {
  VariantCache cache(VariantCache::kMaxBytes);
  insert(cache, 1, 10);
  EXPECT_EQ(cache.find({.content_id = 1, .coding = 1}).view(), "aaaaabbbbb");
  EXPECT_TRUE(cache.find({.content_id = 1, .coding = 2}).empty());
}

TEST(VariantCache, TheLeastRecentlyUsedGoesFirst) {
  VariantCache cache(4 * Block::kSmall);
  for (uint64_t id = 1; id <= 4; ++id) insert(cache, id, 100);
  EXPECT_FALSE(cache.find({.content_id = 1, .coding = 1}).empty());  // used: 2 is the oldest now
  insert(cache, 5, 100);
  EXPECT_TRUE(cache.find({.content_id = 2, .coding = 1}).empty());
  EXPECT_FALSE(cache.find({.content_id = 1, .coding = 1}).empty());
  EXPECT_EQ(cache.size(), 4u);
  EXPECT_LE(cache.bytes(), 4 * Block::kSmall);
}

TEST(VariantCache, WhatIsTooLargeOrNamelessIsNotKept) {
  VariantCache cache(VariantCache::kMaxBytes);
  insert(cache, 0, 100);
  insert(cache, 1, VariantCache::kMaxVariant + 1);
  EXPECT_EQ(cache.size(), 0u);
  EXPECT_EQ(cache.bytes(), 0u);
}

TEST(VariantCache, ABufferOutlivesItsEviction) {
  VariantCache cache(Block::kSmall);
  insert(cache, 1, 10);
  const Buffer held = cache.find({.content_id = 1, .coding = 1});
  insert(cache, 2, 10);
  EXPECT_TRUE(cache.find({.content_id = 1, .coding = 1}).empty());
  EXPECT_EQ(held.view(), "aaaaabbbbb");
}

}  // namespace
}  // namespace headgate::filters
