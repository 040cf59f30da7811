// The file becomes resources; a wrong one changes nothing, and what it names is watched, too.
#include "controlplane/controller/file_source.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "headgate/config/v1/listener.pb.h"

namespace headgate::controller {
namespace {

class FileSourceTest : public testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/headgate-file-source-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // Replaced by rename: another file, whatever the clock of the file system can tell apart.
  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / "new") << text;
    std::filesystem::rename(folder_ / "new", folder_ / name);
  }
  static std::string site(int port) {
    return R"({"listen": ["http://127.0.0.1:)" + std::to_string(port) + R"("]})";
  }

  std::filesystem::path folder_;
  std::vector<std::string> problems_;
};

TEST_F(FileSourceTest, ReadsOnceAndAgainWhenItChanged) {
  write("site.json", site(8080));
  FileSource source(folder_ / "site.json");
  const auto first = source.poll(problems_);
  ASSERT_NE(first, nullptr) << (problems_.empty() ? "" : problems_.front());
  ASSERT_FALSE(first->resources.empty());
  EXPECT_EQ(source.poll(problems_), nullptr);

  write("site.json", site(8081));
  const auto second = source.poll(problems_);
  ASSERT_NE(second, nullptr);
  config::v1::Listener listener;
  for (const auto& resource : second->resources) {
    if (resource->kind != control::v1::KIND_LISTENER) continue;
    ASSERT_TRUE(listener.ParseFromString(resource->body));
  }
  EXPECT_EQ(listener.port(), 8081U);
}

TEST_F(FileSourceTest, EqualTextGivesEqualVersions) {
  write("site.json", site(8080));
  FileSource source(folder_ / "site.json");
  const auto first = source.poll(problems_);
  write("site.json", site(8080) + "\n");
  const auto second = source.poll(problems_);
  ASSERT_TRUE(first && second);
  ASSERT_EQ(first->resources.size(), second->resources.size());
  auto other = second->resources.begin();
  for (const auto& resource : first->resources) {
    if (resource->kind == control::v1::KIND_LISTENER) {
      EXPECT_EQ(resource->version, (*other)->version);
    }
    ++other;
  }
}

TEST_F(FileSourceTest, AWrongFileIsToldOnceAndGivesNothing) {
  write("site.json", "{\"listen\": [}");
  FileSource source(folder_ / "site.json");
  EXPECT_EQ(source.poll(problems_), nullptr);
  ASSERT_FALSE(problems_.empty());
  EXPECT_NE(problems_.front().find("site.json:1:13"), std::string::npos) << problems_.front();
  problems_.clear();
  EXPECT_EQ(source.poll(problems_), nullptr);
  EXPECT_TRUE(problems_.empty());
  write("site.json", site(8080));
  EXPECT_NE(source.poll(problems_), nullptr);
}

TEST_F(FileSourceTest, AMissingFileIsAProblemUntilItAppears) {
  FileSource source(folder_ / "site.json");
  EXPECT_EQ(source.poll(problems_), nullptr);
  ASSERT_EQ(problems_.size(), 1U);
  write("site.json", site(8080));
  EXPECT_NE(source.poll(problems_), nullptr);
}

TEST_F(FileSourceTest, FilesThatItNamesAreWatched) {
  write("zone", "@ 60 IN SOA ns hostmaster 1 2 3 4 5\n@ IN NS ns\nns IN A 192.0.2.1\n");
  write("site.json", R"({"listen": [{"name": "dns", "uri": "udp://127.0.0.1:5353"}],
                         "zones": {"example.test": "zone"},
                         "dispatch": [{"listener": "dns", "handler": "dns"}]})");
  FileSource source(folder_ / "site.json");
  ASSERT_NE(source.poll(problems_), nullptr) << (problems_.empty() ? "" : problems_.front());
  EXPECT_EQ(source.poll(problems_), nullptr);
  write("zone", "@ 60 IN SOA ns hostmaster 2 2 3 4 5\n@ IN NS ns\nns IN A 192.0.2.2\n");
  EXPECT_NE(source.poll(problems_), nullptr);
}

}  // namespace
}  // namespace headgate::controller
