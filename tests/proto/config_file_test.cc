#include "tests/proto/config_fixture.h"

namespace headgate::json {
namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only

const VirtualHost* host_of(const ConfigFile& file, const std::string& name) {
  for (const VirtualHost& host : file.resources.virtual_hosts()) {
    if (host.name() == name) return &host;
  }
  return nullptr;
}

ConfigFile must_read(const std::string& text) {
  ConfigFile file = read_text(text);
  EXPECT_TRUE(file.ok()) << problems_of(file);
  return file;
}

TEST(ConfigFile, Listeners) {
  const ConfigFile file = must_read(R"({ "listen": [
      "http://:8080", {"name": "six", "uri": "http://[::1]:81"}, {"name": "local", "uri": "http://localhost"},
      {"name": "u", "uri": "unix:///tmp/a.sock"}, {"name": "s", "uri": "unix://@abstract"}],
    "dispatch": [{"listener": "s", "handler": "forward", "forward_to": "tcp://127.0.0.1:1"}] })");
  const auto& listeners = file.resources.listeners();
  ASSERT_EQ(listeners.size(), 5);
  EXPECT_EQ(listeners[0].name(), "http://:8080");
  EXPECT_EQ(listeners[0].address(), "");
  EXPECT_EQ(listeners[0].backlog(), 1024U);
  EXPECT_EQ(listeners[1].address(), "::1");
  EXPECT_EQ(listeners[2].address(), "127.0.0.1");
  EXPECT_EQ(listeners[2].port(), 80U);
  EXPECT_EQ(listeners[3].protocol(), LISTENER_HTTP);
  EXPECT_EQ(listeners[3].unix_path(), "/tmp/a.sock");
  EXPECT_EQ(listeners[4].protocol(), LISTENER_STREAM);
  EXPECT_EQ(listeners[4].unix_path(), "@abstract");
}

TEST(ConfigFile, ResilienceOfUpstreams) {
  const ConfigFile file = must_read(R"({ "listen": ["http://:8080"], "zone": "a",
    "upstreams": { "app": {
      "targets": [{"url": "http://127.0.0.1:1", "priority": 1, "zone": "b"}],
      "health_check": {"kind": "tcp", "method": "HEAD", "host": "h", "port": 9, "service": "s", "expect": [200, "300-304"]},
      "passive_health": {"failures": 7, "window": 3, "max_percent": 90, "statuses": [500, "502-503"]},
      "retry_timeout_seconds": 4,
      "retry": {"attempts": 4, "on": ["connect", "reset", "timeout", "refused-stream", 429, 503], "non_idempotent": true,
                "timeout": 9, "per_try": 0.5, "backoff": 0, "buffer": 10},
      "retry_budget": {"percent": 30, "min_per_second": 8},
      "limits": {"connections": 5, "connections_per_target": 2, "pending": 6, "requests": 11},
      "keep_alive": {"idle": 5, "connections": 3, "requests": 100, "max_age": 600},
      "slow_start": 30,
      "zones": {"prefer_local": true, "min_local_percent": 55} } },
    "dispatch": [{"listener": "http://:8080", "handler": "proxy", "proxy_pass": "upstream://app", "retry": {"on": 502}}]
  })");
  EXPECT_EQ(file.resources.settings().zone(), "a");
  ASSERT_EQ(file.resources.upstreams_size(), 1);
  const Upstream& app = file.resources.upstreams(0);
  EXPECT_EQ(app.health_check().kind(), ActiveHealthCheck::TCP);
  EXPECT_EQ(app.health_check().method(), "HEAD");
  EXPECT_EQ(app.health_check().host(), "h");
  EXPECT_EQ(app.health_check().port(), 9U);
  EXPECT_EQ(app.health_check().grpc_service(), "s");
  EXPECT_EQ(app.health_check().expect(1).last(), 304U);
  EXPECT_EQ(app.passive_health().failures(), 7U);
  EXPECT_EQ(app.passive_health().fail_window().seconds(), 3);
  EXPECT_EQ(app.passive_health().eject_for().seconds(), 4);
  EXPECT_EQ(app.passive_health().max_ejected_percent(), 90U);
  EXPECT_EQ(app.passive_health().failure_status(1).first(), 502U);
  const RetryPolicy& retry = app.retry();
  EXPECT_EQ(retry.attempts(), 4U);
  EXPECT_EQ(retry.on_size(), 5);  // status once
  EXPECT_EQ(retry.statuses(1), 503U);
  EXPECT_TRUE(retry.non_idempotent());
  EXPECT_EQ(retry.timeout().seconds(), 9);
  EXPECT_EQ(retry.per_try().nanos(), 500'000'000);
  EXPECT_EQ(retry.backoff().nanos(), 0);
  EXPECT_EQ(retry.buffer_bytes(), 10U);
  EXPECT_EQ(app.circuit().retry_budget_percent(), 30U);
  EXPECT_EQ(app.circuit().retry_budget_min(), 8U);
  EXPECT_EQ(app.circuit().connections(), 5U);
  EXPECT_EQ(app.circuit().connections_per_endpoint(), 2U);
  EXPECT_EQ(app.circuit().pending(), 6U);
  EXPECT_EQ(app.circuit().requests(), 11U);
  EXPECT_EQ(app.connection().idle().seconds(), 5);
  EXPECT_EQ(app.connection().idle_per_endpoint(), 3U);
  EXPECT_EQ(app.connection().requests_per_connection(), 100U);
  EXPECT_EQ(app.connection().max_age().seconds(), 600);
  EXPECT_EQ(app.balance().slow_start().seconds(), 30);
  EXPECT_TRUE(app.zones().prefer_local());
  EXPECT_EQ(app.zones().min_local_percent(), 55U);
  const Endpoint& target = file.resources.endpoint_shards(0).endpoints(0);
  EXPECT_EQ(target.priority(), 1U);
  EXPECT_EQ(target.zone(), "b");
  ASSERT_EQ(file.resources.virtual_hosts_size(), 1);
  const RetryPolicy& own = file.resources.virtual_hosts(0).routes(0).proxy().retry();
  EXPECT_EQ(own.on(0), RetryPolicy::STATUS);
  EXPECT_EQ(own.statuses(0), 502U);
}

