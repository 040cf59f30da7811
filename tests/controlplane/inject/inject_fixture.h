// inject_fixture.h -- Pods and what surrounds them, from tests/golden/inject.
// Thread: test.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "controlplane/inject/mutate.h"

namespace headgate::inject {

inline const std::filesystem::path kGolden = std::filesystem::path(HEADGATE_SOURCE_DIR) / "tests/golden/inject";

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Case {
  std::string name;
  Json pod;
  NamespaceFacts name_space{.name = "shop"};
  Settings settings{.image = "registry.example/headgate:0.1.0"};
  Json config_maps = Json::object();
  bool lookup_fails = false;

  [[nodiscard]] Mutation run(const Json& what) const {
    return mutate(what, name_space, settings, [this](const std::string& space, const std::string& map, const std::string& key) {
      EXPECT_EQ(space, name_space.name);
      if (lookup_fails) return ConfigMapText{.state = ConfigMapText::State::kUnknown};
      const std::string text = text_member(config_maps, map + "/" + key);
      if (text.empty()) return ConfigMapText{};
      return ConfigMapText{.state = ConfigMapText::State::kFound, .text = text};
    });
  }
};

inline Case load_case(const std::filesystem::path& pod_file) {
  Case loaded;
  loaded.name = pod_file.filename().string();
  loaded.name.resize(loaded.name.size() - std::string(".pod.json").size());
  loaded.pod = Json::parse(read_text(pod_file));
  const std::string text = read_text(kGolden / (loaded.name + ".surroundings.json"));
  if (text.empty()) return loaded;
  const Json around = Json::parse(text);
  const Json& space = member(around, "namespace");
  if (space.contains("name")) loaded.name_space.name = text_member(space, "name");
  loaded.name_space.labels = text_map(member(space, "labels"));
  loaded.name_space.annotations = text_map(member(space, "annotations"));
  loaded.name_space.known = !space.contains("known");
  loaded.lookup_fails = true_member(around, "lookup_fails");
  if (around.contains("config_maps")) loaded.config_maps = around["config_maps"];
  if (around.contains("settings")) loaded.settings.native_sidecars = true_member(around["settings"], "native_sidecars");
  return loaded;
}

inline std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const auto& entry : std::filesystem::directory_iterator(kGolden)) {
    if (entry.path().filename().string().ends_with(".pod.json")) cases.push_back(load_case(entry.path()));
  }
  std::ranges::sort(cases, {}, &Case::name);
  return cases;
}

}  // namespace headgate::inject
