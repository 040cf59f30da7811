// What proto/check lets through, dataplane/http can fill in, and the other way round: the two lists of $variables.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "dataplane/http/variables.h"
#include "proto/check/values.h"

namespace headgate {
namespace {

TEST(Variables, CheckedNamesAreThoseThatAreFilledIn) {
  std::set<std::string> checked;
  for (const check::Variable& one : check::variables()) checked.emplace(one.name);
  std::set<std::string> filled;
  for (const http::VariableRow& one : http::variable_rows()) filled.emplace(one.name);
  EXPECT_EQ(checked, filled);
}

TEST(Variables, CheckedFamiliesAreThoseThatAreFilledIn) {
  std::set<std::string> checked;
  for (const check::Variable& one : check::variable_families()) checked.emplace(one.name);
  std::set<std::string> filled;
  for (const std::string_view one : http::variable_families()) filled.emplace(one);
  EXPECT_EQ(checked, filled);
}

}  // namespace
}  // namespace headgate
