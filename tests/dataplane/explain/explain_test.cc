// Questions about a configuration, answered in words; how questions travel.
#include "dataplane/explain/explain.h"

#include <gtest/gtest.h>

#include "dataplane/snapshot/build.h"
#include "proto/check/normalize.h"

namespace headgate::explain {
namespace {

using config::v1::ResourceSet;
using config::v1::Route;
using config::v1::VirtualHost;

ResourceSet shop() {
  ResourceSet set;
  auto& listener = *set.add_listeners();
  listener.set_name("web");
  listener.set_address("127.0.0.1");
  listener.set_port(8080);
  listener.set_transport(config::v1::LISTENER_TCP);
  listener.set_protocol(config::v1::LISTENER_HTTP);
  listener.set_route_table("web");
  set.add_route_tables()->set_name("web");
  VirtualHost& host = *set.add_virtual_hosts();
  host.set_name("web/shop");
  host.set_table("web");
  host.set_host("shop.example");
  host.add_aliases("*.shop.example");
  host.add_filters()->mutable_cors()->add_allow_origins()->set_exact("https://shop.example");
  Route& cart = *host.add_routes();
  cart.set_name("cart");
  cart.mutable_match()->set_prefix("/cart");
  cart.mutable_match()->add_methods("POST");
  cart.mutable_proxy()->add_backends()->set_upstream("carts");
  cart.add_filters()->mutable_request_headers()->add_set()->set_name("X-Secret");
  cart.mutable_filters(0)->mutable_request_headers()->mutable_set(0)->set_value("hunter2");
  Route& versioned = *host.add_routes();
  versioned.set_name("versioned");
  versioned.mutable_match()->set_prefix("/cart");
  auto& version = *versioned.mutable_match()->add_headers();
  version.set_name("X-Version");
  version.mutable_value()->set_exact("2");
  versioned.mutable_redirect()->set_status(302);
  versioned.mutable_redirect()->set_location("/two");
  Route& rest = *host.add_routes();
  rest.set_name("rest");
  rest.mutable_match()->set_prefix("/");
  rest.mutable_respond()->set_status(404);
  auto& upstream = *set.add_upstreams();
  upstream.set_name("carts");
  upstream.set_protocol(config::v1::UPSTREAM_HTTP1);
  auto& shard = *set.add_endpoint_shards();
  shard.set_name("carts-1");
  shard.add_upstreams()->set_upstream("carts");
  for (const char* address : {"192.0.2.1", "192.0.2.2"}) {
    auto& endpoint = *shard.add_endpoints();
    endpoint.set_host(address);
    endpoint.set_port(9000);
    endpoint.set_ready(std::string_view(address).ends_with('1'));
  }
  check::normalize(set);
  return set;
}

class ExplainTest : public ::testing::Test {
 protected:
  ExplainTest() : set_(shop()) {
    auto built = builder_.build(set_);
    for (const auto& problem : built.problems) ADD_FAILURE() << check::to_string(problem);
    snapshot_ = built.snapshot;
  }
  Answer ask(Question question) {
    std::string problem;
    EXPECT_TRUE(parse(question, problem)) << problem;
    return explain(*snapshot_, set_, question, MonotonicTime{});
  }
  static void expect_lines(const Answer& answer, const std::vector<std::string>& lines) {
    size_t at = 0;
    for (const std::string& line : lines) {
      const size_t found = answer.text.find(line + "\n", at);
      ASSERT_NE(found, std::string::npos) << "missing, or before its turn: " << line << "\nin\n" << answer.text;
      at = found + line.size();
    }
  }