TEST(ConfigFile, PathPatterns) {
  const ConfigFile file = must_read(R"({ "listen": [{"name": "web", "uri": "http://:1"}], "dispatch": [
      {"listener": "web", "handler": "echo"},
      {"listener": "web", "handler": "echo", "path": "/api/**", "final": true},
      {"listener": "web", "handler": "echo", "path": "/users/*"},
      {"listener": "web", "handler": "echo", "path": "/*"},
      {"listener": "web", "handler": "echo", "path": "/exact/"},
      {"listener": "web", "handler": "echo", "path": "~\\.php$"}] })");
  const VirtualHost* host = host_of(file, "web/*");
  ASSERT_NE(host, nullptr);
  ASSERT_EQ(host->routes_size(), 6);
  EXPECT_EQ(host->routes(0).match().prefix(), "/");
  EXPECT_EQ(host->routes(1).match().prefix(), "/api");
  EXPECT_TRUE(host->routes(1).match().final());
  EXPECT_EQ(host->routes(2).match().segment(), "/users");
  EXPECT_EQ(host->routes(3).match().segment(), "/");
  EXPECT_EQ(host->routes(4).match().exact(), "/exact/");
  EXPECT_EQ(host->routes(5).match().regex(), "\\.php$");
  EXPECT_EQ(host->routes(5).name(), "dispatch[5]");
}

TEST(ConfigFile, HostsShareTheRulesThatCoverThem) {
  const ConfigFile file = must_read(R"({ "listen": [{"name": "web", "uri": "http://:1"}], "dispatch": [
      {"listener": "web", "handler": "echo"},
      {"listener": "web", "handler": "echo", "hosts": ["*.example.com"], "path": "/w"},
      {"listener": "web", "handler": "echo", "hosts": "A.Example.com.", "path": "/a"}] })");
  EXPECT_EQ(file.resources.virtual_hosts_size(), 3);
  const VirtualHost* any = host_of(file, "web/*");
  const VirtualHost* wild = host_of(file, "web/*.example.com");
  const VirtualHost* exact = host_of(file, "web/a.example.com");
  ASSERT_TRUE(any != nullptr && wild != nullptr && exact != nullptr);
  EXPECT_EQ(any->routes_size(), 1);
  ASSERT_EQ(wild->routes_size(), 2);
  EXPECT_EQ(wild->routes(0).name(), "dispatch[1]");  // the narrower host first
  ASSERT_EQ(exact->routes_size(), 3);
  EXPECT_EQ(exact->routes(0).name(), "dispatch[2]");
  EXPECT_EQ(exact->routes(1).name(), "dispatch[1]");
  EXPECT_EQ(exact->routes(2).name(), "dispatch[0]");
}

