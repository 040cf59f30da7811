// Several namespaces told as one: nothing before all were listed, and a relist of one takes nothing from the others.
#include "controlplane/controller/namespace_union.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "controlplane/world/store.h"
#include "controlplane/world/world.h"

namespace headgate::controller {
namespace {

using kube::ObjectKind;

kube::ObjectPtr service(const std::string& name_space, const std::string& name, const std::string& version = "1") {
  auto object = std::make_shared<kubernetes::Service>();
  object->mutable_metadata()->set_namespace_(name_space);
  object->mutable_metadata()->set_name(name);
  object->mutable_metadata()->set_resource_version(version);
  return object;
}

class NamespaceUnionTest : public testing::Test {
 protected:
  // "a/one a/two b/one"
  std::string known() {
    std::set<std::string> names;
    store_.freeze().objects(ObjectKind::kService).visit_all([&](const world::ObjectKey& key, const kube::ObjectPtr&) {
      names.insert(key.name_space + "/" + key.name);
    });
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
    return text;
  }
  bool synced() { return store_.synced({ObjectKind::kService}); }

  int told_ = 0;
  world::Store store_{[this] { ++told_; }};
  NamespaceUnion union_{store_, 2};
  kube::ObjectSink& a_ = union_.part(0);
  kube::ObjectSink& b_ = union_.part(1);
};

TEST_F(NamespaceUnionTest, NothingIsToldBeforeAllWereListed) {
  a_.on_replace(ObjectKind::kService, {service("a", "one"), service("a", "gone")});
  a_.on_upsert(ObjectKind::kService, service("a", "two"));
  a_.on_delete(ObjectKind::kService, "a", "gone");
  EXPECT_FALSE(synced());
  EXPECT_EQ(told_, 0);
  b_.on_replace(ObjectKind::kService, {service("b", "one")});
  EXPECT_TRUE(synced());
  EXPECT_EQ(told_, 1);
  EXPECT_EQ(known(), "a/one a/two b/one");
}

TEST_F(NamespaceUnionTest, AListOfOneNamespaceIsNoListOfTheOthers) {
  a_.on_replace(ObjectKind::kService, {service("a", "one"), service("a", "two")});
  b_.on_replace(ObjectKind::kService, {service("b", "one")});
  a_.on_replace(ObjectKind::kService, {service("a", "three")});
  EXPECT_EQ(known(), "a/three b/one");
  b_.on_replace(ObjectKind::kService, {});
  EXPECT_EQ(known(), "a/three");
}

TEST_F(NamespaceUnionTest, ChangesGoThrough) {
  a_.on_replace(ObjectKind::kService, {});
  b_.on_replace(ObjectKind::kService, {service("b", "same")});
  a_.on_upsert(ObjectKind::kService, service("a", "same"));
  EXPECT_EQ(known(), "a/same b/same");
  b_.on_delete(ObjectKind::kService, "b", "same");
  EXPECT_EQ(known(), "a/same");
  a_.on_replace(ObjectKind::kService, {service("a", "same", "2")});  // what was deleted from b does not come back
  EXPECT_EQ(known(), "a/same");
  EXPECT_EQ(store_.freeze().find<kubernetes::Service>("a", "same")->metadata().resource_version(), "2");
}

}  // namespace
}  // namespace headgate::controller
