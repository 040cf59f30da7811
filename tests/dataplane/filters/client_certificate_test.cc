#include "dataplane/filters/client_certificate.h"

#include <gtest/gtest.h>

#include "tests/support/exchange_harness.h"

namespace headgate::filters {
namespace {

using test::Answer;
using test::ExchangeHarness;
using test::HandlerFunction;

// What an upstream would be told.
const HandlerFunction kTold([](http::Exchange& exchange) {
  const http::HeaderMap& fields = exchange.request().headers;
  for (const char* name : {"ssl-client-verify", "ssl-client-subject-dn", "ssl-client-issuer-dn", "ssl-client-cert"}) {
    const std::string_view value = fields.get(name);
    if (!value.empty()) exchange.response().headers.set(name, exchange.arena().copy(value));
  }
  exchange.respond_text(200, "text/plain", "in");
});

JudgedCertificate good() {
  return {.rule = "shop/ca|1", .presented = true, .problem = {}, .unknown_authority = false, .subject = "CN=ann,O=x",
          .issuer = "CN=root", .common_name = "ann", .pem = "-----BEGIN\n"};
}

Answer ask(ClientCertificateOptions options, const std::optional<JudgedCertificate>& judged, const std::string& target = "/") {
  options.rule = "shop/ca|1";
  const ClientCertificate filter(std::move(options));
  ExchangeHarness harness;
  TlsFacts tls;
  if (judged) tls.judged = std::make_shared<const JudgedCertificate>(*judged);
  harness.facts_of_connection().tls = &tls;
  return harness.run({.target = target, .headers = {{"ssl-client-cert", "forged"}, {"SSL-Client-Verify", "SUCCESS"}},
                      .scheme = http::Scheme::kHttps}, {&filter}, kTold);
}

TEST(ClientCertificate, WhoMayPass) {
  JudgedCertificate none{.rule = "shop/ca|1"};
  JudgedCertificate unknown = good();
  unknown.problem = "self-signed certificate";
  unknown.unknown_authority = true;
  JudgedCertificate expired = good();
  expired.problem = "certificate has expired";
  JudgedCertificate other = good();
  other.rule = "shop/other|1";
  struct Row {
    std::optional<JudgedCertificate> judged{};
    bool required;
    bool accept_unknown;
    uint16_t status;
  };
  const Row rows[] = {{good(), true, false, 200},  {none, true, false, 400},    {none, false, false, 200},
                      {unknown, true, false, 400}, {unknown, false, false, 400}, {unknown, false, true, 200},
                      {expired, false, true, 400}, {other, true, false, 421},    {other, false, true, 421},
                      {std::nullopt, false, false, 421}};
  for (const Row& row : rows) {
    const Answer answer = ask({.required = row.required, .common_name = {}, .accept_unknown = row.accept_unknown}, row.judged);
    EXPECT_EQ(answer.status, row.status) << (row.judged ? row.judged->problem : "not asked");
  }
}

TEST(ClientCertificate, WhatTheUpstreamIsTold) {
  Answer answer = ask({.common_name = {}, .pass_certificate = true}, good());
  EXPECT_EQ(answer.header("ssl-client-verify"), "SUCCESS");
  EXPECT_EQ(answer.header("ssl-client-subject-dn"), "CN=ann,O=x");
  EXPECT_EQ(answer.header("ssl-client-issuer-dn"), "CN=root");
  EXPECT_EQ(answer.header("ssl-client-cert"), "-----BEGIN%0A");
  EXPECT_EQ(answer.count("ssl-client-cert"), 1U);
  answer = ask({.common_name = {}}, good());
  EXPECT_EQ(answer.count("ssl-client-cert"), 0U);  // the forged one is gone
  answer = ask({.required = false, .common_name = {}}, JudgedCertificate{.rule = "shop/ca|1"});
  EXPECT_EQ(answer.header("ssl-client-verify"), "NONE");
}

TEST(ClientCertificate, CommonName) {
  using Kind = http::TextMatcher::Kind;
  EXPECT_EQ(ask({.common_name = http::TextMatcher(Kind::kExact, "ann", false)}, good()).status, 200);
  const http::TextMatcher bob(Kind::kExact, "bob", false);
  EXPECT_EQ(ask({.common_name = bob}, good()).status, 403);
  // A certificate that is optional, or may be of anybody, still has to have the name.
  EXPECT_EQ(ask({.required = false, .common_name = bob}, JudgedCertificate{.rule = "shop/ca|1"}).status, 403);
  JudgedCertificate unknown = good();
  unknown.problem = "self-signed certificate";
  unknown.unknown_authority = true;
  EXPECT_EQ(ask({.required = false, .common_name = bob, .accept_unknown = true}, unknown).status, 403);
}

TEST(ClientCertificate, ErrorPage) {
  const JudgedCertificate none{.rule = "shop/ca|1"};
  Answer answer = ask({.common_name = {}, .error_page = "https://help.example/cert"}, none);
  EXPECT_EQ(answer.status, 302);
  EXPECT_EQ(answer.header("Location"), "https://help.example/cert");
  EXPECT_EQ(ask({.common_name = {}, .error_page = "/help"}, none).status, 302);
  EXPECT_EQ(ask({.common_name = {}, .error_page = "/help"}, none, "/help?x=1").status, 200);
  EXPECT_EQ(ask({.common_name = {}, .error_page = "/help"}, none, "/help/more").status, 302);
}

TEST(ClientCertificate, WithoutTlsNothingCanBePresented) {
  const ClientCertificate filter({.rule = "shop/ca|1", .common_name = {}});
  const ClientCertificate::PlainGuard guard;
  ExchangeHarness harness;
  EXPECT_EQ(harness.run({}, {&filter, &guard}, kTold).status, 403);
  const Answer answer = harness.run({.headers = {{"ssl-client-verify", "SUCCESS"}}}, {&filter}, kTold);
  EXPECT_EQ(answer.header("ssl-client-verify"), "NONE");
}

}  // namespace
}  // namespace headgate::filters