TEST(ConfigFile, InlineUpstreamsAreSharedByContent) {
  const ConfigFile file = must_read(R"({ "listen": [{"name": "web", "uri": "http://:1"}, {"name": "raw", "uri": "tcp://:2"}], "dispatch": [
      {"listener": "web", "handler": "proxy", "path": "/a", "proxy_pass": "http://127.0.0.1:8000"},
      {"listener": "web", "handler": "proxy", "path": "/b", "proxy_pass": "http://127.0.0.1:8000/"},
      {"listener": "web", "handler": "proxy", "path": "/c", "proxy_pass": "http://127.0.0.1:8000", "proxy_protocol": "v2"},
      {"listener": "web", "handler": "proxy", "path": "/d", "proxy_pass": "https://App.lan", "tls": {"sni": "x.lan", "verify": false}},
      {"listener": "web", "handler": "proxy", "path": "/e", "proxy_pass": "unix:///run/a.sock"},
      {"listener": "raw", "handler": "forward", "forward_to": "unix:///run/a.sock"}] })");
  const VirtualHost* host = host_of(file, "web/*");
  ASSERT_NE(host, nullptr);
  const auto upstream = [&](int route) { return host->routes(route).proxy().backends(0).upstream(); };
  EXPECT_EQ(upstream(0), "http://127.0.0.1:8000");
  EXPECT_EQ(upstream(1), upstream(0));
  EXPECT_TRUE(upstream(2).starts_with("http://127.0.0.1:8000#")) << upstream(2);
  EXPECT_TRUE(upstream(3).starts_with("https://app.lan:443#")) << upstream(3);
  EXPECT_EQ(upstream(4), "http+unix:///run/a.sock");
  EXPECT_EQ(file.resources.upstreams_size(), 5);
  for (const Upstream& one : file.resources.upstreams()) {
    if (one.name() == upstream(4)) {
      EXPECT_EQ(one.protocol(), UPSTREAM_HTTP1);
    }
    if (one.name() == "unix:///run/a.sock") {
      EXPECT_EQ(one.protocol(), UPSTREAM_STREAM);
    }
    if (one.name() == upstream(3)) {
      EXPECT_EQ(one.tls().verify(), TOGGLE_OFF);
      EXPECT_EQ(one.tls().sni(), "x.lan");
    }
    EXPECT_EQ(one.has_tls(), one.name().starts_with("https://"));
  }
}

TEST(ConfigFile, ProxyRule) {
  const ConfigFile file = must_read(R"({ "listen": [{"name": "web", "uri": "http://:1"}],
    "upstreams": {"app": {"targets": [{"url": "http://a:1", "weight": 3}, "unix:///run/b.sock"], "balance": "ring-hash", "hash_key": "$cookie_user",
      "proxy_timeout_seconds": 1.5, "retry_timeout_seconds": 7}},
    "dispatch": [{"listener": "web", "handler": "proxy", "path": "/api/**", "proxy_pass": "upstream://app", "strip_prefix": "/api/", "timeout": 0.25,
      "balance": "ip-hash", "request_buffering": true, "methods": ["GET", "POST"], "match_headers": {"X-A": "1", "X-B": "~^v[0-9]"},
      "headers": {"X-Scheme": "$scheme", "Host": "api.lan"}}] })");
  const VirtualHost* host = host_of(file, "web/*");
  ASSERT_NE(host, nullptr);
  const Route& route = host->routes(0);
  EXPECT_EQ(route.proxy().strip_prefix(), "/api");
  EXPECT_EQ(route.proxy().timeouts().response().nanos(), 250000000);
  EXPECT_EQ(route.proxy().balance().policy(), BALANCE_IP_HASH);
  EXPECT_EQ(route.proxy().request_buffering(), TOGGLE_ON);
  EXPECT_EQ(route.proxy().host_rewrite(), "api.lan");
  ASSERT_EQ(route.filters_size(), 1);
  EXPECT_EQ(route.filters(0).request_headers().set(0).name(), "X-Scheme");
  EXPECT_EQ(route.match().headers(0).value().exact(), "1");
  EXPECT_EQ(route.match().headers(1).value().regex(), "^v[0-9]");
  ASSERT_EQ(file.resources.upstreams_size(), 1);
  const Upstream& app = file.resources.upstreams(0);
  EXPECT_EQ(app.protocol(), UPSTREAM_HTTP1);
  EXPECT_EQ(app.connection().response_timeout().seconds(), 1);
  EXPECT_EQ(app.connection().response_timeout().nanos(), 500000000);
  EXPECT_EQ(app.connection().connect_timeout().seconds(), 5);
  EXPECT_EQ(app.passive_health().eject_for().seconds(), 7);
  EXPECT_EQ(app.balance().hash_key(), "$cookie_user");
  const EndpointShard& shard = file.resources.endpoint_shards(0);
  EXPECT_EQ(shard.endpoints(0).weight(), 3U);
  EXPECT_EQ(shard.endpoints(1).unix_path(), "/run/b.sock");
  EXPECT_EQ(shard.endpoints(1).weight(), 1U);
}

