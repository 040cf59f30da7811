// object_sink.h -- what a watch tells: the objects of one kind, from then on each change.
// Thread: that of the watch (one per kind); an implementation locks or posts.   Owner: the caller.
// Objects are messages of proto/kubernetes, immutable once told. Key: (namespace, name).
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include <google/protobuf/message.h>

namespace headgate::kube {

enum class ObjectKind : uint8_t {
  kIngress,
  kIngressClass,
  kService,
  kEndpointSlice,
  kSecret,
  kConfigMap,
  kNamespace,
  kPod,   // those of the dataplane only: who may open a stream
  kNode,  // addresses and zones
};
inline constexpr size_t kObjectKinds = 9;

using ObjectPtr = std::shared_ptr<const google::protobuf::Message>;

class ObjectSink {
 public:
  virtual ~ObjectSink() = default;
  // All there are: the answer to a list. What is not among them is gone.
  virtual void on_replace(ObjectKind kind, std::vector<ObjectPtr> objects) = 0;
  virtual void on_upsert(ObjectKind kind, ObjectPtr object) = 0;
  virtual void on_delete(ObjectKind kind, std::string_view name_space, std::string_view name) = 0;
};

}  // namespace headgate::kube
