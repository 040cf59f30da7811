#include "dataplane/control/control_node.h"

#include <unistd.h>

#include <array>

namespace headgate::control {

control::v1::Node control_node(const ControlOptions& options) {
  control::v1::Node node;
  node.set_namespace_(options.pod_namespace);
  node.set_pod(options.pod);
  node.set_pod_uid(options.pod_uid);
  node.set_service_account(options.service_account);
  node.set_node_name(options.node_name);
  node.set_config(options.set);
  node.set_version(HEADGATE_VERSION);
  node.set_role(options.pod.empty() ? control::v1::ROLE_STANDALONE : control::v1::ROLE_GATEWAY);
  std::string id = options.node_id;
  if (id.empty() && !options.pod.empty()) id = options.pod_namespace + "/" + options.pod + "/" + options.pod_uid;
  if (id.empty()) {
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) == 0) id = name.data();
  }
  node.set_id(id.empty() ? "headgate" : id);
  return node;
}

}  // namespace headgate::control
