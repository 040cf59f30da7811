#include "controlplane/publish/resource_set.h"

#include <algorithm>
#include <tuple>

namespace headgate::publish {
namespace {

using control::v1::Push;
using control::v1::ResourceKey;

ResourceKey key_of(control::v1::Kind kind, const std::string& name) {
  ResourceKey key;
  key.set_kind(kind);
  key.set_name(name);
  return key;
}

bool same_origin(const translate::Resource& left, const translate::Resource& right) {
  return std::equal(left.origin.begin(), left.origin.end(), right.origin.begin(), right.origin.end(),
                    [](const auto& a, const auto& b) { return a.SerializeAsString() == b.SerializeAsString(); });
}

// Both ranges are ordered by kind and name. `look` gives {kind, name, version} of an element of `before`; `same` knows
// without a look that it is the other: of two sets most is.
template <typename Before, typename Look, typename Same>
std::shared_ptr<const Difference> compare(const Before& before, const std::vector<FramedPtr>& after, Look look,
                                          Same same) {
  auto difference = std::make_shared<Difference>();
  auto old = before.begin();
  for (const FramedPtr& framed : after) {
    if (old != before.end() && same(*old, framed)) {
      ++old;
      continue;
    }
    const translate::Resource& now = framed->resource();
    const auto now_key = std::tie(now.kind, now.name);
    for (; old != before.end(); ++old) {
      const auto& [kind, name, version] = look(*old);
      if (std::tie(kind, name) >= now_key) break;
      difference->remove.push_back(key_of(kind, name));
    }
    if (old != before.end()) {
      const auto& [kind, name, version] = look(*old);
      if (std::tie(kind, name) == now_key) {
        ++old;
        if (version == now.version) continue;
      }
    }
    difference->upsert.push_back(framed);
  }
  for (; old != before.end(); ++old) {
    const auto& [kind, name, version] = look(*old);
    difference->remove.push_back(key_of(kind, name));
  }
  return difference;
}

}  // namespace

void append_varint(std::string& bytes, uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes.push_back(static_cast<char>(value | 0x80));
  bytes.push_back(static_cast<char>(value));
}

void append_tag(std::string& bytes, uint32_t field, uint32_t wire_type) {
  append_varint(bytes, field << 3 | wire_type);
}

FramedResource::FramedResource(translate::ResourcePtr resource) : resource_(std::move(resource)) {
  using control::v1::Resource;
  Resource head;
  *head.mutable_key() = key_of(resource_->kind, resource_->name);
  head.set_version(resource_->version);
  std::string before_body = head.SerializeAsString();
  if (!resource_->body.empty()) {
    append_tag(before_body, Resource::kBodyFieldNumber, kWireBytes);
    append_varint(before_body, resource_->body.size());
  }
  Resource tail;
  tail.mutable_origin()->Add(resource_->origin.begin(), resource_->origin.end());
  const std::string after_body = tail.SerializeAsString();
  append_tag(frame_, Push::kUpsertFieldNumber, kWireBytes);
  append_varint(frame_, before_body.size() + resource_->body.size() + after_body.size());
  frame_ += before_body;
  head_ = frame_.size();
  frame_ += after_body;
  frame_.shrink_to_fit();
}

void FramedResource::append_to(std::string& bytes) const {
  bytes.append(frame_, 0, head_);
  bytes.append(resource_->body);
  bytes.append(frame_, head_);
}

std::shared_ptr<const ResourceSet> ResourceSet::make(const std::shared_ptr<const ResourceSet>& previous,
                                                     const translate::Output& output) {
  static const std::vector<FramedPtr> kNothing;
  auto set = std::make_shared<ResourceSet>();
  set->resources_.reserve(output.resources.size());
  const std::vector<FramedPtr>& before = previous == nullptr ? kNothing : previous->resources_;
  auto old = before.begin();
  for (const translate::ResourcePtr& resource : output.resources) {
    set->digest_ ^= resource->version;
    if (old != before.end() && (*old)->pointer() == resource) {
      set->resources_.push_back(*old++);
      continue;
    }
    while (old != before.end() && translate::precedes((*old)->resource(), *resource)) ++old;
    // The same content (another run of translate): its frame is shared.
    const bool same = old != before.end() && ((*old)->pointer() == resource ||
                                              ((*old)->resource().version == resource->version &&
                                               (*old)->resource().kind == resource->kind &&
                                               (*old)->resource().name == resource->name &&
                                               same_origin((*old)->resource(), *resource)));
    set->resources_.push_back(same ? *old : std::make_shared<const FramedResource>(resource));
  }
  if (previous != nullptr) {
    set->from_previous_ = set->difference_from(previous);
    set->previous_ = previous;
  }
  return set;
}

bool ResourceSet::has(control::v1::Kind kind, const std::string& name) const {
  const auto key = std::tie(kind, name);
  const auto at =
      std::lower_bound(resources_.begin(), resources_.end(), key, [](const FramedPtr& framed, const auto& wanted) {
        return std::tie(framed->resource().kind, framed->resource().name) < wanted;
      });
  return at != resources_.end() && (*at)->resource().kind == kind && (*at)->resource().name == name;
}

std::shared_ptr<const Difference> ResourceSet::difference_from(const std::shared_ptr<const ResourceSet>& from) const {
  static const std::vector<FramedPtr> kNothing;
  if (from != nullptr && from_previous_ != nullptr && previous_.lock() == from) return from_previous_;
  const auto look = [](const FramedPtr& framed) {
    const translate::Resource& resource = framed->resource();
    return std::tie(resource.kind, resource.name, resource.version);
  };
  return compare(from == nullptr ? kNothing : from->resources_, resources_, look,
                 [](const FramedPtr& old, const FramedPtr& now) { return old == now; });
}

std::shared_ptr<const Difference> ResourceSet::difference_from(std::span<const KnownResource> known) const {
  return compare(known, resources_,
                 [](const KnownResource& one) { return std::tie(one.kind, one.name, one.version); },
                 [](const KnownResource&, const FramedPtr&) { return false; });
}

std::vector<KnownResource> known_resources(const google::protobuf::RepeatedPtrField<control::v1::KnownVersion>& known) {
  std::vector<KnownResource> list;
  list.reserve(static_cast<size_t>(known.size()));
  for (const auto& one : known) list.push_back({one.key().kind(), one.key().name(), one.version()});
  const auto key = [](const KnownResource& one) { return std::tie(one.kind, one.name); };
  std::sort(list.begin(), list.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
  std::vector<KnownResource> unique;
  for (KnownResource& one : list) {
    if (!unique.empty() && key(unique.back()) == key(one)) {
      unique.back().version = 0;  // no version is 0: it is sent again
    } else {
      unique.push_back(std::move(one));
    }
  }
  return unique;
}

}  // namespace headgate::publish
