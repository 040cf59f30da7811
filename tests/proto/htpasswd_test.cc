#include "proto/check/htpasswd.h"

#include <gtest/gtest.h>

namespace headgate::check {
namespace {

TEST(Htpasswd, Table) {
  struct Row {
    const char* text;
    bool good;
    std::vector<std::pair<std::string, std::string>> users;
  };
  const Row rows[] = {
      {"", true, {}},
      {"\n\n# people\n  \n", true, {}},
      {"ann:{SHA}x", true, {{"ann", "{SHA}x"}}},
      {"ann:h\r\nbob:i:a comment\n", true, {{"ann", "h"}, {"bob", "i"}}},
      {"ann:", true, {{"ann", ""}}},
      {"ann:h\nnonsense\n", false, {{"ann", "h"}}},
      {":h\n", false, {}},
  };
  for (const Row& row : rows) {
    google::protobuf::RepeatedPtrField<config::v1::NameValue> users;
    std::string why;
    EXPECT_EQ(parse_htpasswd(row.text, users, why), row.good) << row.text;
    EXPECT_EQ(why.empty(), row.good);
    ASSERT_EQ(static_cast<size_t>(users.size()), row.users.size()) << row.text;
    for (int i = 0; i < users.size(); ++i) {
      EXPECT_EQ(users[i].name(), row.users[static_cast<size_t>(i)].first);
      EXPECT_EQ(users[i].value(), row.users[static_cast<size_t>(i)].second);
    }
  }
}

}  // namespace
}  // namespace headgate::check
