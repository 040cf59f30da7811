#include "controlplane/controller/namespace_union.h"

#include <algorithm>
#include <utility>

#include "controlplane/world/world.h"

namespace headgate::controller {

using kube::ObjectKind;
using kube::ObjectPtr;

NamespaceUnion::NamespaceUnion(kube::ObjectSink& sink, size_t namespaces) : sink_(sink) {
  for (size_t i = 0; i < namespaces; ++i) parts_.push_back(std::make_unique<Part>(*this));
}

bool NamespaceUnion::all_listed() const {
  return std::all_of(parts_.begin(), parts_.end(), [](const auto& part) { return part->listed_; });
}

void NamespaceUnion::Part::on_replace(ObjectKind kind, std::vector<ObjectPtr> objects) {
  const std::lock_guard lock(all_.mutex_);
  listed_ = true;
  objects_.clear();
  for (ObjectPtr& object : objects) {
    if (object != nullptr) objects_.insert_or_assign(world::metadata_of(*object).name(), std::move(object));
  }
  if (!all_.all_listed()) return;
  std::vector<ObjectPtr> all;
  for (const auto& part : all_.parts_) {
    for (const auto& [name, object] : part->objects_) all.push_back(object);
  }
  all_.sink_.on_replace(kind, std::move(all));
}

void NamespaceUnion::Part::on_upsert(ObjectKind kind, ObjectPtr object) {
  const std::lock_guard lock(all_.mutex_);
  objects_.insert_or_assign(world::metadata_of(*object).name(), object);
  if (all_.all_listed()) all_.sink_.on_upsert(kind, std::move(object));
}

void NamespaceUnion::Part::on_delete(ObjectKind kind, std::string_view name_space, std::string_view name) {
  const std::lock_guard lock(all_.mutex_);
  if (const auto at = objects_.find(name); at != objects_.end()) objects_.erase(at);
  if (all_.all_listed()) all_.sink_.on_delete(kind, name_space, name);
}

}  // namespace headgate::controller
