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
  static const translate::Resources kNothing;
  auto set = std::make_shared<ResourceSet>();
  if (previous != nullptr) {
    set->resources_ = previous->resources_;
    set->digest_ = previous->digest_;
  }
  set->source_ = output.resources;
  const auto change = [&](const translate::ResourcePtr* old, const translate::ResourcePtr* now) {
    if (old != nullptr) set->digest_ ^= (*old)->version;
    if (now == nullptr) {
      set->resources_.erase(translate::ByResourceName()(*old));
      return;
    }
    set->digest_ ^= (*now)->version;
    // The same content (another run of translate): its frame is shared.
    if (old != nullptr && (*old)->version == (*now)->version && same_origin(**old, **now)) return;
    set->resources_.set(std::make_shared<const FramedResource>(*now));
  };
  translate::Resources::changes_between(previous == nullptr ? kNothing : previous->source_, output.resources, change);
  if (previous != nullptr) {
    set->from_previous_ = set->difference_from(previous);
    set->previous_ = previous;
  }
  return set;
}

bool ResourceSet::has(control::v1::Kind kind, const std::string& name) const {
  return resources_.contains(translate::ResourceName{kind, name});
}

std::shared_ptr<const Difference> ResourceSet::difference_from(const std::shared_ptr<const ResourceSet>& from) const {
  static const FramedResources kNothing;
  if (from != nullptr && from_previous_ != nullptr && previous_.lock() == from) return from_previous_;
  auto difference = std::make_shared<Difference>();
  const auto change = [&](const FramedPtr* old, const FramedPtr* now) {
    if (now == nullptr) {
      difference->remove.push_back(key_of((*old)->resource().kind, (*old)->resource().name));
    } else if (old == nullptr || (*old)->resource().version != (*now)->resource().version) {
      difference->upsert.push_back(*now);
    }
  };
  FramedResources::changes_between(from == nullptr ? kNothing : from->resources_, resources_, change);
  return difference;
}

std::shared_ptr<const Difference> ResourceSet::difference_from(std::span<const KnownResource> known) const {
  auto difference = std::make_shared<Difference>();
  auto old = known.begin();
  const auto name_of = [](const KnownResource& one) { return translate::ResourceName{one.kind, one.name}; };
  for (const FramedPtr& framed : resources_) {
    const translate::ResourceName now = ByFramedName()(framed);
    for (; old != known.end() && name_of(*old) < now; ++old) difference->remove.push_back(key_of(old->kind, old->name));
    const bool there = old != known.end() && name_of(*old) == now;
    if (!there || old->version != framed->resource().version) difference->upsert.push_back(framed);
    if (there) ++old;
  }
  for (; old != known.end(); ++old) difference->remove.push_back(key_of(old->kind, old->name));
  return difference;
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
