#include "controlplane/inject/sidecar.h"

namespace headgate::inject {
namespace {

Json mount(const std::string& volume, const std::string& path, bool read_only) {
  Json made = {{"name", volume}, {"mountPath", path}};
  if (read_only) made["readOnly"] = true;
  return made;
}

Json config_volume(const Wishes& wishes) {
  if (wishes.source == Source::kConfigMap) {
    // Not optional: a Pod whose ConfigMap is missing waits for it, and starts when it is there.
    return {{"name", kConfigVolume},
            {"configMap",
             {{"name", wishes.config_map},
              {"items", Json::array({{{"key", wishes.config_key}, {"path", "config.json"}}})}}}};
  }
  // A file that follows the annotation: changing it is a reload.
  const std::string key(wishes.source == Source::kPreset ? kCompiledAnnotation : kConfigAnnotation);
  const Json field = {{"apiVersion", "v1"}, {"fieldPath", "metadata.annotations['" + key + "']"}};
  return {{"name", kConfigVolume},
          {"downwardAPI", {{"items", Json::array({{{"path", "config.json"}, {"fieldRef", field}}})}}}};
}

void set_resources(Json& container, const Wishes& wishes, const Settings& settings) {
  const auto set = [&container](const char* list, const char* what, const std::string& wish,
                                const std::string& otherwise) {
    const std::string& value = wish.empty() ? otherwise : wish;
    if (!value.empty()) container["resources"][list][what] = value;
  };
  set("requests", "cpu", wishes.cpu_request, settings.cpu_request);
  set("requests", "memory", wishes.memory_request, settings.memory_request);
  set("limits", "cpu", wishes.cpu_limit, settings.cpu_limit);
  set("limits", "memory", wishes.memory_limit, settings.memory_limit);
}

Json probe(int64_t period_s, int64_t failures) {
  return {{"exec", {{"command", {kProgram, "healthcheck", "-admin", kAdminAddress}}}},
          {"periodSeconds", period_s},
          {"timeoutSeconds", 3},
          {"failureThreshold", failures}};
}

}  // namespace

Sidecar build_sidecar(const Wishes& wishes, const Settings& settings, const std::vector<ListeningPort>& ports,
                      const std::vector<MountWish>& mounts, bool native) {
  Sidecar sidecar;
  Json& container = sidecar.container;
  Json arguments = {"-config", kConfigFile, "-admin", kAdminAddress};
  if (!wishes.log_level.empty()) arguments.insert(arguments.end(), {"-log-level", wishes.log_level});
  if (wishes.drain_seconds) {
    arguments.insert(arguments.end(), {"-drain-seconds", std::to_string(*wishes.drain_seconds)});
  }
  container = {{"name", kContainerName},
               {"image", wishes.image.empty() ? settings.image : wishes.image},
               {"command", {kProgram}},
               {"args", std::move(arguments)},
               {"securityContext",
                {{"runAsNonRoot", true},
                 {"runAsUser", settings.user},
                 {"runAsGroup", settings.user},
                 {"allowPrivilegeEscalation", false},
                 {"readOnlyRootFilesystem", true},
                 {"capabilities", {{"drop", {"ALL"}}}},
                 {"seccompProfile", {{"type", "RuntimeDefault"}}}}},
               {"startupProbe", probe(1, 120)},
               {"readinessProbe", probe(10, 3)}};
  if (!settings.image_pull_policy.empty()) container["imagePullPolicy"] = settings.image_pull_policy;
  if (native) container["restartPolicy"] = "Always";
  set_resources(container, wishes, settings);
  for (const ListeningPort& port : ports) {
    if (port.loopback) continue;
    container["ports"].push_back({{"containerPort", port.port}, {"protocol", port.udp ? "UDP" : "TCP"}});
  }

  Json& seen = container["volumeMounts"];
  seen.push_back(mount(kConfigVolume, kConfigFolder, true));
  sidecar.volumes.push_back(config_volume(wishes));
  if (!wishes.tls_secret.empty()) {
    seen.push_back(mount(kTlsVolume, kTlsFolder, true));
    sidecar.volumes.push_back({{"name", kTlsVolume}, {"secret", {{"secretName", wishes.tls_secret}}}});
  }
  seen.push_back(mount(kTmpVolume, kTmpFolder, false));
  sidecar.volumes.push_back({{"name", kTmpVolume}, {"emptyDir", {{"sizeLimit", "64Mi"}}}});
  for (const MountWish& wish : mounts) seen.push_back(mount(wish.volume, wish.path, wish.read_only));
  return sidecar;
}

}  // namespace headgate::inject
