#include "dataplane/http/header_map.h"

#include <gtest/gtest.h>

#include <string>

#include "dataplane/base/text.h"

namespace headgate::http {
namespace {

TEST(FieldId, EveryNameInAnyCase) {
  for (int i = 1; i < static_cast<int>(FieldId::kCount); ++i) {
    const auto id = static_cast<FieldId>(i);
    const std::string name(field_name(id));
    EXPECT_EQ(field_id(name), id) << name;
    EXPECT_EQ(field_id(lower_copy(name)), id) << name;
    std::string upper = name;
    for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    EXPECT_EQ(field_id(upper), id) << upper;
    // Any one byte changed, longer, or shorter: another name.
    for (size_t at = 0; at < name.size(); ++at) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string other = name;
        other[at] = static_cast<char>(byte);
        if (equals_ignore_case(other, name)) continue;
        const FieldId found = field_id(other);
        EXPECT_TRUE(found == FieldId::kOther || equals_ignore_case(field_name(found), other)) << other;
      }
    }
    EXPECT_NE(field_id(name + "x"), id);
    EXPECT_NE(field_id(name.substr(1)), id);
  }
  EXPECT_EQ(field_id(""), FieldId::kOther);
  EXPECT_EQ(field_id("x"), FieldId::kOther);
  EXPECT_EQ(field_id(std::string(300, 'a')), FieldId::kOther);
}

TEST(HeaderMap, AddFindRemove) {
  Arena arena;
  HeaderMap map(arena);
  EXPECT_EQ(map.find(FieldId::kHost), nullptr);
  EXPECT_EQ(map.find("x-any"), nullptr);
  map.add("X-Any", "1");
  map.add("hOSt", "a");
  map.add(FieldId::kVary, "b");
  map.add("x-aNY", "2");
  EXPECT_TRUE(map.has(FieldId::kHost));
  EXPECT_EQ(map.get("x-any"), "1");
  EXPECT_EQ(map.find(FieldId::kHost)->name, "hOSt") << "case is kept";
  EXPECT_EQ(map.fields()[2].name, "Vary");
  map.remove("X-ANY");
  EXPECT_EQ(map.size(), 2U);
  EXPECT_EQ(map.find("x-any"), nullptr);
  map.remove(FieldId::kHost);
  EXPECT_FALSE(map.has(FieldId::kHost));
  EXPECT_TRUE(map.has(FieldId::kVary));
}

TEST(HeaderMap, SetReplacesAllInPlace) {
  Arena arena;
  HeaderMap map(arena);
  map.add("Via", "1");
  map.add("Server", "s");
  map.add("via", "2");
  map.add("x", "1");
  map.add("X", "2");
  map.set(FieldId::kVia, "3");
  map.set("x", "4");
  map.set("new", "5");
  ASSERT_EQ(map.size(), 4U);
  EXPECT_EQ(map.fields()[0].value, "3");
  EXPECT_EQ(map.fields()[1].value, "s");
  EXPECT_EQ(map.fields()[2].value, "4");
  EXPECT_EQ(map.get("new"), "5");
  map.set(FieldId::kHost, "h");
  EXPECT_EQ(map.get(FieldId::kHost), "h");
}

TEST(HeaderMap, CombinedCountAndGrowth) {
  Arena arena;
  HeaderMap map(arena);
  EXPECT_EQ(map.combined(FieldId::kVia), "");
  map.add("Via", "");
  EXPECT_EQ(map.combined(FieldId::kVia), "");
  map.add("Via", "b");
  map.add("Via", "c");
  EXPECT_EQ(map.combined(FieldId::kVia), "b, c") << "an empty element first means nothing";
  EXPECT_EQ(map.count(FieldId::kVia), 3U);
  EXPECT_TRUE(map.has_several(FieldId::kVia));
  EXPECT_FALSE(map.has_several(FieldId::kHost));
  HeaderMap copy(arena);
  copy.assign(map);
  EXPECT_TRUE(copy.has_several(FieldId::kVia));
  copy.set(FieldId::kVia, "one");
  EXPECT_FALSE(copy.has_several(FieldId::kVia));
  EXPECT_EQ(copy.combined(FieldId::kVia), "one");
  for (int i = 0; i < 500; ++i) map.add("x", "y");
  EXPECT_EQ(map.size(), 503U);
  EXPECT_EQ(map.fields()[1].value, "b");
}

TEST(HeaderMap, AssignedCopiesAreIndependent) {
  Arena arena;
  HeaderMap one(arena);
  one.add("Host", "a");
  HeaderMap two(arena);
  two.assign(one);
  two.set(FieldId::kHost, "b");
  two.add("x", "y");
  EXPECT_EQ(one.get(FieldId::kHost), "a");
  EXPECT_EQ(one.size(), 1U);
  EXPECT_EQ(two.size(), 2U);
  two.assign(two);
  EXPECT_EQ(two.size(), 2U);
}

}  // namespace
}  // namespace headgate::http
