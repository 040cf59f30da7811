// What the builder takes and what it refuses, beyond the checks of single messages.
#include "dataplane/snapshot/build.h"

#include <functional>

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "proto/check/normalize.h"
#include "tests/support/test_certificates.h"

namespace headgate::snapshot {
namespace {

using config::v1::ResourceSet;

constexpr const char* kSite = R"(
  listeners { name: "web" transport: LISTENER_TCP protocol: LISTENER_HTTPS address: "127.0.0.1" port: 8443 route_table: "web"
              tls { certificates { secret: "site" } } }
  route_tables { name: "web" }
  virtual_hosts { name: "web/a" table: "web" host: "a.test"
                  routes { name: "all" match { prefix: "/" } proxy { backends { upstream: "app" } } } }
  upstreams { name: "app" protocol: UPSTREAM_HTTP1 }
)";

const headgate::testing::TestAuthority& authority() {
  static const headgate::testing::TestAuthority made("Builder Root");
  return made;
}

ResourceSet site(const std::function<void(ResourceSet&)>& change) {
  ResourceSet set;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(kSite, &set));
  headgate::testing::CertificateSpec spec;
  spec.alternative_names = {"DNS:a.test"};
  const headgate::testing::PemPair pair = authority().issue(spec);
  auto* site = set.add_tls_secrets();
  site->set_name("site");
  site->set_chain_pem(pair.chain);
  site->set_key_pem(pair.key);
  for (const char* name : {"ca", "other"}) {
    auto* secret = set.add_tls_secrets();
    secret->set_name(name);
    secret->set_ca_pem(authority().pem());
  }
  change(set);
  check::normalize(set);
  return set;
}

// Empty: built. Else what was said first.
std::string problem_of(const std::function<void(ResourceSet&)>& change) {
  Builder builder;
  const BuildOutcome outcome = builder.build(site(change));
  for (const check::Problem& problem : outcome.problems) {
    if (problem.severity == check::Severity::kError) return check::to_string(problem);
  }
  EXPECT_NE(outcome.snapshot, nullptr);
  return "";
}

config::v1::ProxyAction& proxy_of(ResourceSet& set) {
  return *set.mutable_virtual_hosts(0)->mutable_routes(0)->mutable_proxy();
}

config::v1::ClientCertificateAccess& asked(google::protobuf::RepeatedPtrField<config::v1::HttpFilter>& filters,
                                           const std::string& secret) {
  auto& access = *filters.Add()->mutable_client_certificate();
  access.set_secret(secret);
  return access;
}

TEST(Build, WhatIsNotBuiltIsRefused) {
  EXPECT_EQ(problem_of([](ResourceSet&) {}), "");
  const std::pair<const char*, std::function<void(ResourceSet&)>> rows[] = {
      {"tracing.propagate", [](ResourceSet& s) { s.mutable_settings()->mutable_tracing()->set_propagate(config::v1::TOGGLE_OFF); }},
      {"metrics.host_labels", [](ResourceSet& s) { s.mutable_settings()->mutable_metrics()->set_host_labels(true); }},
      {"original_destination", [](ResourceSet& s) { s.mutable_listeners(0)->set_original_destination(true); }},
      {"normalize_path", [](ResourceSet& s) { s.mutable_route_tables(0)->set_normalize_path(config::v1::TOGGLE_OFF); }},
      {"response_buffering", [](ResourceSet& s) { proxy_of(s).set_response_buffering(config::v1::TOGGLE_ON); }},
      {"max_response_header_bytes", [](ResourceSet& s) { proxy_of(s).set_max_response_header_bytes(100000); }},
  };
  for (const auto& [said, change] : rows) EXPECT_NE(problem_of(change).find(said), std::string::npos) << said;
}

TEST(Build, ARouteHasNoPolicyOfItsOwn) {
  const auto other = problem_of([](ResourceSet& s) { proxy_of(s).mutable_balance()->set_policy(config::v1::BALANCE_LEAST_CONN); });
  EXPECT_NE(other.find("chooses its endpoints by BALANCE_ROUND_ROBIN"), std::string::npos) << other;
  const auto key = problem_of([](ResourceSet& s) { proxy_of(s).mutable_balance()->set_hash_key("$host"); });
  EXPECT_NE(key.find("RING_HASH"), std::string::npos) << key;
  EXPECT_EQ(problem_of([](ResourceSet& s) {
              s.mutable_upstreams(0)->mutable_balance()->set_policy(config::v1::BALANCE_RING_HASH);
              s.mutable_upstreams(0)->mutable_balance()->set_hash_key("$uri");
              proxy_of(s).mutable_balance()->set_hash_key("$host");
            }),
            "");
}

TEST(Build, OneHostAsksForOneCertificate) {
  EXPECT_EQ(problem_of([](ResourceSet& s) {
              auto& host = *s.mutable_virtual_hosts(0);
              asked(*host.mutable_filters(), "ca");
              asked(*host.mutable_routes(0)->mutable_filters(), "ca").set_required(config::v1::TOGGLE_OFF);
            }),
            "");
  const auto two = problem_of([](ResourceSet& s) {
    auto& host = *s.mutable_virtual_hosts(0);
    asked(*host.mutable_filters(), "ca");
    asked(*host.mutable_routes(0)->mutable_filters(), "other");
  });
  EXPECT_NE(two.find("a connection is asked once"), std::string::npos) << two;
}

// The listener is the same; what its host wants of clients is not.
TEST(Build, AHostThatAsksLaterIsAskedFor) {
  const ResourceSet before = site([](ResourceSet&) {});
  const ResourceSet after = site([](ResourceSet& s) { asked(*s.mutable_virtual_hosts(0)->mutable_filters(), "ca"); });
  Builder builder;
  EXPECT_EQ(builder.build(before).snapshot->listeners[0]->tls->settings.client_rules, nullptr);
  EXPECT_NE(builder.build(after).snapshot->listeners[0]->tls->settings.client_rules, nullptr);
  // The same by views, where the listener is even the same object.
  ResourceView view = ResourceView::borrowed(before);
  EXPECT_EQ(builder.build(view).snapshot->listeners[0]->tls->settings.client_rules, nullptr);
  view.set(check::Kind::kVirtualHost, std::make_shared<config::v1::VirtualHost>(after.virtual_hosts(0)));
  const auto asks = builder.build(view).snapshot->listeners[0]->tls;
  EXPECT_NE(asks->settings.client_rules, nullptr);
  EXPECT_EQ(builder.build(view).snapshot->listeners[0]->tls, asks) << "nothing has changed";
}

}  // namespace
}  // namespace headgate::snapshot