TEST(ConfigFile, PathsAreRelativeToTheFile) {
  const ConfigFile file = must_read(R"({ "listen": [{"name": "web", "uri": "https://:1"}], "temp_dir": "tmp",
    "tls": {"cert": "../tls/a.pem", "key": "/etc/a.key"}, "logging": {"access_log": "logs/access.log"},
    "dispatch": [{"listener": "web", "handler": "static", "root": "./public/"}] })");
  EXPECT_EQ(host_of(file, "web/*")->routes(0).static_files().root(), "/srv/site/public");
  EXPECT_EQ(file.resources.settings().temp_dir(), "/srv/site/tmp");
  EXPECT_EQ(file.resources.settings().access_log().output(), "/srv/site/logs/access.log");
  EXPECT_EQ(file.resources.tls_secrets(0).chain_file(), "/srv/tls/a.pem");
  EXPECT_EQ(file.resources.tls_secrets(0).key_file(), "/etc/a.key");
  EXPECT_EQ(folder_of("conf/site.json", "/srv"), "/srv/conf");
  EXPECT_EQ(folder_of("/etc/site.json", "/srv"), "/etc");
  EXPECT_EQ(folder_of("./config.json", "/srv"), "/srv");
}

TEST(ConfigFile, CertificatesByName) {
  const ConfigFile file = must_read(R"({ "listen": ["https://:1", "ssl://:2"],
    "tls": {"cert": "good.pem", "key": "good.key", "min_version": "1.3", "client_ca": "other.pem",
            "certificates": [{"cert": "other.pem", "key": "other.key", "names": ["*.Example.com"]}, {"cert": "good.pem", "key": "good.key"}]},
    "dispatch": [{"listener": "ssl://:2", "handler": "forward", "forward_to": "tcp://127.0.0.1:1", "sni": ["DB.example.com"]}] })");
  for (const Listener& listener : file.resources.listeners()) {
    ASSERT_EQ(listener.tls().certificates_size(), 3);
    EXPECT_TRUE(listener.tls().certificates(0).is_default());
    EXPECT_EQ(listener.tls().certificates(1).server_names(0), "*.example.com");
    EXPECT_EQ(listener.tls().certificates(2).secret(), listener.tls().certificates(0).secret());
    EXPECT_EQ(listener.tls().min_version(), TLS_1_3);
    EXPECT_EQ(listener.tls().client_certificate(), CLIENT_CERTIFICATE_REQUIRED);
  }
  EXPECT_EQ(file.resources.listeners(0).tls().alpn_size(), 2);
  EXPECT_EQ(file.resources.listeners(1).tls().alpn_size(), 0);
  EXPECT_EQ(file.resources.listeners(1).forward(0).sni(0), "db.example.com");
  EXPECT_EQ(file.resources.tls_secrets_size(), 3);  // two pairs and one authority
}

TEST(ConfigFile, Dns) {
  const ConfigFile file = must_read(R"({ "listen": [{"name": "d", "uri": "udp://127.0.0.1:53"}], "dns_ttl": 120, "dns_any": "full", "dns_auto_ptr": true,
    "dns_forward": ["192.0.2.53", "[2001:db8::53]:5353"], "zones": {"Lan.Example.": "lan.zone"},
    "dns": { "A.lan.": {"A": ["192.0.2.1", {"value": "192.0.2.2", "TTL": 5}], "TTL": 60, "TXT": "x", "CAA": {"tag": "ISSUE", "value": "ca.example"},
                        "HTTPS": {"params": {"alpn": ["h2", "h3"], "port": 8443, "no-default-alpn": true}}},
             "s.lan": {"SOA": {"mname": "ns.s.lan", "rname": "a.s.lan", "TTL": 9}} },
    "dispatch": [{"listener": "d", "handler": "dns"}] })");
  ASSERT_EQ(file.resources.dns_zones_size(), 2);
  const DnsZone& flat = file.resources.dns_zones(0);
  EXPECT_EQ(flat.origin(), "");
  EXPECT_EQ(flat.default_ttl(), 120U);
  EXPECT_EQ(flat.auto_ptr(), TOGGLE_ON);
  EXPECT_EQ(flat.names(0).name(), "a.lan");
  EXPECT_EQ(flat.names(0).ttl(), 60U);
  EXPECT_EQ(flat.names(0).records(1).ttl(), 5U);
  EXPECT_FALSE(flat.names(0).records(0).has_ttl());
  EXPECT_EQ(flat.names(0).records(3).caa().tag(), "issue");
  const DnsServiceBinding& binding = flat.names(0).records(4).https();
  EXPECT_EQ(binding.priority(), 1U);
  EXPECT_EQ(binding.params(0).value(), "h2,h3");
  EXPECT_EQ(binding.params(1).value(), "8443");
  EXPECT_EQ(binding.params(2).value(), "");
  EXPECT_EQ(flat.names(1).records(0).soa().refresh(), 3600U);
  EXPECT_EQ(flat.names(1).records(0).ttl(), 9U);
  const DnsZone& zone = file.resources.dns_zones(1);
  EXPECT_EQ(zone.origin(), "lan.example");
  EXPECT_EQ(zone.master_file_path(), "/srv/site/lan.zone");
  const DnsService& service = file.resources.listeners(0).dns();
  EXPECT_EQ(service.forward(0), "192.0.2.53:53");
  EXPECT_EQ(service.forward(1), "[2001:db8::53]:5353");
  EXPECT_EQ(service.any_full(), TOGGLE_ON);
}

