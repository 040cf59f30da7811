#include "controlplane/inject/mutate.h"

#include <algorithm>
#include <array>
#include <utility>

#include "controlplane/inject/configuration.h"
#include "controlplane/inject/preset.h"
#include "controlplane/inject/sidecar.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"

namespace headgate::inject {
namespace {

using Decision = Mutation::Decision;

constexpr size_t kMaxProblemsShown = 10;
constexpr int64_t kDefaultGraceSeconds = 30;

Mutation skip(const char* reason, std::string message) {
  return {.decision = Decision::kSkipped, .reason = reason, .message = std::move(message)};
}

Mutation refuse(const char* reason, const std::vector<std::string>& problems) {
  Mutation mutation{.decision = Decision::kRefused, .reason = reason};
  for (size_t i = 0; i < problems.size() && i < kMaxProblemsShown; ++i) {
    mutation.message += (i == 0 ? "" : "; ") + problems[i];
  }
  if (problems.size() > kMaxProblemsShown) {
    mutation.message += "; and " + std::to_string(problems.size() - kMaxProblemsShown) + " more";
  }
  return mutation;
}

// One run over one Pod. Steps in order; each says whether to go on.
class Injection {
 public:
  Injection(const Json& pod, const NamespaceFacts& name_space, const Settings& settings, const FindConfigMap& find)
      : pod_(pod), spec_(member(pod, "spec")), namespace_(name_space), settings_(settings), find_(find),
        labels_(text_map(member(member(pod, "metadata"), "labels"))),
        annotations_(text_map(member(member(pod, "metadata"), "annotations"))) {}

  Mutation run() {
    if (auto other = decide()) return *std::move(other);
    ReadWishes read = read_wishes(annotations_, namespace_.annotations);
    warnings_ = std::move(read.warnings);
    wishes_ = std::move(read.wishes);
    if (!read.problems.empty()) return refuse("BadAnnotation", read.problems);
    if (auto refusal = judge_names()) return *std::move(refusal);
    if (auto refusal = find_configuration()) return *std::move(refusal);
    return edit();
  }

 private:
  // Is it for us at all?
  std::optional<Mutation> decide() const {
    const auto own = labels_.find(kInjectLabel);
    const auto inherited = namespace_.labels.find(kInjectLabel);
    const bool says_itself = own != labels_.end();
    if (!says_itself && inherited == namespace_.labels.end()) {
      if (!namespace_.known) {
        return refuse("UnknownNamespace", {"the namespace " + namespace_.name + " is not known yet; try again"});
      }
      return skip("NotRequested", "neither the Pod nor its namespace has the label headgate.dev/inject");
    }
    const std::string& text = says_itself ? own->second : inherited->second;
    const auto mode = parse_mode(text);
    if (mode == Mode::kDisabled) return skip("Disabled", "headgate.dev/inject is disabled");
    if (auto never = judge_kind()) return never;
    if (!mode) {
      return refuse("BadLabel", {"headgate.dev/inject: " + quote_json(text) + ": expected explicit or disabled"});
    }
    if (mode == Mode::kMesh) {
      return refuse("ModeNotAvailable", {"headgate.dev/inject: mesh mode is not in this version; expected explicit"});
    }
    return std::nullopt;
  }

  // Pods that are never touched, whatever they ask for.
  std::optional<Mutation> judge_kind() const {
    if (std::ranges::find(settings_.never, namespace_.name) != settings_.never.end()) {
      return skip("SystemNamespace", "Pods of the namespace " + namespace_.name + " are never injected");
    }
    if (true_member(spec_, "hostNetwork")) return skip("HostNetwork", "the Pod uses the network of its node");
    if (text_member(member(spec_, "os"), "name") == "windows") return skip("Windows", "the sidecar is a Linux program");
    if (annotations_.contains("kubernetes.io/config.mirror")) {
      return skip("MirrorPod", "the kubelet made this Pod from a file");
    }
    const auto part_of = labels_.find("app.kubernetes.io/part-of");
    if (part_of != labels_.end() && part_of->second == "headgate") return skip("OwnPod", "the Pod is Headgate's own");
    if (!member(spec_, "containers").is_array() || member(spec_, "containers").empty()) {
      return refuse("BadPod", {"the Pod has no containers"});
    }
    return std::nullopt;
  }

