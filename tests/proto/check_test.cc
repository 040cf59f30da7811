// What the file format cannot say but the stream can: messages straight into the checks.
#include "proto/check/check.h"

#include <google/protobuf/util/message_differencer.h>

#include <functional>

#include "proto/check/normalize.h"
#include "proto/check/routes.h"
#include "tests/proto/config_fixture.h"

namespace headgate::check {
namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only

// A small set without a problem, that each case then breaks.
ResourceSet good_set() {
  ResourceSet set;
  Listener& web = *set.add_listeners();
  web.set_name("web");
  web.set_transport(LISTENER_TCP);
  web.set_protocol(LISTENER_HTTPS);
  web.set_port(8443);
  web.set_route_table("web");
  web.mutable_tls()->add_certificates()->set_secret("cert");
  Listener& raw = *set.add_listeners();
  raw.set_name("raw");
  raw.set_transport(LISTENER_TCP);
  raw.set_protocol(LISTENER_TLS_PASSTHROUGH);
  raw.set_port(9000);
  raw.add_forward()->set_upstream("db");
  TlsSecret& secret = *set.add_tls_secrets();
  secret.set_name("cert");
  secret.set_chain_pem(json::material("good").chain);
  secret.set_key_pem(json::material("good").key);
  set.add_route_tables()->set_name("web");
  VirtualHost& host = *set.add_virtual_hosts();
  host.set_name("web/shop.example.com");
  host.set_table("web");
  host.set_host("shop.example.com");
  Route& route = *host.add_routes();
  route.set_name("r");
  route.mutable_match()->set_regex("^/a/(.*)");
  route.mutable_proxy()->add_backends()->set_upstream("app");
  Upstream& app = *set.add_upstreams();
  app.set_name("app");
  app.set_protocol(UPSTREAM_HTTP1);
  Upstream& db = *set.add_upstreams();
  db.set_name("db");
  db.set_protocol(UPSTREAM_STREAM);
  EndpointShard& shard = *set.add_endpoint_shards();
  shard.set_name("app-1");
  ShardTarget& target = *shard.add_upstreams();
  target.set_upstream("app");
  target.set_port(80);
  shard.add_endpoints()->set_host("10.0.0.1");
  TicketKeys& tickets = *set.add_ticket_keys();
  tickets.set_name("t");
  TicketKey& key = *tickets.add_keys();
  key.set_id(std::string(16, 'i'));
  key.set_secret(std::string(64, 's'));
  set.mutable_settings()->set_name("default");
  return set;
}

std::string problems(const ResourceSet& set) {
  std::string out;
  for (const Problem& problem : check_resources(set, json::kNow)) out += to_string(problem) + "\n";
  return out;
}

TEST(Check, GoodSet) {
  EXPECT_EQ(problems(good_set()), "");
  ResourceSet set = good_set();
  normalize(set);
  EXPECT_EQ(problems(set), "");
}

struct Case {
  const char* expected;  // part of one problem
  std::function<void(ResourceSet&)> change;
};

Route& route_of(ResourceSet& set) { return *set.mutable_virtual_hosts(0)->mutable_routes(0); }
HttpFilter& filter_of(ResourceSet& set) { return *route_of(set).add_filters(); }

void expect_cases(const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    ResourceSet set = good_set();
    one.change(set);
    const std::string found = problems(set);
    EXPECT_NE(found.find(one.expected), std::string::npos) << one.expected << "\nfound:\n" << found;
  }
}

