#include "dataplane/control/kept_text.h"

#include <gtest/gtest.h>

#include "dataplane/base/random.h"

namespace headgate::control {
namespace {

TEST(KeptTextTest, GivesBackWhatItWasGiven) {
  KeptText kept;
  EXPECT_EQ(kept.get(), "");
  for (const size_t size : {size_t{0}, size_t{1}, size_t{65535}, size_t{65536}, size_t{3000000}}) {
    std::string text;
    for (size_t i = 0; text.size() < size; ++i) text += "\"host" + std::to_string(i) + ".test\": {\"A\": \"192.0.2.1\"},\n";
    text.resize(size);
    kept.set(text);
    EXPECT_EQ(kept.get(), text) << size;
    if (size >= 65536) {
      EXPECT_LT(kept.kept_bytes(), size / 4);
    }
  }
  kept.set("short again");
  EXPECT_EQ(kept.get(), "short again");
  EXPECT_EQ(kept.kept_bytes(), 11U);
}

TEST(KeptTextTest, WhatDoesNotShrinkIsKeptAsItIs) {
  std::string noise(100000, '\0');
  fill_secure_random({reinterpret_cast<uint8_t*>(noise.data()), noise.size()});
  KeptText kept;
  kept.set(noise);
  EXPECT_EQ(kept.get(), noise);
  EXPECT_LE(kept.kept_bytes(), noise.size());
}

}  // namespace
}  // namespace headgate::control
