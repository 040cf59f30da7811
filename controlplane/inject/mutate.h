// mutate.h -- what becomes of a Pod: a JSON patch that adds the sidecar, nothing, or a refusal.
//
//   asked for?      label headgate.dev/inject of the Pod, else of its namespace
//   never           kube-system and what Settings name, host network, Windows, mirror Pods, Headgate's own
//   broken wishes   refused: a misspelt annotation, a configuration the sidecar would not take, a taken name
//   as it should be an empty patch: the webhook is called again after others have changed the Pod
//
// Thread: any (pure but for the lookup).   Owner: the caller.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/inject/annotations.h"
#include "controlplane/inject/pod_editor.h"
#include "controlplane/inject/settings.h"

namespace headgate::inject {

struct NamespaceFacts {
  std::string name;
  TextMap labels;
  TextMap annotations;
  bool known = true;  // false: our cache has not seen it, labels and annotations are empty
};

struct ConfigMapText {
  enum class State : uint8_t {
    kFound,
    kMissing,   // no such ConfigMap, or no such key in it
    kUnknown,   // could not be looked up
  };
  State state = State::kMissing;
  std::string text;
};
using FindConfigMap =
    std::function<ConfigMapText(const std::string& name_space, const std::string& name, const std::string& key)>;

struct Mutation {
  enum class Decision : uint8_t { kInjected, kUnchanged, kSkipped, kRefused };
  Decision decision = Decision::kSkipped;
  std::string reason;                 // stable, for metrics and Events: "HostNetwork", "BadConfiguration"
  std::string message;                // for people
  Json patch = Json::array();         // RFC 6902; empty unless kInjected
  std::vector<std::string> warnings;  // shown to whoever made the Pod
};
const char* decision_name(Mutation::Decision decision);  // "injected"

Mutation mutate(const Json& pod, const NamespaceFacts& name_space, const Settings& settings,
                const FindConfigMap& find_config_map);

}  // namespace headgate::inject
