#include "controlplane/controller/manifest_check.h"

#include <gtest/gtest.h>

namespace headgate::controller {
namespace {

constexpr const char* kShop = R"yaml(
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: shop
  annotations: {nginx.ingress.kubernetes.io/rewrite-target: /$2}
spec:
  ingressClassName: nginx
  rules:
  - host: shop.example.com
    http:
      paths:
      - {path: "/api(/|$)(.*)", pathType: ImplementationSpecific, backend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
)yaml";

TEST(ManifestCheck, TellsWhatEachPathWouldDo) {
  const ManifestCheck check = check_manifests({{"shop.yaml", kShop}}, {});
  EXPECT_EQ(check.exit_status, 0) << check.text;
  for (const char* part : {"IngressClass nginx: in no file; taken as ours", "host shop.example.com",
                           "pattern ^/api(/|$)(.*)", "-> shop/web:http", "path becomes /$2",
                           "not looked at: 1 object of other kinds", "1 of 1 Ingress served, 0 warnings"}) {
    EXPECT_NE(check.text.find(part), std::string::npos) << part << " in\n" << check.text;
  }
}

TEST(ManifestCheck, WarningsAndErrorsHaveTheirStatus) {
  std::string snippet = kShop;
  snippet.replace(snippet.find("rewrite-target: /$2"), 19, "server-snippet: 'x'");
  const ManifestCheck refused = check_manifests({{"shop.yaml", snippet}}, {});
  EXPECT_EQ(refused.exit_status, 1);
  EXPECT_NE(refused.text.find("AnnotationRefused"), std::string::npos) << refused.text;
  EXPECT_NE(refused.text.find("0 of 1 Ingress served"), std::string::npos) << refused.text;

  const ManifestCheck broken = check_manifests({{"shop.yaml", kShop}, {"bad.yaml", "kind: [\n"}}, {});
  EXPECT_EQ(broken.exit_status, 2);
  EXPECT_NE(broken.text.find("bad.yaml:"), std::string::npos) << broken.text;
}

TEST(ManifestCheck, ObjectsThatAreThereTwiceAreNamed) {
  const ManifestCheck check = check_manifests({{"a.yaml", kShop}, {"b.yaml", kShop}}, {});
  EXPECT_EQ(check.exit_status, 1);
  EXPECT_NE(check.text.find("b.yaml:2: Ingress web is there a second time"), std::string::npos) << check.text;
}

}  // namespace
}  // namespace headgate::controller
