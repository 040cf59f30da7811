#include "controlplane/world/object_map.h"

namespace headgate::world {

kube::ObjectPtr ObjectMap::find(const ObjectKey& key) const {
  const Entry* const entry = entries_.find(key);
  return entry == nullptr ? nullptr : entry->object;
}

bool ObjectMap::set(const ObjectKey& key, kube::ObjectPtr object) { return entries_.set({key, std::move(object)}); }

bool ObjectMap::erase(const ObjectKey& key) { return entries_.erase(key); }

void ObjectMap::visit_from(const ObjectKey& from,
                           const std::function<bool(const ObjectKey&, const kube::ObjectPtr&)>& visit) const {
  entries_.visit_from(from, [&](const Entry& entry) { return visit(entry.key, entry.object); });
}

void ObjectMap::visit_all(const std::function<void(const ObjectKey&, const kube::ObjectPtr&)>& visit) const {
  entries_.visit_all([&](const Entry& entry) { visit(entry.key, entry.object); });
}

void ObjectMap::changes_between(
    const ObjectMap& before, const ObjectMap& after,
    const std::function<void(const ObjectKey&, const kube::ObjectPtr& old, const kube::ObjectPtr& now)>& visit) {
  Entries::changes_between(before.entries_, after.entries_, [&](const Entry* old, const Entry* now) {
    visit((old != nullptr ? old : now)->key, old == nullptr ? nullptr : old->object, now == nullptr ? nullptr : now->object);
  });
}

}  // namespace headgate::world
