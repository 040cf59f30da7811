#include "controlplane/kube/manifests.h"

#include <gtest/gtest.h>

#include "kubernetes/core.pb.h"
#include "kubernetes/networking.pb.h"

namespace headgate::kube {
namespace {

TEST(Manifests, TakesDocumentsAndListsApart) {
  const Manifests read = read_manifests({{"a.yaml", R"(# a comment
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  creationTimestamp: null
  annotations:
    nginx.ingress.kubernetes.io/ssl-redirect: "false"
    empty:
spec:
  rules:
  - host: a.example
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Secret, metadata: {name: s, namespace: shop}, stringData: {auth: "u:x"}, data: {b: "Yg=="}}
- {apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}
)"},
                                       {"b.json", R"({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "w"},
                                         "spec": {"ports": [{"port": 80, "targetPort": "http"}]}})"}});
  EXPECT_TRUE(read.errors.empty()) << read.errors.front();
  ASSERT_EQ(read.objects.size(), 3U);
  const auto& ingress = dynamic_cast<const kubernetes::Ingress&>(*read.objects[0].object);
  EXPECT_EQ(ingress.metadata().namespace_(), "default");
  EXPECT_EQ(ingress.metadata().annotations().at("nginx.ingress.kubernetes.io/ssl-redirect"), "false");
  EXPECT_EQ(ingress.spec().rules(0).http().paths(0).backend().service().port().number(), 80);
  EXPECT_EQ(read.objects[0].where, "a.yaml:3");
  const auto& secret = dynamic_cast<const kubernetes::Secret&>(*read.objects[1].object);
  EXPECT_EQ(secret.data().at("auth") + secret.data().at("b"), "u:xb");
  EXPECT_EQ(read.objects[2].kind, ObjectKind::kService);
  ASSERT_EQ(read.ignored.size(), 1U);
  EXPECT_EQ(read.ignored[0], "a.yaml:22: apps/v1 Deployment d");
}

TEST(Manifests, TypesScalarsAsKubectlDoes) {
  // What the API server refuses: an annotation that is no string.
  for (const char* value : {"on", "10", "true"}) {
    const Manifests read = read_manifests({{"a.yaml", "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: x, annotations: {k: " +
                                                          std::string(value) + "}}\n"}});
    EXPECT_TRUE(read.objects.empty()) << value;
    EXPECT_EQ(read.errors.size(), 1U) << value;
  }
}

TEST(Manifests, ErrorsNameTheirPlace) {
  const Manifests read = read_manifests({{"a.yaml", "kind: x\n"}, {"b.yaml", "a: [\n"}, {"c.yaml", "- 1\n"},
                                         {"d.yaml", std::string(300, '[') + std::string(300, ']')}});
  ASSERT_EQ(read.errors.size(), 4U);
  EXPECT_EQ(read.errors[0], "a.yaml:1: expected apiVersion and kind");
  EXPECT_TRUE(read.errors[1].starts_with("b.yaml:2: ")) << read.errors[1];
  EXPECT_EQ(read.errors[2], "c.yaml:1: expected an object with apiVersion and kind");
}

TEST(Manifests, AliasesDoNotGrowWithoutLimit) {
  std::string text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nx0: &x0 [1,1,1,1,1,1,1,1,1,1]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string before = "*x" + std::to_string(i - 1);
    text += "x" + std::to_string(i) + ": &x" + std::to_string(i) + " [" + before;
    for (int j = 0; j < 9; ++j) text += "," + before;
    text += "]\n";
  }
  const Manifests read = read_manifests({{"a.yaml", text}});
  ASSERT_EQ(read.errors.size(), 1U);
  EXPECT_NE(read.errors[0].find("more than a million nodes"), std::string::npos);
}

}  // namespace
}  // namespace headgate::kube