  // Names that we need may only be taken by ourselves.
  std::optional<Mutation> judge_names() const {
    if (annotations_.contains(kStatusAnnotation)) return std::nullopt;
    for (const char* list : {"containers", "initContainers"}) {
      if (!named(member(spec_, list), kContainerName).is_null()) {
        return refuse("NameTaken", {std::string("the Pod has a container ") + kContainerName + " of its own"});
      }
    }
    for (const char* volume : {kConfigVolume, kTlsVolume, kTmpVolume}) {
      if (!named(member(spec_, "volumes"), volume).is_null()) {
        return refuse("NameTaken", {std::string("the Pod has a volume ") + volume + " of its own"});
      }
    }
    if (annotations_.contains(kCompiledAnnotation)) {
      return refuse("BadAnnotation",
                    {std::string(kCompiledAnnotation) + " is written by the injector; use headgate.dev/config"});
    }
    return std::nullopt;
  }

  std::optional<Mutation> find_configuration() {
    if (auto refusal = judge_mounts()) return refusal;
    switch (wishes_.source) {
      case Source::kNone:
        return refuse("NoConfiguration",
                      {"what should the sidecar do? give headgate.dev/config-map, headgate.dev/config or "
                       "headgate.dev/preset"});
      case Source::kInline: return check(wishes_.inline_config, std::string(kConfigAnnotation));
      case Source::kConfigMap: return check_config_map();
      case Source::kPreset: return compile();
    }
    return std::nullopt;
  }

  std::optional<Mutation> check(std::string text, const std::string& name) {
    std::vector<std::string> folders = {kTmpFolder, kConfigFolder};
    if (!wishes_.tls_secret.empty()) folders.emplace_back(kTlsFolder);
    for (const MountWish& mount : mounts_) folders.push_back(mount.path);
    CheckedConfiguration checked = check_configuration(std::move(text), name, folders);
    if (!checked.problems.empty()) return refuse("BadConfiguration", checked.problems);
    std::ranges::move(checked.warnings, std::back_inserter(warnings_));
    ports_ = std::move(checked.ports);
    return std::nullopt;
  }

  std::optional<Mutation> check_config_map() {
    const std::string name = wishes_.config_map + "/" + wishes_.config_key;
    const ConfigMapText found = find_(namespace_.name, wishes_.config_map, wishes_.config_key);
    switch (found.state) {
      case ConfigMapText::State::kFound: return check(found.text, "ConfigMap " + name);
      case ConfigMapText::State::kMissing:
        warnings_.push_back("there is no " + name + " in the namespace " + namespace_.name +
                            " yet: the Pod waits for it");
        return std::nullopt;
      case ConfigMapText::State::kUnknown:
        warnings_.push_back("the ConfigMap " + name + " could not be looked up: it was not checked");
        return std::nullopt;
    }
    return std::nullopt;
  }

  std::optional<Mutation> compile() {
    CompiledPreset compiled = compile_presets(wishes_.preset, !wishes_.tls_secret.empty());
    if (!compiled.problems.empty()) return refuse("BadPreset", compiled.problems);
    if (compiled.needs_tls_secret && wishes_.tls_secret.empty()) {
      return refuse("BadPreset", {"the preset tls: needs a certificate: name a Secret in headgate.dev/tls-secret"});
    }
    for (const std::string& folder : compiled.folders) {
      if (auto refusal = share(folder)) return refusal;
    }
    compiled_ = std::move(compiled.json);
    return check(compiled_, std::string(kPrefix) + "preset");
  }

