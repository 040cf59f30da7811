#include "dataplane/upstream/sticky_index.h"

#include <gtest/gtest.h>

#include "dataplane/tls/crypto.h"
#include "tests/dataplane/upstream/upstream_builder.h"

namespace headgate::upstream {
namespace {

TEST(StickyIndex, KeysLeadBackAndNothingElseDoes) {
  const std::vector<std::string_view> texts = {"10.0.0.1:80", "10.0.0.2:80", "[2001:db8::1]:8080"};
  StickyIndex index;
  EXPECT_TRUE(index.empty());
  EXPECT_FALSE(index.find(std::string(32, '0')).has_value());
  index.build("default-shop-80", texts);
  for (uint32_t i = 0; i < texts.size(); ++i) {
    std::string key(StickyIndex::kKeySize, '\0');
    index.write_key(i, key.data());
    EXPECT_EQ(index.find(key), i);
    key[7] = key[7] == '0' ? '1' : '0';
    EXPECT_FALSE(index.find(key).has_value());
  }
  for (const std::string& bad : {std::string(), std::string("abc"), std::string(32, 'g'), std::string(33, '0')}) {
    EXPECT_FALSE(index.find(bad).has_value());
  }
}

TEST(StickyIndex, TextsAreThoseOfIngressNginx) {
  if (!tls::md5("").has_value()) GTEST_SKIP() << "no MD5 here";
  StickyIndex index;
  index.build("default-shop-80", {"10.0.0.1:80"});
  std::string key(StickyIndex::kKeySize, '\0');
  index.write_key(0, key.data());
  EXPECT_EQ(key, tls::hex_text(*tls::md5("default-shop-8010.0.0.1:80")));
  EXPECT_EQ(StickyIndex::tag_of("a"), tls::hex_text(*tls::md5("0cc175b9c0f1b6a831c399e269772661a")));
}

TEST(StickyIndex, SessionsUseTheRingWhateverThePolicy) {
  Bench bench(BalancePolicy::kRoundRobin, make_endpoints(8), [](UpstreamSettings& settings) {
    settings.sticky_name = "app";
  });
  std::vector<size_t> counts(8);
  for (int i = 0; i < 400; ++i) {
    const uint64_t key = hash_key_of_text("session" + std::to_string(i));
    PickInput input{.hash_key = key, .tried = nullptr, .load = bench.load, .random = bench.random, .now = bench.now,
                    .sticky = true};
    const auto first = pick(*bench.upstream, input);
    ASSERT_TRUE(first.has_value());
    EXPECT_EQ(pick(*bench.upstream, input), first);
    ++counts[*first];
  }
  for (const size_t count : counts) EXPECT_GT(count, 15u);
  // Without a session the turns go on.
  EXPECT_NE(bench.next(), bench.next());
}

}  // namespace
}  // namespace headgate::upstream
