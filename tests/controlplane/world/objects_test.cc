// Objects as the API server writes them, with what makes their JSON awkward: nulls, capitals, numbers or names.
#include <string>

#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "kubernetes/core.pb.h"
#include "kubernetes/discovery.pb.h"
#include "kubernetes/networking.pb.h"

namespace headgate::world {
namespace {

template <typename Object>
Object decode(const std::string& json) {
  Object object;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const auto status = google::protobuf::util::JsonStringToMessage(json, &object, options);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return object;
}

TEST(Objects, ServiceWithCapitalsAndTargetPorts) {
  const auto service = decode<kubernetes::Service>(R"({
    "kind": "Service", "apiVersion": "v1",
    "metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "42", "creationTimestamp": null,
                 "labels": null, "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]},
    "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7", "fd00::7"],
             "ipFamilies": ["IPv4", "IPv6"], "externalIPs": ["192.0.2.1"], "loadBalancerIP": "192.0.2.2",
             "selector": {"app": "web"}, "internalTrafficPolicy": "Cluster",
             "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"},
                       {"name": "grpc", "port": 9000, "targetPort": "grpc", "nodePort": 30001,
                        "appProtocol": "kubernetes.io/h2c"}]},
    "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9", "ipMode": "VIP"}]}}})");
  EXPECT_EQ(service.metadata().namespace_(), "shop");
  EXPECT_EQ(service.metadata().creation_timestamp(), "");
  EXPECT_EQ(service.spec().cluster_ip(), "10.96.0.7");
  ASSERT_EQ(service.spec().cluster_ips_size(), 2);
  EXPECT_EQ(service.spec().external_ips(0), "192.0.2.1");
  EXPECT_EQ(service.spec().load_balancer_ip(), "192.0.2.2");
  EXPECT_EQ(service.spec().ports(0).target_port().number_value(), 8080);
  EXPECT_EQ(service.spec().ports(1).target_port().string_value(), "grpc");
  EXPECT_EQ(service.spec().ports(1).app_protocol(), "kubernetes.io/h2c");
  EXPECT_EQ(service.status().load_balancer().ingress(0).ip(), "203.0.113.9");
}

TEST(Objects, SliceWithNulls) {
  const auto slice = decode<kubernetes::EndpointSlice>(R"({
    "metadata": {"name": "web-x", "namespace": "shop", "generation": "3"}, "addressType": "IPv4", "ports": null,
    "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": false, "serving": true, "terminating": true},
                   "nodeName": "n1", "zone": "a", "hints": {"forZones": [{"name": "a"}]}, "deprecatedTopology": {"x": "y"}},
                  {"addresses": ["10.0.0.2"], "conditions": {"ready": null}}]})");
  EXPECT_EQ(slice.metadata().generation(), 3);
  EXPECT_EQ(slice.ports_size(), 0);
  ASSERT_EQ(slice.endpoints_size(), 2);
  EXPECT_TRUE(slice.endpoints(0).conditions().terminating());
  EXPECT_FALSE(slice.endpoints(1).conditions().has_ready());
}

TEST(Objects, IngressAndSecret) {
  const auto ingress = decode<kubernetes::Ingress>(R"({
    "metadata": {"name": "i", "namespace": "shop", "annotations": {"a/b": "c"}},
    "spec": {"ingressClassName": "", "rules": [{"host": "a.example", "http": null},
      {"http": {"paths": [{"path": "/", "pathType": "Prefix",
                           "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}})");
  EXPECT_TRUE(ingress.spec().has_ingress_class_name());
  EXPECT_FALSE(ingress.spec().rules(0).has_http());
  EXPECT_EQ(ingress.spec().rules(1).http().paths(0).backend().service().port().number(), 80);

  const auto secret = decode<kubernetes::Secret>(R"({"metadata": {"name": "s"}, "type": "Opaque",
    "data": {"auth": "Zm9vOmJhcg==", "empty": ""}})");
  EXPECT_EQ(secret.data().at("auth"), "foo:bar");
  const auto pod = decode<kubernetes::Pod>(R"({"metadata": {}, "status": {"podIP": "10.1.1.1",
    "podIPs": [{"ip": "10.1.1.1"}], "hostIP": "192.0.2.9"}})");
  EXPECT_EQ(pod.status().pod_ip() + pod.status().pod_ips(0).ip() + pod.status().host_ip(), "10.1.1.110.1.1.1192.0.2.9");
}

}  // namespace
}  // namespace headgate::world