TEST(Check, References) {
  expect_cases({
      {"listener \"web\": route_table: there is no route table \"x\"; there are web [reference]",
       [](ResourceSet& s) { s.mutable_listeners(0)->set_route_table("x"); }},
      {"listener \"web\": tls.certificates[0].secret: there is no TLS secret \"x\"",
       [](ResourceSet& s) { s.mutable_listeners(0)->mutable_tls()->mutable_certificates(0)->set_secret("x"); }},
      {"tls.client_ca: this secret has no authorities",
       [](ResourceSet& s) { s.mutable_listeners(0)->mutable_tls()->set_client_ca("cert"); }},
      {"tls.ticket_keys: there is no ticket key set",
       [](ResourceSet& s) { s.mutable_listeners(0)->mutable_tls()->set_ticket_keys("x"); }},
      {"virtual_host \"web/shop.example.com\": table: there is no route table", [](ResourceSet& s) { s.clear_route_tables(); }},
      {"routes[0].proxy.backends[0].upstream: there is no upstream \"x\"; there are app, db",
       [](ResourceSet& s) { route_of(s).mutable_proxy()->mutable_backends(0)->set_upstream("x"); }},
      {"routes[0].proxy.backends[0].upstream: the upstream \"db\" does not speak HTTP",
       [](ResourceSet& s) { route_of(s).mutable_proxy()->mutable_backends(0)->set_upstream("db"); }},
      {"routes[0].filters[0].mirror.upstream: there is no upstream",
       [](ResourceSet& s) { filter_of(s).mutable_mirror()->set_upstream("x"); }},
      {"forward[0].upstream: the upstream \"app\" speaks HTTP",
       [](ResourceSet& s) { s.mutable_listeners(1)->mutable_forward(0)->set_upstream("app"); }},
      {"endpoint_shard \"app-1\": upstreams[0].upstream: there is no upstream",
       [](ResourceSet& s) { s.mutable_endpoint_shards(0)->mutable_upstreams(0)->set_upstream("x"); }},
      {"upstream \"app\": name: there are two of this name", [](ResourceSet& s) { *s.add_upstreams() = s.upstreams(0); }},
      {"upstream \"app\": tls.ca: there is no TLS secret", [](ResourceSet& s) { s.mutable_upstreams(0)->mutable_tls()->set_ca("x"); }},
      {"listener \"raw\": address: the listener \"web\" has the same address", [](ResourceSet& s) { s.mutable_listeners(1)->set_port(8443); }},
      {"takes the host \"shop.example.com\", too",
       [](ResourceSet& s) {
         VirtualHost& other = *s.add_virtual_hosts();
         other.set_name("web/x");
         other.set_table("web");
         other.set_host("x");
         other.add_aliases("shop.example.com");
       }},
      {"dns.zones[0]: there is no DNS zone",
       [](ResourceSet& s) {
         s.mutable_listeners(1)->set_protocol(LISTENER_STREAM);
         s.mutable_listeners(1)->set_address("127.0.0.1");
         s.mutable_listeners(1)->clear_forward();
         s.mutable_listeners(1)->mutable_dns()->add_zones("x");
       }},
  });
}

TEST(Check, Listeners) {
  expect_cases({
      {"transport: expected TCP", [](ResourceSet& s) { s.mutable_listeners(0)->clear_transport(); }},
      {"protocol: expected HTTP", [](ResourceSet& s) { s.mutable_listeners(0)->clear_protocol(); }},
      {"protocol: datagrams come from UDP", [](ResourceSet& s) { s.mutable_listeners(0)->set_transport(LISTENER_UDP); }},
      {"protocol: datagrams come from UDP", [](ResourceSet& s) { s.mutable_listeners(1)->set_protocol(LISTENER_DATAGRAM); }},
      {"port: expected a port", [](ResourceSet& s) { s.mutable_listeners(0)->set_port(70000); }},
      {"address: \"x\" is no IP address", [](ResourceSet& s) { s.mutable_listeners(0)->set_address("x"); }},
      {"unix_path: expected an absolute path",
       [](ResourceSet& s) {
         s.mutable_listeners(0)->set_transport(LISTENER_UNIX);
         s.mutable_listeners(0)->set_unix_path("x");
       }},
      {"forward: an HTTP listener has routes", [](ResourceSet& s) { s.mutable_listeners(0)->add_forward()->set_upstream("db"); }},
      {"route_table: only an HTTP listener", [](ResourceSet& s) { s.mutable_listeners(1)->set_route_table("web"); }},
      {"dns: a listener either forwards or answers", [](ResourceSet& s) { s.mutable_listeners(1)->mutable_dns(); }},
      {"tls.certificates[1].is_default: there is another",
       [](ResourceSet& s) {
         auto& tls = *s.mutable_listeners(0)->mutable_tls();
         tls.mutable_certificates(0)->set_is_default(true);
         tls.add_certificates()->set_is_default(true);
       }},
      {"tls.max_version: the highest version",
       [](ResourceSet& s) {
         s.mutable_listeners(0)->mutable_tls()->set_min_version(TLS_1_3);
         s.mutable_listeners(0)->mutable_tls()->set_max_version(TLS_1_2);
       }},
      {"tls.client_ca: client certificates are judged",
       [](ResourceSet& s) { s.mutable_listeners(0)->mutable_tls()->set_client_certificate(CLIENT_CERTIFICATE_OPTIONAL); }},
      {"timeouts.header: expected a time above 0", [](ResourceSet& s) { s.mutable_listeners(0)->mutable_timeouts()->mutable_header()->set_seconds(-1); }},
      {"limits.header_bytes: expected 1024", [](ResourceSet& s) { s.mutable_listeners(0)->mutable_limits()->set_header_bytes(1); }},
      {"forward[0].upstream: expected either one upstream", [](ResourceSet& s) { s.mutable_listeners(1)->mutable_forward(0)->clear_upstream(); }},
      {"warning: forward[1]: this rule can never match",
       [](ResourceSet& s) {
         s.mutable_listeners(1)->mutable_forward(0)->add_sni("*.example.com");
         ForwardRule& rule = *s.mutable_listeners(1)->add_forward();
         rule.set_upstream("db");
         rule.add_sni("a.b.example.com");
       }},
      {"settings \"default\": workers: expected 1", [](ResourceSet& s) { s.mutable_settings()->set_workers(0); }},
      {"access_log.template: a template", [](ResourceSet& s) { s.mutable_settings()->mutable_access_log()->set_format(ACCESS_LOG_TEMPLATE); }},
  });
}

