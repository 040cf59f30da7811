// mutate_test.cc -- Pods of tests/golden/inject and what becomes of them; HG_UPDATE_GOLDEN=1 rewrites NAME.patch.json.
#include "controlplane/inject/mutate.h"

#include <random>
#include <set>

#include "proto/json/config_file.h"
#include "tests/controlplane/inject/inject_fixture.h"

namespace headgate::inject {
namespace {

using Decision = Mutation::Decision;

Json to_json(const Mutation& mutation) {
  return {{"decision", decision_name(mutation.decision)},
          {"reason", mutation.reason},
          {"message", mutation.message},
          {"warnings", mutation.warnings},
          {"patch", mutation.patch}};
}

// What the API server fills in after a webhook, and what other webhooks and the ServiceAccount plugin add.
void fill_in_defaults(Json& pod) {
  for (const char* list : {"containers", "initContainers"}) {
    if (!member(pod["spec"], list).is_array()) continue;
    for (Json& container : pod["spec"][list]) {
      container["terminationMessagePath"] = "/dev/termination-log";
      container.emplace("imagePullPolicy", "IfNotPresent");
      container.emplace("resources", Json::object());
      container["volumeMounts"].push_back({{"name", "kube-api-access-x"}, {"mountPath", "/var/run/secrets/kubernetes.io/serviceaccount"}});
      for (const char* probe : {"startupProbe", "readinessProbe"}) {
        if (container.contains(probe)) container[probe]["successThreshold"] = 1;
      }
    }
  }
  for (Json& volume : pod["spec"]["volumes"]) {
    for (const char* kind : {"configMap", "secret", "downwardAPI"}) {
      if (volume.contains(kind)) volume[kind]["defaultMode"] = 420;
    }
  }
  pod["spec"]["dnsPolicy"] = "ClusterFirst";
}

TEST(Mutate, GoldenPods) {
  const bool update = std::getenv("HG_UPDATE_GOLDEN") != nullptr;
  size_t seen = 0;
  for (const Case& test : all_cases()) {
    SCOPED_TRACE(test.name);
    ++seen;
    const auto path = kGolden / (test.name + ".patch.json");
    const Json actual = to_json(test.run(test.pod));
    if (update) {
      std::ofstream(path) << actual.dump(2) << "\n";
      continue;
    }
    EXPECT_EQ(Json::parse(read_text(path), nullptr, false), actual) << actual.dump(2);
  }
  EXPECT_GT(seen, 30U);
}

TEST(Mutate, AnInjectedPodIsLeftAlone) {
  size_t injected = 0;
  for (const Case& test : all_cases()) {
    SCOPED_TRACE(test.name);
    const Mutation first = test.run(test.pod);
    if (first.decision != Decision::kInjected) {
      EXPECT_TRUE(first.patch.empty());
      continue;
    }
    ++injected;
    Json pod = test.pod.patch(first.patch);
    const Mutation again = test.run(pod);
    EXPECT_EQ(again.decision, Decision::kUnchanged) << again.message << again.patch.dump(2);
    EXPECT_TRUE(again.patch.empty());
    fill_in_defaults(pod);
    pod["spec"]["containers"].push_back({{"name", "of-another-webhook"}, {"image", "x"}});
    EXPECT_EQ(test.run(pod).decision, Decision::kUnchanged) << test.run(pod).patch.dump(2);
    // All that was there is still there, in its order, whatever it is.
    EXPECT_TRUE(covers(test.pod.patch(first.patch)["spec"]["containers"], test.pod["spec"]["containers"]));
  }
  EXPECT_GT(injected, 8U);
}

TEST(Mutate, TheSidecarPassesTheRestrictedStandard) {
  const Case test = load_case(kGolden / "preset-tls.pod.json");
  const Json pod = test.pod.patch(test.run(test.pod).patch);
  const Json& sidecar = pod["spec"]["initContainers"][0];
  EXPECT_EQ(sidecar["name"], kContainerName);
  EXPECT_EQ(sidecar["restartPolicy"], "Always");
  const Json& security = sidecar["securityContext"];
  EXPECT_EQ(security["runAsNonRoot"], true);
  EXPECT_NE(security["runAsUser"], 0);
  EXPECT_EQ(security["allowPrivilegeEscalation"], false);
  EXPECT_EQ(security["capabilities"], Json::parse(R"({"drop":["ALL"]})"));
  EXPECT_EQ(security["seccompProfile"]["type"], "RuntimeDefault");
  const std::set<std::string> allowed = {"configMap", "downwardAPI", "emptyDir", "secret"};
  for (const Json& volume : pod["spec"]["volumes"]) {
    for (const auto& [key, value] : volume.items()) EXPECT_TRUE(key == "name" || allowed.contains(key)) << key;
  }
  EXPECT_FALSE(sidecar.contains("lifecycle"));
}

TEST(Mutate, WhatThePresetBecomesIsAFileOfOurs) {
  const Case test = load_case(kGolden / "preset-several.pod.json");
  const Json pod = test.pod.patch(test.run(test.pod).patch);
  const std::string text = text_member(pod["metadata"]["annotations"], kCompiledAnnotation);
  const auto file = json::read_config(text, {});
  EXPECT_TRUE(file.ok()) << text;
  EXPECT_EQ(file.resources.listeners_size(), 3);
  EXPECT_EQ(pod["spec"]["volumes"][0]["downwardAPI"]["items"][0]["fieldRef"]["fieldPath"],
            "metadata.annotations['headgate.dev/compiled-config']");
}

TEST(Mutate, ChangedWishesReplaceTheOldSidecar) {
  Case test = load_case(kGolden / "preset-tls.pod.json");
  Json pod = test.pod.patch(test.run(test.pod).patch);
  fill_in_defaults(pod);
  Json& annotations = pod["metadata"]["annotations"];
  annotations.erase("headgate.dev/preset");
  annotations.erase("headgate.dev/tls-secret");
  annotations["headgate.dev/config-map"] = "web-proxy";
  annotations["headgate.dev/native-sidecar"] = "false";
  const Mutation changed = test.run(pod);
  ASSERT_EQ(changed.decision, Decision::kInjected);
  const Json after = pod.patch(changed.patch);
  EXPECT_TRUE(after["spec"]["initContainers"].empty());
  EXPECT_EQ(after["spec"]["containers"][0]["name"], kContainerName);
  EXPECT_FALSE(after["spec"]["containers"][0].contains("restartPolicy"));
  EXPECT_FALSE(after["metadata"]["annotations"].contains(std::string(kCompiledAnnotation)));
  EXPECT_TRUE(named(after["spec"]["volumes"], kTlsVolume).is_null());
  EXPECT_EQ(named(after["spec"]["volumes"], kConfigVolume)["configMap"]["name"], "web-proxy");
  EXPECT_EQ(test.run(after).decision, Decision::kUnchanged);
}

TEST(Mutate, AnEditedSidecarIsPutRight) {
  const Case test = load_case(kGolden / "preset-tls.pod.json");
  Json pod = test.pod.patch(test.run(test.pod).patch);
  pod["spec"]["initContainers"][0]["securityContext"]["runAsUser"] = 0;
  const Mutation mended = test.run(pod);
  ASSERT_EQ(mended.decision, Decision::kInjected);
  EXPECT_EQ(pod.patch(mended.patch)["spec"]["initContainers"][0]["securityContext"]["runAsUser"], 15137);
}

// Pods put together at random: a patch applies, the second run changes nothing, and no field of the Pod is lost.
TEST(Mutate, PropertiesOfRandomPods) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto one_of = [&](const std::vector<std::string>& list) { return list[random() % list.size()]; };
  const auto maybe = [&] { return random() % 2 == 0; };
  Case test;
  test.config_maps["web/config.json"] = R"({ "listen": ["http://:9999"] })";
  size_t injected = 0;
  for (int i = 0; i < 500; ++i) {
    Json pod = {{"metadata", {{"labels", {{"headgate.dev/inject", "explicit"}}}}}, {"spec", {{"containers", Json::array()}}}};
    Json& annotations = pod["metadata"]["annotations"];
    const auto annotate = [&](const std::string& key, const std::string& value) { annotations["headgate.dev/" + key] = value; };
    annotations["x/y~z"] = "kept";
    if (maybe()) annotate("tls-secret", one_of({"t", "a.b"}));
    if (maybe()) annotate("native-sidecar", one_of({"auto", "true", "false"}));
    if (maybe()) annotate("drain-seconds", one_of({"0", "5", "3600"}));
    if (maybe()) annotate("mounts", one_of({"v:/data", "v:/data:ro"}));
    switch (random() % 3) {
      case 0: annotate("preset", one_of({"http:1->2", "tls:8443->8080", "http:1->unix:/a/b/c", "tcp:5->tls/x:5"})); break;
      case 1: annotate("config-map", one_of({"web", "gone"})); break;
      default: annotate("config", one_of({R"({"listen":["http://:1"]})", "{", "[]", ""}));
    }
    for (size_t c = 0; c < 1 + random() % 3; ++c) {
      Json container = {{"name", "c" + std::to_string(c)}, {"unknown" + std::to_string(random() % 9), {{"n", random()}}}};
      if (maybe()) container["volumeMounts"] = Json::parse(R"([{"name":"v","mountPath":"/a"}])");
      if (maybe()) container["ports"] = Json::parse(R"([{"containerPort":1},{"containerPort":9999,"protocol":"UDP"}])");
      pod["spec"]["containers"].push_back(container);
    }
    if (maybe()) pod["spec"]["initContainers"] = Json::parse(R"([{"name":"i","image":"x"}])");
    if (maybe()) pod["spec"]["volumes"] = Json::parse(R"([{"name":"v","emptyDir":{}}])");
    const Mutation first = test.run(pod);
    if (first.decision != Decision::kInjected) {
      EXPECT_EQ(first.decision, Decision::kRefused);
      EXPECT_FALSE(first.message.empty());
      continue;
    }
    ++injected;
    for (const Json& operation : first.patch) EXPECT_EQ(operation["op"], "add") << "a fresh Pod only gets more";
    Json after = pod.patch(first.patch);
    EXPECT_EQ(test.run(after).decision, Decision::kUnchanged) << after.dump(2);
    fill_in_defaults(after);
    EXPECT_EQ(test.run(after).decision, Decision::kUnchanged) << after.dump(2);
    EXPECT_TRUE(covers(after, pod)) << after.dump(2);
  }
  EXPECT_GT(injected, 50U);
}

TEST(Annotations, TheReadmeHasThemAll) {
  const std::string readme = read_text(std::filesystem::path(HEADGATE_SOURCE_DIR) / "controlplane/inject/README.md");
  for (const AnnotationRow& row : annotation_rows()) {
    EXPECT_NE(readme.find("| `" + std::string(row.key) + "` |"), std::string::npos) << row.key;
  }
}

TEST(PodEditor, EscapesKeysAndMakesParents) {
  PodEditor editor(Json::object());
  editor.set_annotation("a/b~c", "1");
  editor.set_annotation("a/b~c", "1");
  editor.set_annotation("a/b~c", "2");
  editor.set_named("volumes", {{"name", "v"}}, PodEditor::Place::kBack, true);
  editor.remove_annotation("none");
  editor.remove_annotation("a/b~c");
  EXPECT_EQ(Json::object().patch(editor.patch()), editor.pod());
  EXPECT_EQ(editor.patch()[2]["path"], "/metadata/annotations/a~1b~0c");
  EXPECT_EQ(editor.patch()[2]["op"], "add");
  EXPECT_EQ(editor.patch()[3]["op"], "replace");
}

}  // namespace
}  // namespace headgate::inject
