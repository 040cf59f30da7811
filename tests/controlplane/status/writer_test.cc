// writer_test.cc -- statuses and Events over a fake API server: by the leader, only where they differ, whoever interferes.
#include "controlplane/status/writer.h"

#include <gtest/gtest.h>

#include "controlplane/kube/watch.h"
#include "tests/controlplane/kube/api_fixture.h"

namespace headgate::status {
namespace {

using Json = test::FakeApiServer::Json;

class WriterTest : public kube::ApiTest {
 protected:
  WriterTest() : transport(kube::config_of(server)), recorder(transport, {.controller = "c", .instance = "i"}) {
    options.writes_per_second = 1000;
    options.backoff = kube::kQuick;
  }
  ~WriterTest() override {
    for (auto& watch : watches) watch->stop();
  }
  // As the controller wires it.
  void start() {
    writer = std::make_unique<Writer>(transport, recorder, options, [this] { return leads.load(); });
    for (const auto kind : {kube::ObjectKind::kIngress, kube::ObjectKind::kService}) {
      watches.push_back(std::make_unique<kube::Watch>(transport, *writer, kube::WatchOptions{.kind = kind, .backoff = kube::kQuick}));
      ASSERT_TRUE(watches.back()->start());
    }
    ASSERT_TRUE(writer->start());
    ASSERT_TRUE(recorder.start());
  }
  void admit(const std::vector<std::string>& names) {
    translate::Admitted refs;
    for (const auto& name : names) {
      auto ref = std::make_shared<control::v1::ObjectRef>();
      ref->set_kind("Ingress");
      ref->set_namespace_("shop");
      ref->set_name(name);
      refs.set(ref);
    }
    writer->set_admitted(refs);
  }
  Json status(const std::string& name) { return server.find("ingresses", "shop", name)->value("/status/loadBalancer"_json_pointer, Json()); }
  void put_status(const std::string& name, const Json& list) {
    auto ingress = object("shop", name);
    ingress["status"]["loadBalancer"]["ingress"] = list;
    server.put("ingresses", ingress);
  }
  template <typename Condition>
  static bool wait(const Condition& condition) {
    for (int i = 0; i < 2000 && !condition(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return condition();
  }

  kube::Transport transport;
  kube::EventRecorder recorder;
  WriterOptions options;
  std::atomic<bool> leads = true;
  std::unique_ptr<Writer> writer;
  std::vector<std::unique_ptr<kube::Watch>> watches;
};

const Json kOurEntry = {{"ingress", {{{"ip", "192.0.2.1"}}}}};

TEST_F(WriterTest, TheServiceInFrontOfUs) {
  options.service = {"headgate", "front"};
  server.put("ingresses", object("shop", "a"));
  start();
  admit({"a"});
  auto service = object("headgate", "front");
  service["spec"]["type"] = "LoadBalancer";
  service["status"]["loadBalancer"]["ingress"] = {{{"ip", "192.0.2.1"}}};
  server.put("services", service);
  EXPECT_TRUE(wait([&] { return status("a") == kOurEntry; }));
  service["status"]["loadBalancer"]["ingress"] = {{{"hostname", "lb.example.test"}}};
  server.put("services", service);
  EXPECT_TRUE(wait([&] { return status("a") == Json{{"ingress", {{{"hostname", "lb.example.test"}}}}}; }));
  EXPECT_EQ(server.count("PUT"), 2U);
}

TEST_F(WriterTest, WritesOnlyWhatDiffersAndOnlyOurs) {
  options.addresses = {"192.0.2.1"};
  put_status("right", {{{"ip", "192.0.2.1"}}});
  put_status("theirs", {{{"ip", "198.51.100.1"}}});
  put_status("same", {{{"ip", "192.0.2.1"}}});
  server.put("ingresses", object("shop", "new"));
  start();
  admit({"right", "new"});
  EXPECT_TRUE(wait([&] { return status("new") == kOurEntry; }));
  EXPECT_EQ(server.count("PUT"), 1U);
  admit({});
  EXPECT_TRUE(wait([&] { return status("right") == Json::object() && status("new") == Json::object(); }));
  EXPECT_EQ(status("theirs")["ingress"][0]["ip"], "198.51.100.1");
  EXPECT_EQ(status("same"), kOurEntry);
  EXPECT_EQ(server.count("PUT"), 3U);
}

TEST_F(WriterTest, OnlyTheLeaderWrites) {
  options.addresses = {"192.0.2.1"};
  leads = false;
  server.put("ingresses", object("shop", "a"));
  start();
  admit({"a"});
  translate::Note note;
  note.object.set_kind("Ingress");
  note.object.set_namespace_("shop");
  note.object.set_name("a");
  note.reason = "R";
  note.message = "m";
  writer->set_notes({note});
  EXPECT_TRUE(wait([&] { return watches[0]->counts().synced; }));
  EXPECT_EQ(server.count("PUT") + server.count("POST"), 0U);
  leads = true;
  writer->on_leadership();
  EXPECT_TRUE(wait([&] { return status("a") == kOurEntry && server.all("events").size() == 1; }));
  writer->set_notes({});
  EXPECT_TRUE(wait([&] { return server.all("events").size() == 2; }));
}

TEST_F(WriterTest, SomebodyElseInterferes) {
  options.addresses = {"192.0.2.1"};
  server.put("ingresses", object("shop", "a"));
  server.answer("PUT /apis", 2, 500, "");
  std::atomic<int> storms = 2;
  server.on_request([&](const std::string& line) {
    if (line.starts_with("PUT") && storms-- > 0) put_status("a", {{{"ip", "198.51.100.1"}}});
  });
  start();
  admit({"a", "not-there"});
  EXPECT_TRUE(wait([&] { return status("a") == kOurEntry; }));
  put_status("a", {{{"ip", "198.51.100.1"}}});
  EXPECT_TRUE(wait([&] { return status("a") == kOurEntry; }));
  EXPECT_GE(writer->counts().failed, 1U);
}

TEST_F(WriterTest, NodesOfReadyDataplanes) {
  options.nodes = true;
  server.put("ingresses", object("shop", "a"));
  start();
  admit({"a"});
  auto node = std::make_shared<kubernetes::Node>();
  node->mutable_metadata()->set_name("n1");
  auto* address = node->mutable_status()->add_addresses();
  address->set_type("InternalIP");
  address->set_address("192.0.2.1");
  auto pod = std::make_shared<kubernetes::Pod>();
  pod->mutable_metadata()->set_name("p");
  pod->mutable_spec()->set_node_name("n1");
  pod->mutable_status()->set_phase("Running");
  auto* ready = pod->mutable_status()->add_conditions();
  ready->set_type("Ready");
  ready->set_status("True");
  writer->on_replace(kube::ObjectKind::kNode, {node});
  writer->on_replace(kube::ObjectKind::kPod, {pod});
  EXPECT_TRUE(wait([&] { return status("a") == kOurEntry; }));
  writer->on_delete(kube::ObjectKind::kPod, "", "p");
  EXPECT_TRUE(wait([&] { return status("a") == Json::object(); }));
}

}  // namespace
}  // namespace headgate::status
