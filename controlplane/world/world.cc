#include "controlplane/world/world.h"

#include <utility>

#include "dataplane/base/check.h"

namespace headgate::world {

namespace {

constexpr std::string_view kServiceLabel = "kubernetes.io/service-name";

const google::protobuf::Descriptor* descriptor_of(ObjectKind kind) {
  switch (kind) {
    case ObjectKind::kIngress: return kubernetes::Ingress::descriptor();
    case ObjectKind::kIngressClass: return kubernetes::IngressClass::descriptor();
    case ObjectKind::kService: return kubernetes::Service::descriptor();
    case ObjectKind::kEndpointSlice: return kubernetes::EndpointSlice::descriptor();
    case ObjectKind::kSecret: return kubernetes::Secret::descriptor();
    case ObjectKind::kConfigMap: return kubernetes::ConfigMap::descriptor();
    case ObjectKind::kNamespace: return kubernetes::Namespace::descriptor();
    case ObjectKind::kPod: return kubernetes::Pod::descriptor();
    case ObjectKind::kNode: return kubernetes::Node::descriptor();
  }
  return nullptr;
}

ObjectKey slice_index_key(const kubernetes::EndpointSlice& slice) {
  return {slice.metadata().namespace_(), service_of(slice) + "/" + slice.metadata().name()};
}

}  // namespace

std::string_view kind_name(ObjectKind kind) { return descriptor_of(kind)->name(); }

const kubernetes::ObjectMeta& metadata_of(const google::protobuf::Message& object) {
  const auto* field = object.GetDescriptor()->FindFieldByNumber(1);
  HG_CHECK(field != nullptr && field->message_type() == kubernetes::ObjectMeta::descriptor());
  return static_cast<const kubernetes::ObjectMeta&>(object.GetReflection()->GetMessage(object, field));
}

ObjectKey key_of(const google::protobuf::Message& object) {
  const kubernetes::ObjectMeta& metadata = metadata_of(object);
  return {metadata.namespace_(), metadata.name()};
}

std::string service_of(const kubernetes::EndpointSlice& slice) {
  const auto label = slice.metadata().labels().find(std::string(kServiceLabel));
  return label == slice.metadata().labels().end() ? std::string() : label->second;
}

void World::visit_slices(std::string_view name_space, std::string_view service,
                         const std::function<void(const ObjectKey&, const kubernetes::EndpointSlice&)>& visitor) const {
  const std::string prefix = std::string(service) + "/";
  slices_of_services_.visit_from({std::string(name_space), prefix},
                                 [&](const ObjectKey& key, const kube::ObjectPtr& object) {
                                   if (key.name_space != name_space || !key.name.starts_with(prefix)) return false;
                                   const auto& slice = static_cast<const kubernetes::EndpointSlice&>(*object);
                                   visitor(key_of(slice), slice);
                                   return true;
                                 });
}

bool World::set(ObjectKind kind, kube::ObjectPtr object) {
  if (object == nullptr || object->GetDescriptor() != descriptor_of(kind)) return false;
  ObjectMap& map = kinds_[static_cast<size_t>(kind)];
  const ObjectKey key = key_of(*object);
  if (kind == ObjectKind::kEndpointSlice) {
    // The label may have changed: the old entry goes first.
    if (const kube::ObjectPtr old = map.find(key)) {
      slices_of_services_.erase(slice_index_key(static_cast<const kubernetes::EndpointSlice&>(*old)));
    }
    slices_of_services_.set(slice_index_key(static_cast<const kubernetes::EndpointSlice&>(*object)), object);
  }
  return map.set(key, std::move(object));
}

bool World::erase(ObjectKind kind, const ObjectKey& key) {
  ObjectMap& map = kinds_[static_cast<size_t>(kind)];
  if (kind == ObjectKind::kEndpointSlice) {
    if (const kube::ObjectPtr old = map.find(key)) {
      slices_of_services_.erase(slice_index_key(static_cast<const kubernetes::EndpointSlice&>(*old)));
    }
  }
  return map.erase(key);
}

}  // namespace headgate::world
