// settings.h -- what an installation decides about its sidecars; Pods and namespaces may ask for something else.
// Thread: any (values).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace headgate::inject {

// Names in a Pod that are ours. Paths are those inside the sidecar.
inline constexpr const char* kContainerName = "headgate-proxy";
inline constexpr const char* kProgram = "/usr/bin/headgate";  // in the image
inline constexpr const char* kConfigVolume = "headgate-config";
inline constexpr const char* kTlsVolume = "headgate-tls";
inline constexpr const char* kTmpVolume = "headgate-tmp";
inline constexpr const char* kConfigFolder = "/etc/headgate/config";
inline constexpr const char* kConfigFile = "/etc/headgate/config/config.json";
inline constexpr const char* kTlsFolder = "/etc/headgate/tls";  // tls.crt, tls.key, ca.crt
inline constexpr const char* kTmpFolder = "/tmp";
inline constexpr const char* kAdminAddress = "unix:///tmp/headgate-admin.sock";

struct Settings {
  std::string image;                        // of the sidecar; no default; "registry.example/headgate:0.1.0"
  std::string image_pull_policy;            // empty: the cluster's default
  std::string cpu_request = "10m";          // empty: none
  std::string cpu_limit;                    // empty: none
  std::string memory_request = "20Mi";      // empty: none
  std::string memory_limit;                 // empty: none
  bool native_sidecars = true;              // the cluster knows init containers that restart (1.29 and later)
  int64_t user = 15137;                     // and group
  std::vector<std::string> never = {"kube-system", "kube-node-lease"};  // namespaces; add the controller's own
};

}  // namespace headgate::inject