  ResourceSet set_;
  snapshot::Builder builder_;
  std::shared_ptr<const snapshot::Snapshot> snapshot_;
};

TEST_F(ExplainTest, FromTheListenerToTheEndpoints) {
  const Answer answer = ask({.url = "http://shop.example:8080/cart/7?x=1", .method = "POST"});
  EXPECT_TRUE(answer.taken);
  expect_lines(answer, {"POST http://shop.example:8080/cart/7?x=1", "listener    web at 127.0.0.1:8080",
                        "host        web/shop, by its name \"shop.example\"",
                        "  passed    versioned, by prefix /cart, header X-Version: a condition on a header, parameter or cookie "
                        "does not hold",
                        "  behind    rest, by prefix /: would take it, but another is preferred",
                        "route       cart, by prefix /cart, method POST", "filter      cors (of the host)",
                        "filter      request headers (of the route)", "action      proxy",
                        "upstream    carts, http1, round robin", "endpoint    192.0.2.1:9000, usable",
                        "endpoint    192.0.2.2:9000, not ready"});
  EXPECT_EQ(answer.text.find("hunter2"), std::string::npos) << "what is set may be a secret";
}

TEST_F(ExplainTest, MethodsHeadersAndWildcards) {
  expect_lines(ask({.url = "http://a.shop.example:8080/cart"}),
               {"host        web/shop, by the wildcard \"*.shop.example\"",
                "  passed    cart, by prefix /cart, method POST: not for the method GET", "route       rest, by prefix /",
                "action      respond 404"});
  expect_lines(ask({.url = "http://shop.example:8080/cart", .headers = {"X-Version: 2"}}),
               {"route       versioned, by prefix /cart, header X-Version", "action      redirect 302 to /two"});
  expect_lines(ask({.url = "http://127.0.0.1:8080/", .headers = {"Host: shop.example"}}),
               {"host        web/shop, by its name \"shop.example\""});
}

TEST_F(ExplainTest, WhatNobodyTakes) {
  Answer answer = ask({.url = "http://other.example:8080/"});
  EXPECT_FALSE(answer.taken);
  expect_lines(answer, {"host        none takes \"other.example\": answer 404"});
  expect_lines(ask({.url = "https://shop.example/"}), {"listener    none serves https"});
  expect_lines(ask({.url = "http://shop.example/"}),
               {"listener    web at 127.0.0.1:8080 (none has port 80: for requests that reach it)"});
  answer = ask({.url = "http://shop.example:8080/../etc/passwd"});
  EXPECT_NE(answer.text.find("refused     400"), std::string::npos) << answer.text;
  expect_lines(ask({.url = "http://shop.example:8080/a/../cart"}), {"path        /cart (normalized)"});
}

TEST(Question, Refusals) {
  for (const Question& bad :
       {Question{.url = "shop.example/"}, Question{.url = "http:///x"}, Question{.url = "http://a:0/"},
        Question{.url = "http://a:99999/"}, Question{.url = "http://a/", .method = "G T"},
        Question{.url = "http://a/", .headers = {"nothing"}}, Question{.url = "http://a/", .headers = {"X-A: a\r\nX-B: b"}},
        Question{.url = "http://a/", .client = "here"}}) {
    Question question = bad;
    std::string problem;
    EXPECT_FALSE(parse(question, problem)) << bad.url;
    EXPECT_FALSE(problem.empty());
  }
}

TEST(Question, TravelsAsAQuery) {
  const Question asked{.url = "https://shop.example/a b?x=1&y=%41#é",
                       .method = "PATCH",
                       .headers = {"X-A: 1&2=3", "X-B: %"},
                       .client = "2001:db8::1"};
  const std::string query = to_query(asked);
  EXPECT_EQ(query.find_first_of(" #\""), std::string::npos);
  const auto arrived = from_query(query);
  ASSERT_TRUE(arrived);
  EXPECT_EQ(arrived->url, asked.url);
  EXPECT_EQ(arrived->method, asked.method);
  EXPECT_EQ(arrived->headers, asked.headers);
  EXPECT_EQ(arrived->client, asked.client);
  for (const char* bad : {"url", "url=%", "url=%4", "url=%zz", "who=me"}) EXPECT_FALSE(from_query(bad)) << bad;
  EXPECT_FALSE(from_query("url=" + std::string(kMaxQueryBytes, 'x')));
}

}  // namespace
}  // namespace headgate::explain