TEST(Check, RulesThatDiffer) {
  ResourceSet set = good_set();
  Listener& raw = *set.mutable_listeners(1);
  raw.mutable_forward(0)->add_sni("*.example.com");
  ForwardRule& apex = *raw.add_forward();
  apex.set_upstream("db");
  apex.add_sni("example.com");
  ForwardRule& rest = *raw.add_forward();
  rest.set_upstream("db");
  rest.add_source("10.0.0.0/8");
  raw.add_forward()->set_upstream("db");
  EXPECT_EQ(problems(set), "");
}

TEST(Check, HostsAndRoutes) {
  expect_cases({
      {"name: expected \"<table>/<host>\"", [](ResourceSet& s) { s.mutable_virtual_hosts(0)->set_name("x"); }},
      {"host: \"a b\" is no host",
       [](ResourceSet& s) {
         s.mutable_virtual_hosts(0)->set_name("web/a b");
         s.mutable_virtual_hosts(0)->set_host("a b");
       }},
      {"aliases[0]: expected lower case", [](ResourceSet& s) { s.mutable_virtual_hosts(0)->add_aliases("Shop.example.com"); }},
      {"routes[1].name: another route", [](ResourceSet& s) { *s.mutable_virtual_hosts(0)->add_routes() = s.virtual_hosts(0).routes(0); }},
      {"routes[0].action: expected one of", [](ResourceSet& s) { route_of(s).clear_action(); }},
      {"routes[0].match.prefix: a prefix ends without", [](ResourceSet& s) { route_of(s).mutable_match()->set_prefix("/a/"); }},
      {"routes[0].match.grpc: service and method are the path", [](ResourceSet& s) { route_of(s).mutable_match()->mutable_grpc(); }},
      {"routes[0].match.query[0].name: expected a name", [](ResourceSet& s) { route_of(s).mutable_match()->add_query(); }},
      {"routes[0].match.headers[0].value: expected one of exact",
       [](ResourceSet& s) {
         HeaderMatch& match = *route_of(s).mutable_match()->add_headers();
         match.set_name("x");
         match.mutable_value();
       }},
      {"routes[0].proxy.choices[0].backend: there are only 1",
       [](ResourceSet& s) {
         BackendChoice& choice = *route_of(s).mutable_proxy()->add_choices();
         choice.mutable_header()->set_name("x");
         choice.set_backend(1);
       }},
      {"routes[0].proxy.backends[0].filters[0]: only header and rewrite",
       [](ResourceSet& s) { route_of(s).mutable_proxy()->mutable_backends(0)->add_filters()->mutable_body_limit(); }},
      {"routes[0].proxy.retry.statuses: status codes",
       [](ResourceSet& s) { route_of(s).mutable_proxy()->mutable_retry()->add_on(RetryPolicy::STATUS); }},
      {"routes[0].proxy.affinity.cookie: expected a cookie name", [](ResourceSet& s) { route_of(s).mutable_proxy()->mutable_affinity(); }},
      {"routes[0].static_files.root: expected an absolute folder", [](ResourceSet& s) { route_of(s).mutable_static_files()->set_root("x"); }},
  });
}

