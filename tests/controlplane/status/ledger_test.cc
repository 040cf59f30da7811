// ledger_test.cc -- whose status is written, and whose is left alone; and what our addresses are.
#include "controlplane/status/ledger.h"

#include <gtest/gtest.h>

namespace headgate::status {
namespace {

const Key kCart{"shop", "cart"};
const Addresses kOurs = {{.ip = "192.0.2.1"}};
const Addresses kTheirs = {{.ip = "198.51.100.1"}};

TEST(LedgerTest, AdmittedOnesGetOurAddresses) {
  Ledger ledger;
  EXPECT_TRUE(ledger.see(kCart, {}).empty());
  EXPECT_TRUE(ledger.change_admitted({kCart}, {}).empty());  // nobody knows yet where we are
  EXPECT_EQ(ledger.set_addresses(kOurs), std::vector<Key>{kCart});
  EXPECT_TRUE(ledger.see(kCart, kOurs).empty());
  EXPECT_EQ(ledger.see(kCart, kTheirs), std::vector<Key>{kCart});  // somebody wrote over it
  EXPECT_EQ(ledger.wanted(kCart, kTheirs), kOurs);
  EXPECT_EQ(ledger.see({"shop", "new"}, {}).size(), 0U);
}

TEST(LedgerTest, OnesWeNeverAdmittedAreNotOurs) {
  Ledger ledger;
  ledger.set_addresses(kOurs);
  ledger.change_admitted({}, {kCart});
  EXPECT_TRUE(ledger.see(kCart, kOurs).empty());  // the same addresses, from another controller
  EXPECT_FALSE(ledger.wanted(kCart, kOurs));
}

TEST(LedgerTest, NoLongerAdmitted) {
  Ledger ledger;
  ledger.set_addresses(kOurs);
  ledger.see(kCart, {});
  ledger.change_admitted({kCart}, {});
  ledger.wrote(kCart, kOurs);
  EXPECT_EQ(ledger.change_admitted({}, {kCart}), std::vector<Key>{kCart});
  EXPECT_EQ(ledger.wanted(kCart, kOurs), Addresses());
  EXPECT_FALSE(ledger.wanted(kCart, kTheirs));  // the next controller was faster
  EXPECT_FALSE(ledger.wanted(kCart, {{.ip = "192.0.2.1"}, {.ip = "198.51.100.1"}}));
  // What stands there are addresses we had before.
  ledger.set_addresses(Addresses{{.ip = "192.0.2.9"}});
  EXPECT_EQ(ledger.wanted(kCart, kOurs), Addresses());
  ledger.wrote(kCart, {});
  EXPECT_TRUE(ledger.all_wrong().empty());
}

TEST(LedgerTest, UnknownAndNoAddresses) {
  Ledger ledger;
  ledger.see(kCart, kOurs);
  ledger.change_admitted({kCart}, {});
  ledger.set_addresses(kOurs);
  EXPECT_TRUE(ledger.set_addresses(std::nullopt).empty());
  EXPECT_EQ(ledger.set_addresses(Addresses()), std::vector<Key>{kCart});  // the balancer took ours away
}

TEST(LedgerTest, DeletedOnesAreForgotten) {
  Ledger ledger;
  ledger.set_addresses(kOurs);
  ledger.see(kCart, {});
  ledger.change_admitted({kCart}, {});
  ledger.forget(kCart);
  EXPECT_TRUE(ledger.all_wrong().empty());
  EXPECT_FALSE(ledger.is_known(kCart));
  EXPECT_EQ(ledger.keep_only({{kCart, {}}}), std::vector<Key>{kCart});
  EXPECT_TRUE(ledger.keep_only({}).empty());
}

kubernetes::Service service(const std::string& type) {
  kubernetes::Service service;
  service.mutable_spec()->set_type(type);
  service.mutable_spec()->set_cluster_ip("10.0.0.1");
  service.mutable_spec()->set_external_name("x.example.test");
  service.mutable_status()->mutable_load_balancer()->add_ingress()->set_hostname("lb.example.test");
  service.mutable_status()->mutable_load_balancer()->add_ingress()->set_ip("192.0.2.7");
  return service;
}

TEST(AddressesTest, OfAService) {
  EXPECT_EQ(addresses_of_service(service("ClusterIP")), (Addresses{{.ip = "10.0.0.1"}}));
  EXPECT_EQ(addresses_of_service(service("ExternalName")), (Addresses{{.hostname = "x.example.test"}}));
  EXPECT_EQ(addresses_of_service(service("NodePort")), (Addresses{{.ip = "10.0.0.1"}}));
  EXPECT_EQ(addresses_of_service(service("LoadBalancer")), (Addresses{{.hostname = "lb.example.test"}, {.ip = "192.0.2.7"}}));
  auto external = service("LoadBalancer");
  external.mutable_spec()->add_external_ips("192.0.2.7");
  external.mutable_spec()->add_external_ips("2001:db8::1");
  EXPECT_EQ(addresses_of_service(external),
            (Addresses{{.hostname = "lb.example.test"}, {.ip = "192.0.2.7"}, {.ip = "2001:db8::1"}}));
  auto headless = service("ClusterIP");
  headless.mutable_spec()->set_cluster_ip("None");
  EXPECT_TRUE(addresses_of_service(headless).empty());
}

TEST(AddressesTest, OfANode) {
  kubernetes::Node node;
  const auto add = [&](const char* type, const char* address) {
    auto* entry = node.mutable_status()->add_addresses();
    entry->set_type(type);
    entry->set_address(address);
  };
  add("InternalIP", "10.1.0.1");
  add("Hostname", "node");
  EXPECT_EQ(addresses_of_node(node), (Addresses{{.ip = "10.1.0.1"}}));
  add("ExternalIP", "192.0.2.1");
  EXPECT_EQ(addresses_of_node(node), (Addresses{{.ip = "192.0.2.1"}}));
}

}  // namespace
}  // namespace headgate::status
