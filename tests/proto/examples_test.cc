// The example of the documentation, the files of manifests/standalone, and what print makes of them.
#include <google/protobuf/util/message_differencer.h>

#include "proto/json/print.h"
#include "tests/proto/config_fixture.h"

namespace headgate::json {
namespace {

std::vector<std::string> example_files() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(source_path("manifests/standalone"))) {
    if (entry.path().extension() == ".json")
      files.push_back("manifests/standalone/" + entry.path().filename().string());
  }
  files.push_back("tests/golden/config/whole.json");
  std::sort(files.begin(), files.end());
  return files;
}

TEST(Examples, AreAccepted) {
  const auto files = example_files();
  EXPECT_GE(files.size(), 9U);
  for (const std::string& name : files) {
    const ConfigFile file = read_text(disk_text(name), name);
    EXPECT_TRUE(file.ok()) << problems_of(file);
  }
}

TEST(Examples, PrintIsAFixedPoint) {
  for (const std::string& name : example_files()) {
    const ConfigFile first = read_text(disk_text(name), name);
    ASSERT_TRUE(first.ok()) << problems_of(first);
    const std::string printed = print_config(first);
    const ConfigFile second = read_text(printed, name);
    ASSERT_TRUE(second.ok()) << printed << problems_of(second);
    EXPECT_EQ(print_config(second), printed) << name;
    // Filling in the defaults changed nothing: the messages are the same but for the order of what was sorted.
    google::protobuf::util::MessageDifferencer differ;
    differ.set_repeated_field_comparison(google::protobuf::util::MessageDifferencer::AS_SET);
    std::string difference;
    differ.ReportDifferencesToString(&difference);
    EXPECT_TRUE(differ.Compare(first.resources, second.resources)) << name << "\n" << difference;
  }
}

TEST(Examples, WholeFile) {
  const ConfigFile file = read_text(disk_text("tests/golden/config/whole.json"));
  ASSERT_TRUE(file.ok()) << problems_of(file);
  expect_golden("tests/golden/config/whole.printed.json", print_config(file));
  expect_golden("tests/golden/config/whole.resources.json", print_resources(file.resources));
}

TEST(Examples, ResourcesHideSecrets) {
  const ConfigFile file = read_text(disk_text("tests/golden/config/whole.json"));
  const std::string printed = print_resources(file.resources);
  EXPECT_EQ(printed.find("PRIVATE"), std::string::npos);
  EXPECT_NE(printed.find("\"key_pem\": \"[redacted]\""), std::string::npos);
  bool has_key = false;
  for (const auto& secret : file.resources.tls_secrets()) has_key = has_key || !secret.key_pem().empty();
  EXPECT_TRUE(has_key);  // the messages themselves keep it
}

}  // namespace
}  // namespace headgate::json
