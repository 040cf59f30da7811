#include "dataplane/dns/zone.h"

#include <gtest/gtest.h>

#include "tests/dataplane/dns/dns_fixture.h"

namespace headgate::dns {
namespace {

TEST(Zone, FindsEveryNameAndNoOther) {
  ZoneSetBuilder builder;
  std::vector<Name> names;
  const uint8_t address[] = {192, 0, 2, 1};
  for (int i = 0; i < 5000; ++i) {
    names.push_back(name_of("h" + std::to_string(i) + ".d" + std::to_string(i % 37) + ".Lan"));
    ASSERT_TRUE(builder.add(names.back().view(), kTypeA, 60, address).has_value());
  }
  ASSERT_TRUE(builder.open_zone(name_of("lan").view()).has_value());
  const ZoneSet zones = build_or_fail(builder);
  EXPECT_EQ(zones.name_count(), 5000U + 37 + 1);
  EXPECT_EQ(zones.zone_count(), 1U);
  LookupName lookup;
  for (const Name& name : names) {
    zones.prepare(name.view(), lookup);
    const ZoneSet::Node node = zones.find(lookup, 0);
    ASSERT_TRUE(node);
    EXPECT_TRUE(node.name().equals(name.view()));
    EXPECT_EQ(node.apex_labels(), 1U);
  }
  size_t first = 0;
  zones.prepare(name_of("x.h1.d1.lan").view(), lookup);
  EXPECT_FALSE(zones.find(lookup, 0));
  EXPECT_EQ(zones.find_closest(lookup, first).name().to_string(), "h1.d1.lan.");
  EXPECT_EQ(first, 1U);
  zones.prepare(name_of("d99.lan").view(), lookup);
  EXPECT_EQ(zones.find_closest(lookup, first).name().to_string(), "lan.");
  zones.prepare(name_of("example").view(), lookup);
  EXPECT_FALSE(zones.find_closest(lookup, first));
  zones.prepare(NameView(), lookup);
  EXPECT_FALSE(zones.find_closest(lookup, first));
  std::string deep;
  for (int i = 0; i < 120; ++i) deep += "a.";
  zones.prepare(name_of(deep + "lan").view(), lookup);
  EXPECT_EQ(zones.find_closest(lookup, first).name().to_string(), "lan.");
}

TEST(Zone, EmptySetFindsNothing) {
  const ZoneSet zones;
  LookupName lookup;
  size_t first = 0;
  zones.prepare(name_of("a.b").view(), lookup);
  EXPECT_FALSE(zones.find_closest(lookup, first));
  EXPECT_EQ(ask(zones, "a.b", kTypeA).rcode, kRcodeRefused);
}

}  // namespace
}  // namespace headgate::dns
