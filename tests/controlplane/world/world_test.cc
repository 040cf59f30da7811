#include "controlplane/world/world.h"

#include <map>
#include <random>

#include <gtest/gtest.h>

#include "controlplane/world/store.h"

namespace headgate::world {
namespace {

template <typename Message>
std::shared_ptr<Message> made(const std::string& name_space, const std::string& name, const std::string& version = "") {
  auto object = std::make_shared<Message>();
  object->mutable_metadata()->set_namespace_(name_space);
  object->mutable_metadata()->set_name(name);
  object->mutable_metadata()->set_resource_version(version);
  return object;
}

std::shared_ptr<kubernetes::EndpointSlice> slice(const std::string& name, const std::string& service) {
  auto object = made<kubernetes::EndpointSlice>("shop", name);
  (*object->mutable_metadata()->mutable_labels())["kubernetes.io/service-name"] = service;
  return object;
}

std::vector<std::string> slices(const World& world, const std::string& service) {
  std::vector<std::string> names;
  world.visit_slices("shop", service,
                     [&](const ObjectKey& key, const kubernetes::EndpointSlice&) { names.push_back(key.name); });
  return names;
}

TEST(ObjectMap, BehavesAsAMapAndCopiesStay) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  ObjectMap map;
  std::map<ObjectKey, kube::ObjectPtr> reference;
  for (int round = 0; round < 200; ++round) {
    const ObjectMap before = map;
    const auto reference_before = reference;
    for (unsigned i = random() % 40; i > 0; --i) {
      const ObjectKey key{"n" + std::to_string(random() % 3), "x" + std::to_string(random() % 300)};
      if (random() % 3 == 0) {
        EXPECT_EQ(map.erase(key), reference.erase(key) == 1);
      } else {
        auto object = made<kubernetes::Service>(key.name_space, key.name);
        map.set(key, object);
        reference[key] = object;
      }
    }
    EXPECT_EQ(map.size(), reference.size());
    std::map<ObjectKey, kube::ObjectPtr> seen;
    map.visit_all([&](const ObjectKey& key, const kube::ObjectPtr& object) { seen[key] = object; });
    EXPECT_EQ(seen, reference);
    std::map<ObjectKey, kube::ObjectPtr> still;
    before.visit_all([&](const ObjectKey& key, const kube::ObjectPtr& object) { still[key] = object; });
    EXPECT_EQ(still, reference_before);
    // What the difference tells turns one into the other, and tells nothing else.
    auto patched = reference_before;
    ObjectMap::changes_between(before, map, [&](const ObjectKey& key, const auto& old, const auto& now) {
      EXPECT_NE(old, now);
      EXPECT_EQ(old, reference_before.contains(key) ? reference_before.at(key) : nullptr);
      if (now == nullptr) {
        patched.erase(key);
      } else {
        patched[key] = now;
      }
    });
    EXPECT_EQ(patched, reference);
  }
}

TEST(ObjectMap, VisitsFromAKey) {
  ObjectMap map;
  for (int i = 0; i < 500; ++i) map.set({"n", std::to_string(1000 + i)}, made<kubernetes::Service>("n", "x"));
  std::vector<std::string> names;
  map.visit_from({"n", "1123x"}, [&](const ObjectKey& key, const kube::ObjectPtr&) {
    names.push_back(key.name);
    return names.size() < 3;
  });
  EXPECT_EQ(names, (std::vector<std::string>{"1124", "1125", "1126"}));
  map.visit_from({"z", ""}, [&](const ObjectKey&, const kube::ObjectPtr&) {
    ADD_FAILURE() << "there is nothing behind the last";
    return true;
  });
}

TEST(World, FindsTheSlicesOfAService) {
  World world;
  world.set(ObjectKind::kEndpointSlice, slice("b", "cart"));
  world.set(ObjectKind::kEndpointSlice, slice("a", "cart"));
  world.set(ObjectKind::kEndpointSlice, slice("c", "cart-2"));
  EXPECT_EQ(slices(world, "cart"), (std::vector<std::string>{"a", "b"}));
  world.set(ObjectKind::kEndpointSlice, slice("a", "other"));  // the label moved
  EXPECT_EQ(slices(world, "cart"), (std::vector<std::string>{"b"}));
  EXPECT_EQ(slices(world, "other"), (std::vector<std::string>{"a"}));
  world.erase(ObjectKind::kEndpointSlice, {"shop", "b"});
  EXPECT_TRUE(slices(world, "cart").empty());
  EXPECT_FALSE(world.set(ObjectKind::kService, slice("a", "x"))) << "an object of another kind is not taken";
}

TEST(Store, ReplacesAndCounts) {
  int woken = 0;
  Store store([&] { ++woken; });
  EXPECT_FALSE(store.synced({ObjectKind::kService}));
  const auto first = made<kubernetes::Service>("shop", "a", "1");
  store.on_replace(ObjectKind::kService, {first, made<kubernetes::Service>("shop", "b", "1")});
  EXPECT_TRUE(store.synced({ObjectKind::kService}));
  EXPECT_FALSE(store.synced({ObjectKind::kService, ObjectKind::kSecret}));
  const World before = store.freeze();
  const uint64_t changes = store.changes();
  store.on_replace(ObjectKind::kService, {made<kubernetes::Service>("shop", "a", "1"), made<kubernetes::Service>("shop", "c", "2")});
  EXPECT_EQ(store.changes(), changes + 2) << "a is of the same version, b has gone, c is new";
  EXPECT_EQ(store.freeze().find<kubernetes::Service>("shop", "a"), first);
  EXPECT_EQ(store.freeze().find<kubernetes::Service>("shop", "b"), nullptr);
  EXPECT_NE(before.find<kubernetes::Service>("shop", "b"), nullptr) << "a frozen World stays";
  store.on_delete(ObjectKind::kService, "shop", "c");
  store.on_upsert(ObjectKind::kService, made<kubernetes::Service>("shop", "d", "3"));
  EXPECT_EQ(store.freeze().objects(ObjectKind::kService).size(), 2U);
  EXPECT_EQ(woken, 4);
}

}  // namespace
}  // namespace headgate::world
