// What the translation emits, the dataplane can build: every golden case through the real Builder. A push that is
// refused would be nobody's fault that can be told; what is not built is answered by the translation, with a note.
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "controlplane/kube/manifests.h"
#include "controlplane/translate/translator.h"
#include "dataplane/snapshot/build.h"
#include "proto/check/normalize.h"
#include "tests/controlplane/translate/support.h"

namespace headgate::translate {
namespace {

namespace fs = std::filesystem;

TEST(Buildable, EveryGoldenCase) {
  size_t built = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(HEADGATE_SOURCE_DIR) / "tests/golden/translate")) {
    const std::string file = entry.path().filename().string();
    if (!file.ends_with(".in.yaml")) continue;
    const std::string name = file.substr(0, file.size() - 8);
    SCOPED_TRACE(name);
    std::ifstream in(entry.path());
    std::ostringstream text;
    text << in.rdbuf();
    const Settings settings = settings_of(text.str());
    config::v1::ResourceSet set = set_of(translate(world_of(text.str()), settings));
    check::normalize(set);
    snapshot::Builder builder;
    const snapshot::BuildOutcome outcome = builder.build(set);
    std::string problems;
    for (const check::Problem& problem : outcome.problems) {
      if (problem.severity == check::Severity::kError) problems += check::to_string(problem) + "\n";
    }
    EXPECT_EQ(problems, "");
    built += outcome.snapshot != nullptr ? 1 : 0;
  }
  EXPECT_GE(built, 100U);
}

}  // namespace
}  // namespace headgate::translate