TEST(Check, Filters) {
  expect_cases({
      {"filters[0].filter: expected a kind", [](ResourceSet& s) { filter_of(s).set_name("x"); }},
      {"filters[0].phase: this filter runs in PHASE_SIZE",
       [](ResourceSet& s) {
         HttpFilter& filter = filter_of(s);
         filter.mutable_body_limit();
         filter.set_phase(PHASE_RESPONSE);
       }},
      {"rewrite.full: $3: the regular expression has only 1 groups", [](ResourceSet& s) { filter_of(s).mutable_rewrite()->set_full("/$3"); }},
      {"rewrite.regex.replacement: refers to a group",
       [](ResourceSet& s) {
         filter_of(s).mutable_rewrite()->mutable_regex()->set_pattern("x");
         route_of(s).mutable_filters(0)->mutable_rewrite()->mutable_regex()->set_replacement("$1");
       }},
      {"redirect.location: expected either", [](ResourceSet& s) { filter_of(s).mutable_redirect(); }},
      {"basic_auth.users: expected at least one user", [](ResourceSet& s) { filter_of(s).mutable_basic_auth(); }},
      {"basic_auth.users[0].value: expected a bcrypt",
       [](ResourceSet& s) {
         NameValue& user = *filter_of(s).mutable_basic_auth()->add_users();
         user.set_name("a");
         user.set_value("secret");
       }},
      {"rate_limit.requests: expected a number", [](ResourceSet& s) { filter_of(s).mutable_rate_limit(); }},
      {"ip_access.deny[0]: \"x\" is no address range", [](ResourceSet& s) { filter_of(s).mutable_ip_access()->add_deny("x"); }},
      {"cors.allow_methods[0]: expected a method", [](ResourceSet& s) { filter_of(s).mutable_cors()->add_allow_methods("a b"); }},
      {"compress.encodings[0]: expected gzip", [](ResourceSet& s) { filter_of(s).mutable_compress()->add_encodings("lz4"); }},
      {"jwt_auth.algorithms[0]: expected an algorithm", [](ResourceSet& s) { filter_of(s).mutable_jwt_auth()->add_algorithms("none"); }},
      {"jwt_auth.algorithms[0]: symmetric", [](ResourceSet& s) { filter_of(s).mutable_jwt_auth()->add_algorithms("HS256"); }},
      {"jwt_auth.jwks: expected either a key set", [](ResourceSet& s) { filter_of(s).mutable_jwt_auth(); }},
      {"external_auth.upstream: expected the name", [](ResourceSet& s) { filter_of(s).mutable_external_auth(); }},
      {"error_pages.statuses: expected the status codes", [](ResourceSet& s) { filter_of(s).mutable_error_pages(); }},
      {"request_headers.set[0].value: $status is known only once",
       [](ResourceSet& s) {
         NameValue& mod = *filter_of(s).mutable_request_headers()->add_set();
         mod.set_name("x");
         mod.set_value("$status");
       }},
  });
}

// Each kind of filter has a phase; a kind added without one would run nowhere.
TEST(Check, EveryFilterHasAPhase) {
  const auto* oneof = HttpFilter::descriptor()->FindOneofByName("filter");
  for (int i = 0; i < oneof->field_count(); ++i) {
    HttpFilter filter;
    filter.GetReflection()->MutableMessage(&filter, oneof->field(i));
    EXPECT_NE(natural_phase(filter), FILTER_PHASE_UNSPECIFIED) << oneof->field(i)->name();
  }
}

TEST(Check, Upstreams) {
  expect_cases({
      {"upstream \"app\": protocol: expected HTTP1", [](ResourceSet& s) { s.mutable_upstreams(0)->clear_protocol(); }},
      {"tls: datagrams are not encrypted",
       [](ResourceSet& s) {
         s.mutable_upstreams(0)->set_protocol(UPSTREAM_DATAGRAM);
         s.mutable_upstreams(0)->mutable_tls();
       }},
      {"passive_health.max_ejected_percent", [](ResourceSet& s) { s.mutable_upstreams(0)->mutable_passive_health()->set_max_ejected_percent(101); }},
      {"endpoints[0].port: expected a port", [](ResourceSet& s) { s.mutable_endpoint_shards(0)->mutable_upstreams(0)->set_port(0); }},
      {"endpoints[0].host: \"a b\" is neither", [](ResourceSet& s) { s.mutable_endpoint_shards(0)->mutable_endpoints(0)->set_host("a b"); }},
      {"endpoints[0].unix_path: an endpoint has either", [](ResourceSet& s) { s.mutable_endpoint_shards(0)->mutable_endpoints(0)->set_unix_path("/x"); }},
      {"ticket_keys \"t\": current: expected an index", [](ResourceSet& s) { s.mutable_ticket_keys(0)->set_current(1); }},
      {"ticket_keys \"t\": keys[0].secret: expected 64", [](ResourceSet& s) { s.mutable_ticket_keys(0)->mutable_keys(0)->set_secret("x"); }},
  });
}

