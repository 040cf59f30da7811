#include "dataplane/handlers/body_spool.h"

#include <gtest/gtest.h>

#include "dataplane/base/random.h"
#include "tests/support/temp_folder.h"

namespace headgate::handlers {
namespace {

std::string all_of(const BodySpool& spool, uint64_t from = 0) {
  std::string text;
  for (;;) {
    const auto piece = spool.read(from + text.size());
    EXPECT_TRUE(piece.has_value());
    if (!piece || piece->empty()) return text;
    text.append(piece->view());
  }
}

TEST(BodySpool, KeepsWhatItWasGiven) {
  const test::TempFolder folder;
  Random random(3);
  for (const uint64_t memory : {uint64_t{0}, uint64_t{40'000}, uint64_t{1} << 20}) {
    const SpoolLimits limits{.memory = memory, .worker_memory = 1 << 20, .folder = folder.path()};
    std::string expected;
    {
      BodySpool spool;
      EXPECT_EQ(all_of(spool), "");
      for (int i = 0; i < 300; ++i) {
        const std::string piece(1 + random.below(1000), static_cast<char>('a' + i % 26));
        expected += piece;
        ASSERT_TRUE(spool.append(piece, limits).has_value());
        ASSERT_EQ(spool.size(), expected.size());
      }
      EXPECT_EQ(all_of(spool), expected);
      const uint64_t from = random.below(expected.size());
      EXPECT_EQ(all_of(spool, from), expected.substr(from));
      EXPECT_LE(BodySpool::memory_in_use(), std::max<uint64_t>(memory, 16 * 1024));
    }
    EXPECT_EQ(BodySpool::memory_in_use(), 0u);
  }
}

TEST(BodySpool, BodiesOfAWorkerShareTheirMemory) {
  const test::TempFolder folder;
  const SpoolLimits limits{.memory = 1 << 20, .worker_memory = 64 * 1024, .folder = folder.path()};
  BodySpool first;
  BodySpool second;
  const std::string text(200'000, 't');
  ASSERT_TRUE(first.append(text, limits).has_value());
  ASSERT_TRUE(second.append(text, limits).has_value());
  EXPECT_LE(BodySpool::memory_in_use(), 64u * 1024u);
  EXPECT_EQ(all_of(first), text);
  EXPECT_EQ(all_of(second), text);
}

TEST(BodySpool, SaysWhenThereIsNoRoom) {
  const SpoolLimits limits{.memory = 16 * 1024, .worker_memory = 1 << 20, .folder = "/nonexistent"};
  BodySpool spool;
  const auto kept = spool.append(std::string(100'000, 'x'), limits);
  ASSERT_FALSE(kept.has_value());
  EXPECT_EQ(kept.error().code, Errc::kOverloaded);
}

}  // namespace
}  // namespace headgate::handlers