TEST(ConfigFile, LongTextsBecomeSeveralStrings) {
  const ConfigFile file = must_read(R"({ "listen": ["udp://127.0.0.1:53"], "dns": {"a.lan": {"TXT": ")" + std::string(600, 'x') +
                                    R"("}}, "dispatch": [{"listener": "udp://127.0.0.1:53", "handler": "dns"}] })");
  const DnsTxt& txt = file.resources.dns_zones(0).names(0).records(0).txt();
  ASSERT_EQ(txt.strings_size(), 3);
  EXPECT_EQ(txt.strings(2).size(), 90U);
}

TEST(ConfigFile, LimitsAndTimeoutsReachListeners) {
  const ConfigFile file = must_read(R"({ "listen": [{"name": "a", "uri": "http://:1", "limits": {"body": 0}}, {"name": "b", "uri": "http://:2"}],
    "timeouts": {"header": 0.5, "max_connections_per_ip": 7, "connect": 2}, "limits": {"body": 10, "fields": 9} })");
  const Listener& a = file.resources.listeners(0);
  const Listener& b = file.resources.listeners(1);
  EXPECT_EQ(a.limits().body_bytes(), 0U);
  EXPECT_EQ(b.limits().body_bytes(), 10U);
  EXPECT_EQ(a.limits().header_fields(), 9U);
  EXPECT_EQ(a.limits().connections_per_client(), 7U);
  EXPECT_EQ(a.timeouts().header().seconds(), 0);
  EXPECT_EQ(a.timeouts().header().nanos(), 500000000);
  EXPECT_EQ(a.timeouts().drain().seconds(), 30);
  EXPECT_EQ(file.resources.settings().connect_timeout().seconds(), 2);
}

TEST(ConfigFile, ProblemsFoundLaterPointIntoTheText) {
  const ConfigFile file = read_text("{\n \"listen\": [\"http://:1\"],\n \"dispatch\": [\n  {\"listener\": \"http://:1\", \"handler\": \"redirect\",\n   \"location\": \"$1\"}]}", "site.json");
  EXPECT_EQ(problems_of(file),
            "site.json:5:16: error: $.dispatch[0].location: $1 is a group of a regular expression, and there is none here [variable]\n");
}

TEST(ConfigFile, HundredThousandNames) {
  std::string text = R"({ "listen": ["udp://127.0.0.1:53"], "dispatch": [{"listener": "udp://127.0.0.1:53", "handler": "dns"}], "dns": {)";
  for (int i = 0; i < 100000; ++i) {
    text += (i == 0 ? "\n\"host" : ",\n\"host") + std::to_string(i) + ".lan\": {\"A\": \"10.0." + std::to_string(i / 256 % 256) + "." + std::to_string(i % 256) + "\"}";
  }
  text += "}}";
  const ConfigFile file = must_read(text);
  EXPECT_EQ(file.resources.dns_zones(0).names_size(), 100000);
}

TEST(ConfigFile, ManyProblemsAreCut) {
  std::string text = R"({ "listen": ["http://:1"], "dispatch": [1)";
  for (int i = 0; i < 5000; ++i) text += ",1";
  const ConfigFile file = read_text(text + "]}");
  EXPECT_EQ(file.diagnostics.size(), 1000U);
  EXPECT_FALSE(file.ok());
}

}  // namespace
}  // namespace headgate::json
