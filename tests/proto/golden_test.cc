// Every file of tests/golden/check with all its problems; HG_UPDATE_GOLDEN=1 rewrites the .problems files.
#include <algorithm>
#include <vector>

#include "tests/proto/config_fixture.h"

namespace headgate::json {
namespace {

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(source_path("tests/golden/check"))) {
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST(Golden, Problems) {
  const auto names = golden_names();
  EXPECT_GE(names.size(), 60U);
  for (const std::string& name : names) {
    const ConfigFile file = read_text(disk_text("tests/golden/check/" + name + ".json"), name + ".json");
    EXPECT_FALSE(file.diagnostics.empty()) << name;
    // Names that begin with "warn-" are usable in spite of what is said about them.
    EXPECT_EQ(file.ok(), name.starts_with("warn-")) << name << "\n" << problems_of(file);
    for (const Diagnostic& one : file.diagnostics) {
      EXPECT_GT(one.line, 0U) << name;
      EXPECT_GT(one.column, 0U) << name;
      EXPECT_TRUE(one.path.starts_with("$")) << name;
      EXPECT_FALSE(one.rule.empty()) << name;
    }
    expect_golden("tests/golden/check/" + name + ".problems", problems_of(file));
  }
}

}  // namespace
}  // namespace headgate::json
