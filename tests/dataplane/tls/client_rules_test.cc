#include "dataplane/tls/client_rules.h"

#include <gtest/gtest.h>

#include "tests/dataplane/tls/tls_party.h"

namespace headgate::tls {
namespace {

std::shared_ptr<const TrustStore> trusted() { return TrustStore::parse(test_authority().pem()).store; }

std::string rule_for(const ClientRules& rules, const std::string& name) {
  const ClientRule* rule = rules.find(name);
  return rule == nullptr ? "" : rule->name;
}

TEST(ClientRules, NamesAreFoundAsRoutesFindThem) {
  ClientRules rules;
  const size_t one = rules.add_rule({.name = "one", .authorities = trusted(), .depth = {}});
  const size_t two = rules.add_rule({.name = "two", .authorities = trusted(), .depth = {}});
  rules.add_host("a.example.com", false, one);
  rules.add_host("free.w.example.com", false, std::nullopt);
  rules.add_host("*.w.example.com", true, two);
  rules.add_host("*.deep.example.com", false, two);
  EXPECT_EQ(rule_for(rules, "a.example.com"), "one");
  EXPECT_EQ(rule_for(rules, "x.w.example.com"), "two");
  EXPECT_EQ(rule_for(rules, "free.w.example.com"), "");
  EXPECT_EQ(rule_for(rules, "x.y.w.example.com"), "");
  EXPECT_EQ(rule_for(rules, "x.y.deep.example.com"), "two");
  EXPECT_EQ(rule_for(rules, "w.example.com"), "");
  EXPECT_EQ(rule_for(rules, ""), "");
  rules.add_host("*", false, one);
  EXPECT_EQ(rule_for(rules, "b.example.net"), "one");
  EXPECT_EQ(rule_for(rules, ""), "one");
  EXPECT_EQ(rule_for(rules, "free.w.example.com"), "");
}

class ClientRulesTest : public TlsTest {
 protected:
  ClientRulesTest() {
    auto rules = std::make_shared<ClientRules>();
    rules->add_host("a.example.com", false,
                    rules->add_rule({.name = "known", .authorities = trusted(), .depth = 1, .keeps_certificate = true}));
    const TestAuthority other("Other Root");
    rules->add_host("b.example.com", false,
                    rules->add_rule({.name = "other", .authorities = TrustStore::parse(other.pem()).store, .depth = 1}));
    settings_.client_rules = rules;
    context_ = server_context(settings_, table({issue({"DNS:a.example.com", "DNS:b.example.com", "DNS:c.example.com"})}));
  }
  ServerSettings settings_;
  std::shared_ptr<ServerContext> context_;
};

TEST_F(ClientRulesTest, OnlyTheNamesOfARuleAreAsked) {
  PlainClient client;
  client.certificate = issue({});
  client.server_name = "c.example.com";
  Party free;
  EXPECT_TRUE(run_plain(free, context_, client).connected);
  EXPECT_EQ(free.facts().judged, nullptr);
  EXPECT_FALSE(free.facts().client_certificate);

  client.server_name = "a.example.com";
  Party known;
  EXPECT_TRUE(run_plain(known, context_, client).connected);
  ASSERT_NE(known.facts().judged, nullptr);
  EXPECT_EQ(known.facts().judged->rule, "known");
  EXPECT_TRUE(known.facts().judged->presented);
  EXPECT_EQ(known.facts().judged->problem, "");
  EXPECT_TRUE(known.facts().judged->pem.starts_with("-----BEGIN CERTIFICATE-----"));
  EXPECT_TRUE(known.facts().client_certificate);

  client.certificate = nullptr;
  Party none;
  EXPECT_TRUE(run_plain(none, context_, client).connected);
  ASSERT_NE(none.facts().judged, nullptr);
  EXPECT_FALSE(none.facts().judged->presented);
}

TEST_F(ClientRulesTest, AnAuthorityOfOneNameIsNoneOfAnother) {
  PlainClient client;
  client.certificate = issue({});
  client.server_name = "b.example.com";
  Party server;
  EXPECT_TRUE(run_plain(server, context_, client).connected);  // HTTP says no
  ASSERT_NE(server.facts().judged, nullptr);
  EXPECT_TRUE(server.facts().judged->presented);
  EXPECT_NE(server.facts().judged->problem, "");
  EXPECT_TRUE(server.facts().judged->unknown_authority);
  EXPECT_FALSE(server.facts().client_certificate);
  EXPECT_EQ(server.facts().judged->pem, "");
}

TEST_F(ClientRulesTest, TicketsAreBoundToTheRule) {
  EXPECT_NE(context_->session_realm("a.example.com"), context_->session_realm("b.example.com"));
  const auto without = server_context({}, table({issue({"DNS:a.example.com"})}));
  EXPECT_NE(context_->session_realm("a.example.com"), without->session_realm("a.example.com"));
  EXPECT_EQ(context_->session_realm("c.example.com"), without->session_realm("c.example.com"));
}

}  // namespace
}  // namespace headgate::tls
