#include "controlplane/kube/kinds.h"

#include <array>

#include "controlplane/kube/rest.h"
#include "dataplane/base/check.h"
#include "kubernetes/core.pb.h"
#include "kubernetes/discovery.pb.h"
#include "kubernetes/networking.pb.h"

namespace headgate::kube {
namespace {

template <typename M>
const google::protobuf::Message& prototype() {
  return M::default_instance();
}

constexpr std::string_view kNetworking = "networking.k8s.io";

constexpr std::array<KindRow, kObjectKinds> kRows = {{
    {ObjectKind::kIngress, "Ingress", kNetworking, "v1", "ingresses", true, prototype<kubernetes::Ingress>},
    {ObjectKind::kIngressClass, "IngressClass", kNetworking, "v1", "ingressclasses", false,
     prototype<kubernetes::IngressClass>},
    {ObjectKind::kService, "Service", "", "v1", "services", true, prototype<kubernetes::Service>},
    {ObjectKind::kEndpointSlice, "EndpointSlice", "discovery.k8s.io", "v1", "endpointslices", true,
     prototype<kubernetes::EndpointSlice>},
    {ObjectKind::kSecret, "Secret", "", "v1", "secrets", true, prototype<kubernetes::Secret>},
    {ObjectKind::kConfigMap, "ConfigMap", "", "v1", "configmaps", true, prototype<kubernetes::ConfigMap>},
    {ObjectKind::kNamespace, "Namespace", "", "v1", "namespaces", false, prototype<kubernetes::Namespace>},
    {ObjectKind::kPod, "Pod", "", "v1", "pods", true, prototype<kubernetes::Pod>},
    {ObjectKind::kNode, "Node", "", "v1", "nodes", false, prototype<kubernetes::Node>},
}};

std::string version_path(std::string_view group, std::string_view version) {
  if (group.empty()) return "/api/" + std::string(version);
  return "/apis/" + std::string(group) + "/" + std::string(version);
}

}  // namespace

std::span<const KindRow> kinds() { return kRows; }

const KindRow& row_of(ObjectKind kind) {
  const KindRow& row = kRows[static_cast<size_t>(kind)];
  HG_CHECK(row.kind == kind);  // the table stands in the order of the enumeration
  return row;
}

std::string collection_path(const KindRow& row, std::string_view name_space) {
  std::string path = version_path(row.group, row.version);
  if (row.namespaced && !name_space.empty()) path += "/namespaces/" + encode_segment(name_space);
  return path + "/" + std::string(row.plural);
}

std::string object_path(std::string_view group, std::string_view version, std::string_view plural,
                        std::string_view name_space, std::string_view name) {
  std::string path = version_path(group, version);
  if (!name_space.empty()) path += "/namespaces/" + encode_segment(name_space);
  return path + "/" + std::string(plural) + "/" + encode_segment(name);
}

}  // namespace headgate::kube
