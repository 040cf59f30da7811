// resource_set.h -- what a named set holds now, framed once for the wire, and how two of them differ.
//
// A ResourceSet is made from each Output; what did not change is shared with the set before it, and making it costs what
// changed. Comparing is by version alone: equal versions are equal bodies, whichever replica encoded them.
// Thread: any (immutable).   Owner: shared by the hub and every session that was sent it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "controlplane/translate/output.h"
#include "headgate/control/v1/control.pb.h"

namespace headgate::publish {

// A Resource as the element of Push.upsert that it becomes: what stands before and after the shared body.
class FramedResource {
 public:
  explicit FramedResource(translate::ResourcePtr resource);
  [[nodiscard]] const translate::Resource& resource() const { return *resource_; }
  [[nodiscard]] const translate::ResourcePtr& pointer() const { return resource_; }
  [[nodiscard]] size_t size() const { return frame_.size() + resource_->body.size(); }
  void append_to(std::string& bytes) const;

 private:
  translate::ResourcePtr resource_;
  std::string frame_;
  size_t head_ = 0;  // bytes of frame_ that come before the body
};
using FramedPtr = std::shared_ptr<const FramedResource>;
struct ByFramedName {
  translate::ResourceName operator()(const FramedPtr& framed) const { return translate::ByResourceName()(framed->pointer()); }
};
using FramedResources = SharedMap<FramedPtr, ByFramedName>;

struct KnownResource {
  control::v1::Kind kind = control::v1::KIND_UNSPECIFIED;
  std::string name;
  uint64_t version = 0;
};

// What turns one set into another.
struct Difference {
  std::vector<FramedPtr> upsert;
  std::vector<control::v1::ResourceKey> remove;
  [[nodiscard]] bool empty() const { return upsert.empty() && remove.empty(); }
};

class ResourceSet {
 public:
  // `previous` may be null. The new set keeps its difference to `previous`, which most sessions will need.
  static std::shared_ptr<const ResourceSet> make(const std::shared_ptr<const ResourceSet>& previous,
                                                 const translate::Output& output);
  [[nodiscard]] const FramedResources& resources() const { return resources_; }
  [[nodiscard]] uint64_t digest() const { return digest_; }
  [[nodiscard]] bool has(control::v1::Kind kind, const std::string& name) const;

  // From `from` (null: nothing) to this.
  [[nodiscard]] std::shared_ptr<const Difference> difference_from(const std::shared_ptr<const ResourceSet>& from) const;
  // From what somebody says it has, ordered by kind and name.
  [[nodiscard]] std::shared_ptr<const Difference> difference_from(std::span<const KnownResource> known) const;

 private:
  translate::Resources source_;
  FramedResources resources_;
  uint64_t digest_ = 0;
  std::weak_ptr<const ResourceSet> previous_;
  std::shared_ptr<const Difference> from_previous_;
};
using ResourceSetPtr = std::shared_ptr<const ResourceSet>;

// Sorted, one entry per key (of two, neither is believed).
std::vector<KnownResource> known_resources(const google::protobuf::RepeatedPtrField<control::v1::KnownVersion>& known);

// Fields of protobuf's wire format, for messages that are put together from parts that are serialized already.
void append_varint(std::string& bytes, uint64_t value);
void append_tag(std::string& bytes, uint32_t field, uint32_t wire_type);
inline constexpr uint32_t kWireVarint = 0;
inline constexpr uint32_t kWireFixed64 = 1;
inline constexpr uint32_t kWireBytes = 2;

}  // namespace headgate::publish
