#include "controlplane/controller/injection.h"

#include <utility>

#include "controlplane/controller/trust.h"
#include "controlplane/kube/json.h"
#include "controlplane/kube/kinds.h"

namespace headgate::controller {

namespace {

inject::Settings settings_of(const Options& options) {
  inject::Settings settings;
  settings.image = options.sidecar_image;
  settings.never.push_back(options.pod_namespace);
  return settings;
}

inject::TextMap text_map(const google::protobuf::Map<std::string, std::string>& map) {
  return {map.begin(), map.end()};
}

inject::NamespaceFacts facts_of(const kubernetes::ObjectMeta& meta) {
  return {.name = meta.name(),
          .labels = text_map(meta.labels()),
          .annotations = text_map(meta.annotations()),
          .known = true};
}

}  // namespace

Injection::Injection(const Options& options, kube::Transport& transport, const KubernetesSource& cluster,
                     const identity::Authority& authority, kube::EventRecorder& events)
    : cluster_(cluster),
      authority_(authority),
      events_(events),
      // The API server waits for our answer: one look must not take longer than the webhook may.
      rest_(transport, {}, {.tries = 1, .limit = std::chrono::seconds(2)}),
      webhook_(settings_of(options),
               {.find_namespace = [this](const std::string& name) { return find_namespace(name); },
                .find_config_map = [this](const std::string& name_space, const std::string& name,
                                          const std::string& key) { return find_config_map(name_space, name, key); },
                .report = [this](const inject::Review& review) { report(review); }}),
      bundle_(transport),
      certificate_(authority, server_names(options), identity::Authority::kWebhookLife,
                   [this](const identity::KeyPair& pair) {
                     current_ = {.chain_pem = pair.chain_pem, .key_pem = pair.key_pem};
                     return !started_ || webhook_.set_certificate(current_);
                   }) {}

std::string Injection::start(const std::string& address) {
  if (const auto ready = refresh(false); !ready) return "the webhook's certificate: " + to_string(ready.error());
  std::string problem;
  if (!webhook_.start(address, current_, problem)) return "-webhook-address: " + problem;
  started_ = true;
  return {};
}

Result<void> Injection::refresh(bool leads) {
  HG_TRY(certificate_.refresh());
  bundle_.set_roots(authority_.roots_pem());
  if (leads && !std::exchange(writes_, true)) return bundle_.start();
  if (!leads && std::exchange(writes_, false)) bundle_.stop();
  return {};
}

void Injection::stop() {
  if (std::exchange(writes_, false)) bundle_.stop();
  if (std::exchange(started_, false)) webhook_.stop();
}

// A namespace that was made a moment ago may be news to the watch: asked for then.
inject::NamespaceFacts Injection::find_namespace(const std::string& name) const {
  if (const auto seen = cluster_.freeze().find<kubernetes::Namespace>("", name)) return facts_of(seen->metadata());
  const kube::Answer answer = rest_.get(kube::object_path("", "v1", "namespaces", "", name));
  if (!answer.ok()) return {.name = name, .labels = {}, .annotations = {}, .known = false};
  const kube::Json document = kube::parse_json(answer.body);
  const kube::Json& meta = kube::child_of(document, "metadata");
  inject::NamespaceFacts facts{.name = name, .labels = {}, .annotations = {}, .known = true};
  for (const auto& [key, value] : kube::child_of(meta, "labels").items()) {
    if (value.is_string()) facts.labels.emplace(key, value.get<std::string>());
  }
  for (const auto& [key, value] : kube::child_of(meta, "annotations").items()) {
    if (value.is_string()) facts.annotations.emplace(key, value.get<std::string>());
  }
  return facts;
}

// Always asked for: what the Pod mounts is what the API server has now, and that happens once for each Pod.
inject::ConfigMapText Injection::find_config_map(const std::string& name_space, const std::string& name,
                                                 const std::string& key) const {
  using State = inject::ConfigMapText::State;
  const kube::Answer answer = rest_.get(kube::object_path("", "v1", "configmaps", name_space, name));
  if (answer.code == 404) return {.state = State::kMissing, .text = {}};
  if (!answer.ok()) return {.state = State::kUnknown, .text = {}};
  const kube::Json document = kube::parse_json(answer.body);
  const kube::Json& value = kube::child_of(kube::child_of(document, "data"), key);
  if (!value.is_string()) return {.state = State::kMissing, .text = {}};
  return {.state = State::kFound, .text = value.get<std::string>()};
}

void Injection::report(const inject::Review& review) {
  const inject::ObjectName& about = review.owner.kind.empty() ? review.pod : review.owner;
  if (about.name.empty()) return;  // the API server has not named it yet, and nobody owns it
  const bool refused = review.mutation.decision == inject::Mutation::Decision::kRefused;
  events_.record({.regarding = {.api_version = about.api_version,
                                .kind = about.kind,
                                .name_space = about.name_space,
                                .name = about.name,
                                .uid = about.uid},
                  .warning = refused,
                  .reason = refused ? "SidecarRefused" : "SidecarInjected",
                  .action = "Inject",
                  .note = review.mutation.message.empty() ? review.mutation.reason : review.mutation.message});
}

}  // namespace headgate::controller