TEST(Check, Secrets) {
  const auto with = [](const std::string& chain, const std::string& key) {
    return [chain, key](ResourceSet& s) {
      s.mutable_tls_secrets(0)->set_chain_pem(chain);
      s.mutable_tls_secrets(0)->set_key_pem(key);
    };
  };
  const auto& good = json::material("good");
  const auto& other = json::material("other");
  expect_cases({
      {"tls_secret \"cert\": key_pem: the key does not belong", with(good.chain, other.key)},
      {"chain_pem: no certificate in it", with("x", good.key)},
      {"key_pem: no private key can be read", with(good.chain, "x")},
      {"chain_pem: there is a key without", with("", good.key)},
      {"key_pem: there is a certificate without", with(good.chain, "")},
      {"expected a certificate chain", with("", "")},
      {"chain_pem: certificate 2 cannot be read",
       with(good.chain + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", good.key)},
      {"warning: chain_pem: certificate 2 did not issue certificate 1", with(good.chain + other.chain, good.key)},
      {"warning: chain_pem: the certificate has expired", with(json::material("expired").chain, json::material("expired").key)},
      {"warning: chain_pem: the certificate is not valid yet", with(json::material("future").chain, json::material("future").key)},
      {"chain_pem: a key of 1024 bits", with(json::material("weak").chain, json::material("weak").key)},
      {"crl_pem: no revocation list", [](ResourceSet& s) { s.mutable_tls_secrets(0)->set_crl_pem("x"); }},
  });
}

TEST(Check, KeysNeverShowInProblems) {
  ResourceSet set = good_set();
  set.mutable_tls_secrets(0)->set_key_pem("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n");
  EXPECT_EQ(problems(set).find("c2VjcmV0"), std::string::npos);
}

TEST(Check, Zones) {
  const auto zone = [](ResourceSet& s) -> DnsZone& {
    DnsZone& added = *s.add_dns_zones();
    added.set_name("z");
    added.set_origin("lan.example");
    return added;
  };
  expect_cases({
      {"dns_zone \"z\": names[0].name: \"x.other\" does not lie in", [&](ResourceSet& s) { zone(s).add_names()->set_name("x.other"); }},
      {"origin: \"a..b\" is no domain name", [&](ResourceSet& s) { zone(s).set_origin("a..b"); }},
      {"names: a zone comes from a master file or",
       [&](ResourceSet& s) {
         DnsZone& z = zone(s);
         z.set_master_file("x");
         z.add_names()->set_name("lan.example");
       }},
      {"master_file: zone.db:1:", [&](ResourceSet& s) {
         DnsZone& z = zone(s);
         z.set_master_file_path("zone.db");
         z.set_master_file("www A 192.0.2.256\n");
       }},
      {"master_file: zone.db:2: www.lan.example. CNAME", [&](ResourceSet& s) {
         DnsZone& z = zone(s);
         z.set_master_file_path("zone.db");
         z.set_master_file("@ SOA ns admin 1 1 1 1 1\nwww A 192.0.2.1\nwww CNAME x\n");
       }},
      {"records[0]: expected a record", [&](ResourceSet& s) {
         DnsName& name = *zone(s).add_names();
         name.set_name("lan.example");
         name.add_records();
       }},
  });
}

TEST(Normalize, IsIdempotentAndLeavesNothingUnspecified) {
  ResourceSet once = good_set();
  normalize(once);
  ResourceSet twice = once;
  normalize(twice);
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(once, twice));
  EXPECT_EQ(once.upstreams(0).balance().policy(), BALANCE_ROUND_ROBIN);
  EXPECT_EQ(once.upstreams(0).retry().attempts(), 2U);
  EXPECT_EQ(once.virtual_hosts(0).order(), MATCH_TREE);
  EXPECT_EQ(once.endpoint_shards(0).endpoints(0).weight(), 1U);
  EXPECT_TRUE(once.endpoint_shards(0).endpoints(0).serving());
  EXPECT_EQ(once.listeners(1).forward(0).timeout().seconds(), 60);
}

TEST(Normalize, ListenerOverSettings) {
  ResourceSet set = good_set();
  set.mutable_settings()->mutable_timeouts()->mutable_idle()->set_seconds(7);
  set.mutable_settings()->mutable_timeouts()->mutable_header()->set_seconds(8);
  set.mutable_listeners(0)->mutable_timeouts()->mutable_header()->set_nanos(5);
  normalize(set);
  EXPECT_EQ(set.listeners(0).timeouts().idle().seconds(), 7);
  EXPECT_EQ(set.listeners(0).timeouts().header().seconds(), 0);
  EXPECT_EQ(set.listeners(0).timeouts().header().nanos(), 5);
}

}  // namespace
}  // namespace headgate::check
