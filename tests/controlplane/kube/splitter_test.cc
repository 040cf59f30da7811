// splitter_test.cc -- lists and watch streams cut at every byte give the same objects.
#include "controlplane/kube/splitter.h"

#include <gtest/gtest.h>

#include <vector>

namespace headgate::kube {
namespace {

struct Outcome {
  std::vector<std::string> items;
  std::string metadata;
  bool complete = false;
  bool failed = false;
  bool operator==(const Outcome&) const = default;
};

Outcome list(const std::vector<std::string_view>& pieces) {
  ListSplitter splitter;
  Outcome outcome;
  for (const auto piece : pieces) {
    const auto fed = splitter.feed(piece, [&](std::string_view text) -> Result<void> {
      outcome.items.emplace_back(text);
      return {};
    });
    if (!fed) {
      outcome.failed = true;
      return outcome;
    }
  }
  outcome.metadata = splitter.metadata();
  outcome.complete = splitter.complete();
  return outcome;
}

void expect_same_however_split(const std::string& text) {
  const Outcome whole = list({text});
  const std::string_view view = text;
  for (size_t i = 0; i <= view.size(); ++i) EXPECT_EQ(list({view.substr(0, i), view.substr(i)}), whole) << i;
  std::vector<std::string_view> bytes;
  for (size_t i = 0; i < view.size(); ++i) bytes.push_back(view.substr(i, 1));
  EXPECT_EQ(list(bytes), whole);
}

TEST(ListSplitter, ItemsAndMetadataInAnyOrder) {
  const std::string first = R"({"kind":"L","metadata":{"resourceVersion":"7","x":[{"items":[]}]},)"
                            R"("items":[{"a":"}\"]","ü":"\\"}, {"b":[{"c":{}}]}],"z":[1]})"
                            "\n";
  const Outcome outcome = list({first});
  EXPECT_TRUE(outcome.complete);
  ASSERT_EQ(outcome.items.size(), 2U);
  EXPECT_EQ(outcome.items[0], R"({"a":"}\"]","ü":"\\"})");
  EXPECT_EQ(outcome.items[1], R"({"b":[{"c":{}}]})");
  EXPECT_EQ(outcome.metadata, R"({"resourceVersion":"7","x":[{"items":[]}]})");
  expect_same_however_split(first);
  const std::string last = R"({"items":[{"items":[{"n":1}]}],"metadata":{"resourceVersion":"8"}})";
  EXPECT_EQ(list({last}).metadata, R"({"resourceVersion":"8"})");
  EXPECT_EQ(list({last}).items, std::vector<std::string>{R"({"items":[{"n":1}]})"});
  expect_same_however_split(last);
}

TEST(ListSplitter, EmptyAndCutOff) {
  EXPECT_TRUE(list({R"({"items":[],"metadata":{}})"}).complete);
  EXPECT_TRUE(list({R"({"items":null,"metadata":{}})"}).complete);
  EXPECT_FALSE(list({R"({"items":[{"a":1})"}).complete);
  EXPECT_FALSE(list({""}).complete);
}

TEST(ListSplitter, NoList) {
  for (const char* text : {"[]", "<html>", "}", "{}{}", "\"a\"", "{}]"}) EXPECT_TRUE(list({text}).failed) << text;
}

TEST(ListSplitter, AnItemHasALimit) {
  ListSplitter splitter;
  const auto ignore = [](std::string_view) -> Result<void> { return {}; };
  ASSERT_TRUE(splitter.feed(R"({"items":[{"a":")", ignore));
  const std::string piece(1 << 20, 'x');
  for (int i = 0; i < 15; ++i) ASSERT_TRUE(splitter.feed(piece, ignore)) << i;
  EXPECT_EQ(splitter.feed(piece, ignore).error().code, Errc::kTooLarge);
}

TEST(LineSplitter, HoweverSplit) {
  const std::string text = "{\"a\":\"ä€\"}\n\n{\"b\":2}\nrest";
  const std::vector<std::string> expected = {"{\"a\":\"ä€\"}", "{\"b\":2}"};
  for (size_t i = 0; i <= text.size(); ++i) {
    LineSplitter splitter;
    std::vector<std::string> lines;
    const auto keep = [&](std::string_view line) -> Result<void> {
      lines.emplace_back(line);
      return {};
    };
    ASSERT_TRUE(splitter.feed(text.substr(0, i), keep));
    ASSERT_TRUE(splitter.feed(text.substr(i), keep));
    EXPECT_EQ(lines, expected) << i;
  }
}

TEST(LineSplitter, ALineHasALimit) {
  LineSplitter splitter;
  const auto ignore = [](std::string_view) -> Result<void> { return {}; };
  const std::string piece(4 << 20, 'x');
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(splitter.feed(piece, ignore));
  EXPECT_EQ(splitter.feed("x", ignore).error().code, Errc::kTooLarge);
}

}  // namespace
}  // namespace headgate::kube
