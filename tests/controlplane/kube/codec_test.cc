// codec_test.cc -- objects as the API server writes them become messages; what is not read is cut out before.
#include "controlplane/kube/codec.h"

#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>
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

// Whatever protobuf's parser makes of a text, ours makes the same; what it refuses, ours does.
TEST(Codec, AgreesWithProtobuf) {
  const struct {
    ObjectKind kind;
    std::string text;
  } kCases[] = {
      {ObjectKind::kService, R"({"metadata":{"name":"a\"\\\/\b\f\n\r\t\u00e4\ud834\udd1e€","labels":{"k":"v","ü":""}}})"},
      {ObjectKind::kService, R"({"metadata":{"name":"n","generation":"12","labels":null},"spec":null,"status":{}})"},
      {ObjectKind::kService, R"({"metadata":{"name":"n"},"spec":{"ports":[{"targetPort":{"a":[1,null]}},{"targetPort":true}]}})"},
      {ObjectKind::kService, R"({"metadata":{"name":"n"},"spec":{"ports":[{"targetPort":-1.5e3},{"port":"80"},{}]}})"},
      {ObjectKind::kService, R"({"metadata":{"name":"n"},"spec":{"clusterIPs":["a","b"],"ports":null,"selector":{}}})"},
      {ObjectKind::kEndpointSlice, R"({"metadata":{"name":"n"},"endpoints":[{"conditions":{"ready":false}},{"conditions":{}}],"ports":null})"},
      {ObjectKind::kSecret, R"({"metadata":{"name":"n"},"data":{"a":"","b":"AA=="}})"},
      {ObjectKind::kIngress, R"({"metadata":{"name":"n"},"spec":{"ingressClassName":"","rules":[{"http":{"paths":[{}]}}]}})"},
      {ObjectKind::kService, R"({"metadata":{"name":"n"},"spec":{"ports":[{"port":1.5}]}})"},
      {ObjectKind::kService, R"({"metadata":{"name":"n"},"spec":{"ports":[{"port":99999999999}]}})"},
      {ObjectKind::kService, R"({"metadata":{"name":"n"},"spec":{"ports":[{"port":"x"}]}})"},
      {ObjectKind::kService, R"({"metadata":{"name":"n"},"spec":{"clusterIPs":["a",{}]}})"},
      {ObjectKind::kService, R"({"metadata":{"name":"n","labels":[]}})"},
      {ObjectKind::kService, R"({"metadata":{"name":"n","labels":{"a":{}}}})"},
      {ObjectKind::kService, R"({"metadata":{"name":"n\ud834"}})"},
      {ObjectKind::kService, "{\"metadata\":{\"name\":\"n\xc0\xaf\"}}"},
      {ObjectKind::kSecret, R"({"metadata":{"name":"n"},"data":{"a":"%%"}})"},
      {ObjectKind::kService, R"({"metadata":{"name":"n"} "spec":{}})"},
      {ObjectKind::kService, R"({"metadata":{"name":nul}})"},
  };
  size_t accepted = 0;
  for (const auto& test : kCases) {
    std::string why;
    const auto ours = Codec(test.kind).decode(test.text, why);
    std::unique_ptr<google::protobuf::Message> theirs(row_of(test.kind).prototype().New());
    google::protobuf::util::JsonParseOptions options;
    options.ignore_unknown_fields = true;
    const bool parsed = google::protobuf::util::JsonStringToMessage(test.text, theirs.get(), options).ok();
    EXPECT_EQ(ours.has_value(), parsed) << test.text << "\n" << why;
    if (!ours || !parsed) continue;
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(**ours, *theirs)) << test.text;
    ++accepted;
  }
  EXPECT_EQ(accepted, 8U);
}

// Protobuf takes these for something; the API server sends none of them.
TEST(Codec, IsStricterThanProtobuf) {
  for (const char* spec : {R"({"ports":{}})", R"({"ports":[[]]})", R"({"clusterIP":"\x"})", R"({"publishNotReadyAddresses":"yes"})"}) {
    std::string why;
    const std::string text = R"({"metadata":{"name":"n"},"spec":)" + std::string(spec) + "}";
    EXPECT_FALSE(Codec(ObjectKind::kService).decode(text, why)) << spec;
  }
}

TEST(Codec, SaysWhere) {
  std::string why;
  EXPECT_FALSE(Codec(ObjectKind::kIngress).decode(R"({"metadata":{"name":"n"},"spec":{"rules":[{},{"host":1}]}})", why));
  EXPECT_EQ(why, "spec.rules[1].host: not a text");
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
