// object_map.h -- the objects of one kind, sorted by key: a value whose copies share everything that did not change.
// Thread: a map is one thread's; copies of it are independent and may be read by any.   Owner: Store, World.
//
// The entries lie in chunks of a few dozen, which copies share. A change copies its chunk if somebody else holds it;
// copying the map copies one pointer per chunk. `changes_between` passes over chunks that both sides share, so what it
// costs follows what changed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "controlplane/kube/object_sink.h"

namespace headgate::world {

// (namespace, name); the namespace is empty for kinds that have none.
struct ObjectKey {
  std::string name_space{};
  std::string name{};

  auto operator<=>(const ObjectKey&) const = default;
  bool operator==(const ObjectKey&) const = default;
};

class ObjectMap {
 public:
  [[nodiscard]] size_t size() const { return size_; }
  // Null: there is none.
  [[nodiscard]] kube::ObjectPtr find(const ObjectKey& key) const;

  // False: that very object was there already.
  bool set(const ObjectKey& key, kube::ObjectPtr object);
  bool erase(const ObjectKey& key);

  // In the order of keys, from the first that is not before `from`; ends when `visit` returns false.
  void visit_from(const ObjectKey& from,
                  const std::function<bool(const ObjectKey&, const kube::ObjectPtr&)>& visit) const;
  void visit_all(const std::function<void(const ObjectKey&, const kube::ObjectPtr&)>& visit) const;

  // Every key whose object is not the same object on both sides, in order; null where there is none.
  static void changes_between(
      const ObjectMap& before, const ObjectMap& after,
      const std::function<void(const ObjectKey&, const kube::ObjectPtr& old, const kube::ObjectPtr& now)>& visit);

 private:
  struct Entry {
    ObjectKey key;
    kube::ObjectPtr object;
  };
  using Chunk = std::vector<Entry>;  // never empty
  class Cursor;

  // Index of the chunk in which `key` is or would be.
  [[nodiscard]] size_t chunk_of(const ObjectKey& key) const;
  Chunk& writable(size_t index);

  std::vector<std::shared_ptr<Chunk>> chunks_;
  size_t size_ = 0;
};

}  // namespace headgate::world
