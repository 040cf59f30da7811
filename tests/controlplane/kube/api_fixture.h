// api_fixture.h -- a fake API server with the usual collections, and the configuration that leads to it.
// Thread: that of the test.
#pragma once

#include <gtest/gtest.h>

#include "controlplane/kube/config.h"
#include "controlplane/kube/rest.h"
#include "controlplane/kube/transport.h"
#include "tests/support/fake_api_server.h"

namespace headgate::kube {

using test::FakeApiServer;

inline Config config_of(const FakeApiServer& server) {
  Config config;
  config.tls = false;
  config.host = "127.0.0.1";
  config.port = server.port();
  return config;
}

// Waits that a test can afford.
inline constexpr BackoffLimits kQuick{.first = std::chrono::milliseconds(5), .most = std::chrono::milliseconds(40)};

class ApiTest : public ::testing::Test {
 protected:
  ApiTest() {
    server.add_collection("/apis/networking.k8s.io/v1", "ingresses", "Ingress");
    server.add_collection("/api/v1", "services", "Service");
    server.add_collection("/api/v1", "nodes", "Node");
    server.add_collection("/apis/coordination.k8s.io/v1", "leases", "Lease");
    server.add_collection("/apis/events.k8s.io/v1", "events", "Event");
  }
  static FakeApiServer::Json object(const std::string& name_space, const std::string& name) {
    FakeApiServer::Json json{{"metadata", {{"name", name}, {"namespace", name_space}}}};
    return json;
  }

  FakeApiServer server;
};

}  // namespace headgate::kube
