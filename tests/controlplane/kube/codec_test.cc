// codec_test.cc -- objects as the API server writes them become messages; what is not read is cut out before.
#include "controlplane/kube/codec.h"

#include <gtest/gtest.h>

#include "kubernetes/core.pb.h"
#include "kubernetes/networking.pb.h"

namespace headgate::kube {
namespace {

constexpr std::string_view kService = R"({
  "kind": "Service", "apiVersion": "v1",
  "metadata": {
    "name": "cart", "namespace": "shop", "resourceVersion": "42", "creationTimestamp": null, "generation": 3,
    "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"kind\":\"Service\"}", "a/b": "c"},
    "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {"f:ports": {}}}}]
  },
  "spec": {
    "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "sessionAffinity": "None",
    "ports": [{"name": "http", "port": 80, "targetPort": "web"}, {"port": 81, "targetPort": 8081}],
    "selector": null, "newInAFutureVersion": {"x": [1, {"y": "}"}]}
  },
  "status": {"loadBalancer": {}}
})";

TEST(Codec, DecodesWhatWeRead) {
  const Codec codec(ObjectKind::kService);
  std::string why;
  const auto object = codec.decode(kService, why);
  ASSERT_TRUE(object) << why;
  const auto& service = static_cast<const kubernetes::Service&>(**object);
  EXPECT_EQ(service.metadata().name(), "cart");
  EXPECT_EQ(service.metadata().generation(), 3);
  EXPECT_EQ(service.metadata().annotations_size(), 1);
  EXPECT_EQ(service.metadata().annotations().at("a/b"), "c");
  EXPECT_EQ(service.spec().cluster_ip(), "10.0.0.1");
  EXPECT_EQ(service.spec().ports(0).target_port().string_value(), "web");
  EXPECT_EQ(service.spec().ports(1).target_port().number_value(), 8081);
  EXPECT_EQ(name_of(service).name_space, "shop");
  EXPECT_EQ(name_of(service).name, "cart");
}

TEST(Codec, CutsOutTheRest) {
  const auto reduced = Codec(ObjectKind::kService).reduce(kService);
  ASSERT_TRUE(reduced);
  for (const char* gone : {"managedFields", "last-applied", "newInAFuture", "sessionAffinity", "apiVersion"}) {
    EXPECT_EQ(reduced->find(gone), std::string::npos) << gone << "\n" << *reduced;
  }
  EXPECT_NE(reduced->find(R"("clusterIPs":["10.0.0.1"])"), std::string::npos) << *reduced;
}

TEST(Codec, EveryKindDecodesItsName) {
  for (const KindRow& row : kinds()) {
    std::string why;
    const auto object = Codec(row.kind).decode(R"({"metadata":{"name":"n"}})", why);
    ASSERT_TRUE(object) << row.name << ": " << why;
    EXPECT_EQ(name_of(**object).name, "n");
    EXPECT_EQ((*object)->GetDescriptor()->name(), row.name);
  }
}

TEST(Codec, SecretsAreBytes) {
  std::string why;
  const auto object = Codec(ObjectKind::kSecret).decode(R"({"metadata":{"name":"s"},"data":{"k":"AAEC/w=="}})", why);
  ASSERT_TRUE(object) << why;
  EXPECT_EQ(static_cast<const kubernetes::Secret&>(**object).data().at("k"), std::string("\0\1\2\xff", 4));
}

TEST(Codec, RefusedWithAReason) {
  const Codec codec(ObjectKind::kIngress);
  std::string deep = R"({"metadata":{"name":"n"},"spec":{"rules":)";
  for (int i = 0; i < 100; ++i) deep += "[";
  const std::string cases[] = {
      "", "[]", "{", R"({"metadata":{"name":"n"})", R"({"metadata":{}})", R"({"metadata":{"name":"n"}} x)",
      R"({"metadata":{"name":"n"},"spec":{"rules":{"host":1}}})", R"({"metadata":{"name":7}, "spec":[])", deep,
      R"({"metadata":{"name":"n)", std::string("{\"metadata\":{\"name\":\"n\"}}\0{", 28),
  };
  for (const auto& text : cases) {
    std::string why;
    EXPECT_FALSE(codec.decode(text, why)) << text;
    EXPECT_FALSE(why.empty());
  }
}

TEST(WatchEvents, TypesAndObjects) {
  const auto added = parse_watch_event(R"({"type":"ADDED","object":{"metadata":{"resourceVersion":"9","name":"a"}}})");
  ASSERT_TRUE(added);
  EXPECT_EQ(added->type, EventType::kAdded);
  EXPECT_EQ(resource_version_of_object(added->object), "9");
  EXPECT_EQ(name_of_json(added->object).name, "a");
  const auto turned = parse_watch_event(R"({ "object" : {"metadata":{}} , "type" : "BOOKMARK" })");
  ASSERT_TRUE(turned);
  EXPECT_EQ(turned->type, EventType::kBookmark);
  EXPECT_EQ(resource_version_of_object(turned->object), "");
  for (const char* text : {"", "{}", R"({"type":"ADDED"})", R"({"type":"NEW","object":{}})", R"({"type":"ADDED","object":[]})",
                           R"({"type":"ADDED","object":{})", R"({"type":"ADDED","object":{}}})"}) {
    EXPECT_FALSE(parse_watch_event(text)) << text;
  }
}

}  // namespace
}  // namespace headgate::kube
