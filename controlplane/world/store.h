// store.h -- where the watches put what they see; everybody else gets frozen Worlds.
// Thread: any (locked).   Owner: the controller; outlives the watches.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "controlplane/kube/object_sink.h"
#include "controlplane/world/world.h"

namespace headgate::world {

class Store final : public kube::ObjectSink {
 public:
  // `on_change` is called after each change, on the thread of the watch and without the lock: to wake whoever
  // translates. It may be called although nothing visible changed.
  explicit Store(std::function<void()> on_change = {}) : on_change_(std::move(on_change)) {}

  void on_replace(ObjectKind kind, std::vector<kube::ObjectPtr> objects) override;
  void on_upsert(ObjectKind kind, kube::ObjectPtr object) override;
  void on_delete(ObjectKind kind, std::string_view name_space, std::string_view name) override;

  // Have the lists of all these kinds been answered once? Before that a missing object proves nothing.
  [[nodiscard]] bool synced(const std::vector<ObjectKind>& kinds) const;
  // Counts changes; equal numbers, equal Worlds.
  [[nodiscard]] uint64_t changes() const;
  // A copy that stays as it is; costs one pointer per few dozen objects.
  [[nodiscard]] World freeze() const;

 private:
  void told();

  mutable std::mutex mutex_;
  World world_;                                     // guarded by mutex_
  std::array<bool, kube::kObjectKinds> synced_{};   // guarded by mutex_
  uint64_t changes_ = 0;                            // guarded by mutex_
  const std::function<void()> on_change_;
};

}  // namespace headgate::world
