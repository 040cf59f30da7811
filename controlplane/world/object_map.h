// object_map.h -- the objects of one kind, sorted by key: a value whose copies share everything that did not change.
// Thread: a map is one thread's; copies of it are independent and may be read by any.   Owner: Store, World.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "controlplane/kube/object_sink.h"
#include "dataplane/base/shared_map.h"

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
  [[nodiscard]] size_t size() const { return entries_.size(); }
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
    // Of the same key: is it the same object?
    bool operator==(const Entry& other) const { return object == other.object; }
  };
  struct KeyOf {
    const ObjectKey& operator()(const Entry& entry) const { return entry.key; }
  };
  using Entries = SharedMap<Entry, KeyOf>;

  Entries entries_;
};

}  // namespace headgate::world