  std::optional<Mutation> judge_mounts() {
    const Json& volumes = member(spec_, "volumes");
    for (const MountWish& wish : wishes_.mounts) {
      if (named(volumes, wish.volume).is_null()) {
        return refuse("BadAnnotation", {"headgate.dev/mounts: the Pod has no volume " + quote_json(wish.volume)});
      }
      if (auto refusal = add_mount(wish)) return refusal;
    }
    return std::nullopt;
  }

  std::optional<Mutation> add_mount(const MountWish& mount) {
    for (const char* own : {"/etc/headgate", kTmpFolder}) {
      if (is_below(mount.path, own) || is_below(own, mount.path)) {
        return refuse("BadAnnotation",
                      {"nothing can be mounted at " + quote_json(mount.path) + ": that is the sidecar's own"});
      }
    }
    for (const MountWish& other : mounts_) {
      if (other.path != mount.path) continue;
      if (other.volume == mount.volume) return std::nullopt;
      return refuse("BadAnnotation", {"two volumes for " + quote_json(mount.path)});
    }
    mounts_.push_back(mount);
    return std::nullopt;
  }

  // The sidecar sees a folder under the same path as the application: the deepest mount that holds it.
  std::optional<Mutation> share(const std::string& folder) {
    for (const MountWish& mount : mounts_) {
      if (is_below(folder, mount.path)) return std::nullopt;
    }
    MountWish best;
    for (const Json& container : member(spec_, "containers")) {
      if (!member(container, "volumeMounts").is_array() || text_member(container, "name") == kContainerName) continue;
      for (const Json& mount : member(container, "volumeMounts")) {
        const std::string path = text_member(mount, "mountPath");
        const bool is_part = mount.contains("subPath") || mount.contains("subPathExpr");
        if (!is_part && is_clean_path(path) && is_below(folder, path) && path.size() > best.path.size()) {
          best = {text_member(mount, "name"), path, false};
        }
      }
    }
    if (best.path.empty()) return refuse("BadPreset", {"no container of the Pod mounts a volume at " + folder});
    return add_mount(best);
  }

  [[nodiscard]] bool is_native() const {
    return wishes_.native == NativeSidecar::kAuto ? settings_.native_sidecars : wishes_.native == NativeSidecar::kYes;
  }

  void warn_about_surroundings() {
    const std::string owner = text_member(first_owner(), "kind");
    if (!is_native() && owner == "Job") {
      warnings_.emplace_back(
          "a Job does not end while a sidecar runs that is no init container; headgate.dev/native-sidecar");
    }
    const Json& grace = member(spec_, "terminationGracePeriodSeconds");
    const int64_t seconds = grace.is_number_integer() ? grace.get<int64_t>() : kDefaultGraceSeconds;
    if (wishes_.drain_seconds && static_cast<int64_t>(*wishes_.drain_seconds) >= seconds) {
      warnings_.push_back("headgate.dev/drain-seconds: the Pod is killed after " + std::to_string(seconds) +
                          " s, its terminationGracePeriodSeconds");
    }
    for (const Json& container : member(spec_, "containers")) {
      if (text_member(container, "name") == kContainerName || !member(container, "ports").is_array()) continue;
      for (const Json& port : member(container, "ports")) warn_about_port(text_member(container, "name"), port);
    }
  }

  void warn_about_port(const std::string& container, const Json& port) {
    const Json& number = member(port, "containerPort");
    const bool udp = text_member(port, "protocol") == "UDP";
    if (!number.is_number_integer()) return;
    const bool taken = std::ranges::any_of(ports_, [&](const ListeningPort& own) {
      return own.port == number.get<int64_t>() && own.udp == udp && !own.loopback;
    });
    if (taken) {
      warnings_.push_back("port " + number.dump() + " of the container " + container +
                          " is one that the sidecar listens on: only one of them can");
    }
  }

  const Json& first_owner() const {
    static const Json kNone;
    const Json& owners = member(member(pod_, "metadata"), "ownerReferences");
    return owners.is_array() && !owners.empty() ? owners.front() : kNone;
  }

