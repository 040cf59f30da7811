// resource.h -- a resource encoded once: its bytes are shared by every stream that carries it.
// Thread: any (immutable).   Owner: shared.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/message.h>

#include "dataplane/base/shared_map.h"
#include "headgate/control/v1/resource.pb.h"

namespace headgate::translate {

struct Resource {
  control::v1::Kind kind = control::v1::KIND_UNSPECIFIED;
  std::string name;
  uint64_t version = 0;  // hash of kind, name and body; never 0
  std::string body;      // deterministic serialization
  std::vector<control::v1::ObjectRef> origin;
};
using ResourcePtr = std::shared_ptr<const Resource>;

// Encodes `message`, whose `name` field is `name`. Equal input gives equal bytes and version in every process.
ResourcePtr encode(control::v1::Kind kind, std::string name, const google::protobuf::Message& message,
                   std::vector<control::v1::ObjectRef> origin = {});

// What resources are sorted by.
struct ResourceName {
  control::v1::Kind kind;
  std::string_view name;
  auto operator<=>(const ResourceName&) const = default;
};
struct ByResourceName {
  ResourceName operator()(const ResourcePtr& resource) const { return {resource->kind, resource->name}; }
};
// A value whose copies share what did not change.
using Resources = SharedMap<ResourcePtr, ByResourceName>;

}  // namespace headgate::translate
