#include "controlplane/world/store.h"

#include <algorithm>
#include <set>
#include <utility>

namespace headgate::world {

void Store::told() {
  if (on_change_) on_change_();
}

void Store::on_replace(ObjectKind kind, std::vector<kube::ObjectPtr> objects) {
  {
    const std::lock_guard lock(mutex_);
    std::set<ObjectKey> listed;
    for (kube::ObjectPtr& object : objects) {
      if (object == nullptr) continue;
      listed.insert(key_of(*object));
      // A relist brings the same objects anew: who is of the same version stays, so that nobody looks at it again.
      const kube::ObjectPtr known = world_.objects(kind).find(key_of(*object));
      const std::string& version = metadata_of(*object).resource_version();
      if (known != nullptr && !version.empty() && metadata_of(*known).resource_version() == version &&
          metadata_of(*known).uid() == metadata_of(*object).uid()) {
        continue;
      }
      changes_ += world_.set(kind, std::move(object)) ? 1 : 0;
    }
    std::vector<ObjectKey> gone;
    world_.objects(kind).visit_all([&](const ObjectKey& key, const kube::ObjectPtr&) {
      if (!listed.contains(key)) gone.push_back(key);
    });
    for (const ObjectKey& key : gone) changes_ += world_.erase(kind, key) ? 1 : 0;
    synced_[static_cast<size_t>(kind)] = true;
  }
  told();
}

void Store::on_upsert(ObjectKind kind, kube::ObjectPtr object) {
  {
    const std::lock_guard lock(mutex_);
    changes_ += world_.set(kind, std::move(object)) ? 1 : 0;
  }
  told();
}

void Store::on_delete(ObjectKind kind, std::string_view name_space, std::string_view name) {
  {
    const std::lock_guard lock(mutex_);
    changes_ += world_.erase(kind, {std::string(name_space), std::string(name)}) ? 1 : 0;
  }
  told();
}

bool Store::synced(const std::vector<ObjectKind>& kinds) const {
  const std::lock_guard lock(mutex_);
  return std::all_of(kinds.begin(), kinds.end(),
                     [&](ObjectKind kind) { return synced_[static_cast<size_t>(kind)]; });
}

uint64_t Store::changes() const {
  const std::lock_guard lock(mutex_);
  return changes_;
}

World Store::freeze() const {
  const std::lock_guard lock(mutex_);
  return world_;
}

}  // namespace headgate::world