  void set_default_container(PodEditor& editor) const {
    for (const Json& container : member(spec_, "containers")) {
      const std::string name = text_member(container, "name");
      if (name.empty() || name == kContainerName) continue;
      for (const char* key :
           {"kubectl.kubernetes.io/default-container", "kubectl.kubernetes.io/default-logs-container"}) {
        if (!annotations_.contains(key)) editor.set_annotation(key, name);
      }
      return;
    }
  }

  Mutation edit() {
    warn_about_surroundings();
    const bool native = is_native();
    const Sidecar sidecar = build_sidecar(wishes_, settings_, ports_, mounts_, native);
    std::string all = sidecar.container.dump(-1, ' ', false, Json::error_handler_t::replace);
    for (const Json& volume : sidecar.volumes) all += volume.dump(-1, ' ', false, Json::error_handler_t::replace);
    const std::string status = status_text(all, native);
    // What we made before, with what others have added to it since (defaults, mounts), stays.
    const auto old_status = annotations_.find(kStatusAnnotation);
    const bool same = old_status != annotations_.end() && old_status->second == status;

    PodEditor editor(pod_);
    if (wishes_.source == Source::kPreset) {
      editor.set_annotation(kCompiledAnnotation, compiled_);
    } else {
      editor.remove_annotation(kCompiledAnnotation);
    }
    for (const Json& volume : sidecar.volumes) editor.set_named("volumes", volume, PodEditor::Place::kBack, same);
    if (wishes_.tls_secret.empty()) editor.remove_named("volumes", kTlsVolume);
    editor.remove_named(native ? "containers" : "initContainers", kContainerName);
    editor.set_named(native ? "initContainers" : "containers", sidecar.container, PodEditor::Place::kFront, same);
    set_default_container(editor);
    editor.set_annotation(kStatusAnnotation, status);

    Mutation mutation{
        .decision = Decision::kUnchanged, .reason = "UpToDate", .message = "the sidecar is there already"};
    mutation.warnings = std::move(warnings_);
    if (editor.patch().empty()) return mutation;
    mutation.decision = Decision::kInjected;
    mutation.reason = "Injected";
    mutation.message = std::string("added the sidecar ") + kContainerName;
    mutation.patch = editor.patch();
    return mutation;
  }

  [[nodiscard]] std::string status_text(const std::string& all, bool native) const {
    constexpr std::array<const char*, 4> kSources = {"", "config-map", "config", "preset"};
    std::array<char, 20> hash{};
    const std::string_view digits(hash.data(),
                                  static_cast<size_t>(write_hex(hash.data(), stable_hash(all)) - hash.data()));
    const nlohmann::ordered_json status = {{"version", HEADGATE_VERSION},
                                           {"mode", "explicit"},
                                           {"source", kSources[static_cast<size_t>(wishes_.source)]},
                                           {"container", kContainerName},
                                           {"native", native},
                                           {"hash", digits}};
    return status.dump();
  }

  const Json& pod_;
  const Json& spec_;
  const NamespaceFacts& namespace_;
  const Settings& settings_;
  const FindConfigMap& find_;
  const TextMap labels_;
  const TextMap annotations_;
  Wishes wishes_;
  std::vector<MountWish> mounts_;
  std::vector<ListeningPort> ports_;
  std::string compiled_;
  std::vector<std::string> warnings_;
};

}  // namespace

const char* decision_name(Decision decision) {
  switch (decision) {
    case Decision::kInjected: return "injected";
    case Decision::kUnchanged: return "unchanged";
    case Decision::kSkipped: return "skipped";
    case Decision::kRefused: return "refused";
  }
  return "";
}

Mutation mutate(const Json& pod, const NamespaceFacts& name_space, const Settings& settings,
                const FindConfigMap& find_config_map) {
  return Injection(pod, name_space, settings, find_config_map).run();
}

}  // namespace headgate::inject
