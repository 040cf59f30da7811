// What is made from a whole Exchange: forwarded fields, variables, request ids, error answers.
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "dataplane/http/error_response.h"
#include "dataplane/http/forwarded.h"
#include "dataplane/http/request_id.h"
#include "dataplane/http/variables.h"
#include "tests/support/exchange_harness.h"

namespace headgate::http {
namespace {

using test::ExchangeHarness;
using test::HandlerFunction;

CidrSet cidrs(std::initializer_list<const char*> texts) {
  CidrSet set;
  for (const char* text : texts) set.add(*Cidr::parse(text));
  return set;
}

TEST(Forwarded, Nodes) {
  for (const auto& [text, address] : std::initializer_list<std::pair<const char*, const char*>>{
           {"192.0.2.1", "192.0.2.1"},
           {"192.0.2.1:80", "192.0.2.1"},
           {"[2001:db8::1]", "2001:db8::1"},
           {"[2001:db8::1]:80", "2001:db8::1"},
           {"2001:db8::1", "2001:db8::1"}}) {
    const auto node = parse_forwarded_node(text);
    ASSERT_TRUE(node) << text;
    EXPECT_EQ(node->to_string(), address);
  }
  for (const char* bad : {"", "unknown", "_hidden", "192.0.2.256", "192.0.2.1:", "192.0.2.1:x", "192.0.2.1:99999", "[::1",
                          "[192.0.2.1]", "[::1]80", "[]", ":80", "example.com", "1", "192.0.2.1 "}) {
    EXPECT_FALSE(parse_forwarded_node(bad)) << bad;
  }
}

std::string client(std::initializer_list<std::pair<const char*, const char*>> fields, const char* remote = "10.0.0.1") {
  Arena arena;
  HeaderMap map(arena);
  for (const auto& [name, value] : fields) map.add(name, value);
  return client_address_of(map, *IpAddress::parse(remote), cidrs({"10.0.0.0/8", "2001:db8::/32"})).to_string();
}

TEST(Forwarded, WalkFromTheRight) {
  EXPECT_EQ(client({}), "10.0.0.1");
  EXPECT_EQ(client({{"X-Forwarded-For", "198.51.100.7"}}), "198.51.100.7");
  EXPECT_EQ(client({{"X-Forwarded-For", "198.51.100.7"}}, "203.0.113.9"), "203.0.113.9") << "not trusted";
  EXPECT_EQ(client({{"X-Forwarded-For", "1.1.1.1, 198.51.100.7, 10.0.0.2"}}), "198.51.100.7") << "1.1.1.1 is a claim";
  EXPECT_EQ(client({{"X-Forwarded-For", "10.0.0.3, 10.0.0.2"}}), "10.0.0.3") << "all trusted: the leftmost";
  EXPECT_EQ(client({{"X-Forwarded-For", "198.51.100.7, garbage, 10.0.0.2"}}), "10.0.0.2") << "malformed: stop";
  EXPECT_EQ(client({{"X-Forwarded-For", "198.51.100.7, unknown"}}), "10.0.0.1");
  EXPECT_EQ(client({{"X-Forwarded-For", ""}}), "10.0.0.1") << "an empty list";
  EXPECT_EQ(client({{"X-Forwarded-For", ", ,"}}), "10.0.0.1");
  EXPECT_EQ(client({{"X-Forwarded-For", "1.1.1.1"}, {"X-Forwarded-For", "198.51.100.7"}}), "198.51.100.7");
  EXPECT_EQ(client({{"X-Forwarded-For", "198.51.100.7:1234"}}), "198.51.100.7");
  EXPECT_EQ(client({{"Forwarded", "for=198.51.100.7;proto=https"}}), "198.51.100.7");
  EXPECT_EQ(client({{"Forwarded", "for=1.1.1.1, for=\"[2001:db8:1::1]:80\", for=\"[2001:db8::2]\""}}), "1.1.1.1");
  EXPECT_EQ(client({{"Forwarded", "proto=https"}}), "10.0.0.1");
  EXPECT_EQ(client({{"Forwarded", "for=_x, for=10.0.0.2"}}), "10.0.0.2");
  EXPECT_EQ(client({{"X-Real-IP", "198.51.100.7"}}), "198.51.100.7");
  EXPECT_EQ(client({{"X-Real-IP", "198.51.100.7"}, {"X-Real-IP", "1.1.1.1"}}), "10.0.0.1");
  std::string many;
  for (int i = 0; i < 200; ++i) many += "10.0.0.9, ";
  EXPECT_EQ(client({{"X-Forwarded-For", (many + "10.0.0.8").c_str()}}), "10.0.0.9");
}

// Runs `function` on an exchange made of `request`.
void with_exchange(const test::RequestText& request, const std::function<void(Exchange&)>& function) {
  ExchangeHarness harness;
  HandlerFunction handler([&](Exchange& exchange) {
    function(exchange);
    exchange.respond_text(200, "text/plain", "x");
  });
  harness.run(request, {}, handler);
}

std::string forwarded_fields(const test::RequestText& request, const ForwardedPolicy& policy, const CidrSet& trusted) {
  std::string text;
  with_exchange(request, [&](Exchange& exchange) {
    resolve_client(exchange, trusted);
    HeaderMap outgoing(exchange.arena());
    outgoing.assign(exchange.request().headers);
    write_forwarded(exchange, policy, outgoing);
    for (const Field& field : outgoing.fields()) {
      if (field.name == "Host") continue;
      text += std::string(field.name) + "=" + std::string(field.value) + "\n";
    }
  });
  return text;
}

const test::RequestText kSpoofed{.headers = {{"Host", "shop.example"},
                                             {"X-Forwarded-For", "1.1.1.1"},
                                             {"X-Forwarded-Proto", "https"},
                                             {"X-Forwarded-Host", "evil"},
                                             {"X-Forwarded-Port", "1"},
                                             {"X-Forwarded-Prefix", "/evil"},
                                             {"X_Forwarded_For", "2.2.2.2"},
                                             {"X-Envoy-Internal", "true"},
                                             {"X-Real-IP", "1.1.1.1"},
                                             {"Forwarded", "for=1.1.1.1"},
                                             {"X-Other", "stays"}},
                                 .remote = "192.0.2.1:40000"};

TEST(Forwarded, RebuildsWhatAnUntrustedClientSent) {
  const std::string fields = forwarded_fields(kSpoofed, {}, cidrs({"10.0.0.0/8"}));
  EXPECT_EQ(fields.find("1.1.1.1"), std::string::npos) << fields;
  EXPECT_EQ(fields.find("evil"), std::string::npos) << fields;
  EXPECT_EQ(fields.find("2.2.2.2"), std::string::npos) << fields;
  EXPECT_EQ(fields.find("Envoy"), std::string::npos) << fields;
  EXPECT_NE(fields.find("X-Forwarded-For=192.0.2.1\n"), std::string::npos) << fields;
  EXPECT_NE(fields.find("X-Forwarded-Proto=http\n"), std::string::npos) << fields;
  EXPECT_NE(fields.find("X-Forwarded-Host=shop.example\n"), std::string::npos) << fields;
  EXPECT_NE(fields.find("X-Real-IP=192.0.2.1\n"), std::string::npos) << fields;
  EXPECT_NE(fields.find("X-Other=stays\n"), std::string::npos) << fields;
}

TEST(Forwarded, AppendsBehindATrustedProxy) {
  ForwardedPolicy policy;
  policy.forwarded = ForwardedMode::kAuto;
  const std::string fields = forwarded_fields(kSpoofed, policy, cidrs({"192.0.2.0/24"}));
  EXPECT_NE(fields.find("X-Forwarded-For=1.1.1.1, 192.0.2.1\n"), std::string::npos) << fields;
  EXPECT_NE(fields.find("X-Forwarded-Proto=https\n"), std::string::npos) << fields;
  EXPECT_NE(fields.find("X-Forwarded-Host=evil\n"), std::string::npos) << fields;
  EXPECT_NE(fields.find("X-Forwarded-Prefix=/evil\n"), std::string::npos) << fields;
  EXPECT_NE(fields.find("X-Real-IP=1.1.1.1\n"), std::string::npos) << fields;
  EXPECT_NE(fields.find("Forwarded=for=1.1.1.1, for=192.0.2.1;host=shop.example;proto=https\n"), std::string::npos)
      << fields;
}

TEST(Forwarded, ModesAndTheNginxSet) {
  ForwardedPolicy keep;
  keep.x_forwarded = ForwardedMode::kKeep;
  keep.x_real_ip = false;
  const std::string kept = forwarded_fields(kSpoofed, keep, {});
  EXPECT_NE(kept.find("X-Forwarded-For=1.1.1.1\n"), std::string::npos) << kept;
  ForwardedPolicy remove;
  remove.x_forwarded = ForwardedMode::kRemove;
  remove.x_real_ip = false;
  EXPECT_EQ(forwarded_fields(kSpoofed, remove, {}), "X-Other=stays\n");
  ForwardedPolicy nginx;
  nginx.nginx_set = true;
  nginx.original_uri = true;
  nginx.prefix = "/api";
  const std::string set = forwarded_fields(kSpoofed, nginx, {});
  EXPECT_NE(set.find("X-Original-Forwarded-For=1.1.1.1\n"), std::string::npos) << set;
  EXPECT_NE(set.find("X-Scheme=http\n"), std::string::npos) << set;
  EXPECT_NE(set.find("X-Original-URI=/\n"), std::string::npos) << set;
  EXPECT_NE(set.find("X-Forwarded-Prefix=/api\n"), std::string::npos) << set;
  ForwardedPolicy replace;
  replace.forwarded = ForwardedMode::kReplace;
  test::RequestText six = kSpoofed;
  six.remote = "[2001:db8::5]:1000";
  six.headers[0].second = "shop.example:8080";
  EXPECT_NE(forwarded_fields(six, replace, {}).find(
                "Forwarded=for=\"[2001:db8::5]\";host=\"shop.example:8080\";proto=http\n"),
            std::string::npos);
}

TEST(RequestId, MadeOnceOrTakenFromATrustedProxy) {
  std::string first;
  with_exchange({}, [&](Exchange& exchange) {
    first = request_id_of(exchange);
    EXPECT_EQ(request_id_of(exchange), first);
  });
  EXPECT_EQ(first.size(), 32U);
  EXPECT_EQ(first.find_first_not_of("0123456789abcdef"), std::string::npos);
  const test::RequestText given{.headers = {{"X-Request-Id", "abc-123"}}};
  with_exchange(given, [&](Exchange& exchange) {
    resolve_client(exchange, cidrs({"192.0.2.0/24"}));
    EXPECT_EQ(request_id_of(exchange), "abc-123");
  });
  with_exchange(given, [&](Exchange& exchange) {
    resolve_client(exchange, cidrs({"10.0.0.0/8"}));
    EXPECT_EQ(request_id_of(exchange).size(), 32U);
  });
  EXPECT_FALSE(is_usable_request_id(""));
  EXPECT_FALSE(is_usable_request_id("a b"));
  EXPECT_FALSE(is_usable_request_id("a\"b"));
  EXPECT_FALSE(is_usable_request_id(std::string(129, 'a')));
}

std::string expanded(std::string_view text, const test::RequestText& request, ValueEscape escape = ValueEscape::kNone) {
  std::string why;
  const auto made = TextTemplate::parse(text, &why);
  if (!made) return "error: " + why;
  std::string result;
  with_exchange(request, [&](Exchange& exchange) { result = made->expand(exchange, escape); });
  return result;
}

TEST(Variables, Values) {
  const test::RequestText request{.target = "/a/../b%41?x=1&Y=two&x=3",
                                  .headers = {{"Host", "Shop.Example:81"},
                                              {"X-User-Name", "ann"},
                                              {"Cookie", "a=1; session=s=2"},
                                              {"Cookie", "late=3"},
                                              {"Authorization", "Basic YW5uOnNlY3JldA=="}}};
  EXPECT_EQ(expanded("plain", request), "plain");
  EXPECT_EQ(expanded("$scheme://$host$uri", request), "http://shop.example/bA");
  EXPECT_EQ(expanded("$http_host|$request_uri|$args", request), "Shop.Example:81|/a/../b%41?x=1&Y=two&x=3|x=1&Y=two&x=3");
  EXPECT_EQ(expanded("$escaped_request_uri", request), "%2Fa%2F..%2Fb%2541%3Fx%3D1%26Y%3Dtwo%26x%3D3");
  EXPECT_EQ(expanded("${method}x$request_method", request), "GETxGET");
  EXPECT_EQ(expanded("$client_ip $remote_addr $remote_port", request), "192.0.2.1 192.0.2.1 40000");
  EXPECT_EQ(expanded("$http_x_user_name,$header_x_user_name,$http_missing.", request), "ann,ann,.");
  EXPECT_EQ(expanded("$arg_x $arg_y $arg_z.", request), "1 two .");
  EXPECT_EQ(expanded("$cookie_a $cookie_session $cookie_late $cookie_b.", request), "1 s=2 3 .");
  EXPECT_EQ(expanded("$remote_user", request), "ann");
  EXPECT_EQ(expanded("$request", request), "GET /a/../b%41?x=1&Y=two&x=3 HTTP/1.1");
  EXPECT_EQ(expanded("$is_args$args", request), "?x=1&Y=two&x=3");
  EXPECT_EQ(expanded("$tls_version[$server_name]", request), "[]");
  EXPECT_EQ(expanded("a$$b$ c$", request), "a$b$ c$");
  EXPECT_EQ(expanded("$1", request), "") << "no regex matched";
  EXPECT_EQ(expanded("$1x", request), "x");
  EXPECT_EQ(expanded("$time_iso8601", request).size(), 25U);
  EXPECT_EQ(expanded("$request_time", request), "0.000");
  EXPECT_EQ(expanded("$proxy_add_x_forwarded_for", request), "192.0.2.1");
  EXPECT_NE(expanded("$hostname", request), "");
  std::string many;
  std::string wanted;
  for (int i = 0; i < 60; ++i) {
    many += "$method,";
    wanted += "GET,";
  }
  EXPECT_EQ(expanded(many, request), wanted) << "more pieces than fit on the stack";
}

TEST(Variables, LogsCannotBeForged) {
  const test::RequestText request{.headers = {{"User-Agent", "a\"b\\c\x1b\xff"}}};
  EXPECT_EQ(expanded("\"$http_user_agent\" \"$http_referer\"", request, ValueEscape::kLog),
            "\"a\\x22b\\x5Cc\\x1B\\xFF\" \"-\"");
}

TEST(Variables, Refused) {
  EXPECT_EQ(expanded("$unknown", {}), "error: unknown variable $unknown");
  EXPECT_EQ(expanded("${host", {}), "error: \"${\" without its \"}\"");
  EXPECT_EQ(expanded("${}", {}), "error: \"${}\" names no variable");
  EXPECT_EQ(expanded("$http_", {}), "error: unknown variable $http_");
  EXPECT_EQ(expanded("$hostx", {}), "error: unknown variable $hostx");
}

TEST(Variables, EveryRowExpands) {
  for (const VariableRow& row : variable_rows()) {
    EXPECT_EQ(expanded("[${" + std::string(row.name) + "}]", {}).front(), '[') << row.name;
  }
}

TEST(Variables, LiteralsCostNothing) {
  const auto made = TextTemplate::parse("static text");
  ASSERT_TRUE(made);
  EXPECT_TRUE(made->is_literal());
  EXPECT_FALSE(made->needs_response());
  EXPECT_EQ(made->highest_group(), -1);
  with_exchange({}, [&](Exchange& exchange) {
    EXPECT_EQ(made->expand(exchange).data(), made->literal().data());
  });
  EXPECT_TRUE(TextTemplate::parse("$status")->needs_response());
  EXPECT_EQ(TextTemplate::parse("$1$7")->highest_group(), 7);
}

TEST(ErrorResponse, TextHtmlAndGrpc) {
  const auto answer = [](test::FieldList headers, const Error& error) {
    ExchangeHarness harness;
    HandlerFunction handler([&](Exchange& exchange) {
      exchange.response().headers.add("X-Stale", "1");
      exchange.respond_error(error);
    });
    return harness.run({.headers = std::move(headers)}, {}, handler);
  };
  const Error timeout{.code = Errc::kTimeout, .origin = Origin::kUpstream};
  const test::Answer text = answer({{"Accept", "*/*"}}, timeout);
  EXPECT_EQ(text.status, 504);
  EXPECT_EQ(text.body, "504 Gateway Timeout\n");
  EXPECT_EQ(text.header("content-type"), "text/plain; charset=utf-8");
  EXPECT_EQ(text.header("x-stale"), "");
  const test::Answer html = answer({{"Accept", "text/html,*/*;q=0.8"}}, timeout);
  EXPECT_NE(html.body.find("<h1>504 Gateway Timeout</h1>"), std::string::npos);
  const test::Answer grpc = answer({{"Content-Type", "application/grpc"}}, timeout);
  EXPECT_EQ(grpc.status, 200);
  EXPECT_EQ(grpc.header("grpc-status"), "4");
  EXPECT_EQ(grpc.body, "");
}

}  // namespace
}  // namespace headgate::http
