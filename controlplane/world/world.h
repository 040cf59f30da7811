// world.h -- a frozen copy of all watched objects, with the index that finds the slices of a Service.
// Thread: any (immutable once frozen; copies share their objects).   Owner: whoever froze it; Store makes them.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "controlplane/world/object_map.h"
#include "kubernetes/core.pb.h"
#include "kubernetes/discovery.pb.h"
#include "kubernetes/networking.pb.h"

namespace headgate::world {

using kube::ObjectKind;

// The message of each kind: World::find<kubernetes::Service>("shop", "cart").
template <typename Message>
constexpr ObjectKind kind_of();
template <>
constexpr ObjectKind kind_of<kubernetes::Ingress>() { return ObjectKind::kIngress; }
template <>
constexpr ObjectKind kind_of<kubernetes::IngressClass>() { return ObjectKind::kIngressClass; }
template <>
constexpr ObjectKind kind_of<kubernetes::Service>() { return ObjectKind::kService; }
template <>
constexpr ObjectKind kind_of<kubernetes::EndpointSlice>() { return ObjectKind::kEndpointSlice; }
template <>
constexpr ObjectKind kind_of<kubernetes::Secret>() { return ObjectKind::kSecret; }
template <>
constexpr ObjectKind kind_of<kubernetes::ConfigMap>() { return ObjectKind::kConfigMap; }
template <>
constexpr ObjectKind kind_of<kubernetes::Namespace>() { return ObjectKind::kNamespace; }
template <>
constexpr ObjectKind kind_of<kubernetes::Pod>() { return ObjectKind::kPod; }
template <>
constexpr ObjectKind kind_of<kubernetes::Node>() { return ObjectKind::kNode; }

std::string_view kind_name(ObjectKind kind);  // "Ingress"
// The metadata every kind begins with.
const kubernetes::ObjectMeta& metadata_of(const google::protobuf::Message& object);
ObjectKey key_of(const google::protobuf::Message& object);
// Name of the Service a slice belongs to, in the slice's namespace; empty: none.
std::string service_of(const kubernetes::EndpointSlice& slice);

class World {
 public:
  [[nodiscard]] const ObjectMap& objects(ObjectKind kind) const { return kinds_[static_cast<size_t>(kind)]; }

  // Null: there is none.
  template <typename Message>
  [[nodiscard]] std::shared_ptr<const Message> find(std::string_view name_space, std::string_view name) const {
    return std::static_pointer_cast<const Message>(
        objects(kind_of<Message>()).find({std::string(name_space), std::string(name)}));
  }
  template <typename Message>
  void visit(const std::function<void(const ObjectKey&, const Message&)>& visitor) const {
    objects(kind_of<Message>()).visit_all([&](const ObjectKey& key, const kube::ObjectPtr& object) {
      visitor(key, static_cast<const Message&>(*object));
    });
  }
  // The slices of one Service, in the order of their names.
  void visit_slices(std::string_view name_space, std::string_view service,
                    const std::function<void(const ObjectKey&, const kubernetes::EndpointSlice&)>& visitor) const;

  // Changes, before it is frozen. An object that is not of its kind is not taken: false.
  bool set(ObjectKind kind, kube::ObjectPtr object);
  bool erase(ObjectKind kind, const ObjectKey& key);

 private:

  std::array<ObjectMap, kube::kObjectKinds> kinds_;
  ObjectMap slices_of_services_;  // keys: (namespace, "SERVICE/SLICE")
};

}  // namespace headgate::world
