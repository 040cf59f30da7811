#include "dataplane/control/resource_store.h"

#include <gtest/gtest.h>

#include "dataplane/control/last_good.h"
#include "proto/check/normalize.h"
#include "tests/dataplane/control/last_good_bytes.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_certificates.h"

namespace headgate::control {
namespace {

namespace cv = control::v1;
using config::v1::Listener;
using config::v1::Route;
using config::v1::RouteTable;
using config::v1::TlsSecret;
using config::v1::Upstream;
using config::v1::VirtualHost;

constexpr uint64_t kBad = 1000;  // added to versions of resources that are broken on purpose

template <typename Message>
cv::Resource resource(cv::Kind kind, const Message& message, uint64_t version) {
  cv::Resource made;
  made.mutable_key()->set_kind(kind);
  made.mutable_key()->set_name(message.name());
  made.set_version(version);
  made.set_body(message.SerializeAsString());
  made.add_origin()->set_name("object of " + message.name());
  made.add_origin()->set_name("another object");
  return made;
}

Listener listener(uint32_t port = 8080) {
  Listener made;
  made.set_name("web");
  made.set_address("127.0.0.1");
  made.set_port(port);
  made.set_transport(config::v1::LISTENER_TCP);
  made.set_protocol(config::v1::LISTENER_HTTP);
  made.set_route_table("web");
  return made;
}

RouteTable table() {
  RouteTable made;
  made.set_name("web");
  return made;
}

Upstream upstream(const std::string& name) {
  Upstream made;
  made.set_name(name);
  made.set_protocol(config::v1::UPSTREAM_HTTP1);
  return made;
}

Route& add_answer(VirtualHost& host, const std::string& name, const std::string& path, const std::string& body) {
  Route& route = *host.add_routes();
  route.set_name(name);
  route.mutable_match()->set_prefix(path);
  route.mutable_respond()->set_body(body);
  return route;
}

Route& add_proxy(VirtualHost& host, const std::string& name, const std::string& path, const std::string& to) {
  Route& route = *host.add_routes();
  route.set_name(name);
  route.mutable_match()->set_prefix(path);
  route.mutable_proxy()->add_backends()->set_upstream(to);
  return route;
}

VirtualHost host(const std::string& name = "a.example") {
  VirtualHost made;
  made.set_name("web/" + name);
  made.set_table("web");
  made.set_host(name);
  return made;
}

class ResourceStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    upsert(resource(cv::KIND_LISTENER, listener(), 1));
    upsert(resource(cv::KIND_ROUTE_TABLE, table(), 2));
    upsert(resource(cv::KIND_UPSTREAM, upstream("app"), 3));
  }

  void upsert(cv::Resource one) { *next_.add_upsert() = std::move(one); }
  void remove(cv::Kind kind, const std::string& name) {
    cv::ResourceKey& key = *next_.add_remove();
    key.set_kind(kind);
    key.set_name(name);
  }
  // Everything that waits in one Push, through to the end.
  void push() {
    ASSERT_TRUE(stage(false));
    ASSERT_TRUE(store_.begin(0));
    store_.commit();
  }
  bool stage(bool more) {
    next_.set_push_id(id_);
    next_.set_more(more);
    if (!more) ++id_;
    return store_.stage(std::exchange(next_, {}));
  }
  const VirtualHost* served(const std::string& name = "web/a.example") const {
    for (const VirtualHost& one : store_.trial().virtual_hosts()) {
      if (one.name() == name) return &one;
    }
    return nullptr;
  }
  const Route* served_route(const std::string& name) const {
    const VirtualHost* const one = served();
    for (int i = 0; one != nullptr && i < one->routes_size(); ++i) {
      if (one->routes(i).name() == name) return &one->routes(i);
    }
    return nullptr;
  }

  void write_down(const std::string& directory) const {
    auto file = LastGoodFile::in(directory);
    ASSERT_TRUE(file);
    for (const StoredPtr& stored : store_.stored()) {
      cv::Resource resource;
      if (!is_secret(stored->key.kind) && stored->fill(resource)) (*file)->add(resource);
    }
    EXPECT_TRUE((*file)->finish());
  }

  ResourceStore store_;
  cv::Push next_;
  uint64_t id_ = 1;
};

TEST_F(ResourceStoreTest, AWholePushServesAsItWasGiven) {
  VirtualHost one = host();
  add_proxy(one, "r", "/", "app");
  upsert(resource(cv::KIND_VIRTUAL_HOST, one, 4));
  push();
  EXPECT_TRUE(store_.rejects().empty());
  EXPECT_EQ(store_.digest(), 1U ^ 2U ^ 3U ^ 4U);
  EXPECT_EQ(store_.known().size(), 4U);
  EXPECT_EQ(store_.trial().listeners(0).backlog(), 1024U) << "defaults are filled in";
}

TEST_F(ResourceStoreTest, HalfAPushIsNeverUsed) {
  push();
  VirtualHost one = host();
  add_answer(one, "r", "/", "x");
  upsert(resource(cv::KIND_VIRTUAL_HOST, one, 4));
  ASSERT_TRUE(stage(true));
  EXPECT_FALSE(store_.has_whole_push());
  // A reload of the file comes between the parts.
  ASSERT_TRUE(store_.begin(0));
  EXPECT_EQ(served(), nullptr);
  store_.commit();
  // The stream breaks: another life sends the rest with the same id.
  store_.drop_staged();
  remove(cv::KIND_UPSTREAM, "app");
  push();
  EXPECT_EQ(served(), nullptr);
  EXPECT_EQ(store_.size(), 2U);
}

TEST_F(ResourceStoreTest, PartsAreOnePush) {
  ASSERT_TRUE(stage(true));
  VirtualHost one = host();
  add_answer(one, "r", "/", "x");
  upsert(resource(cv::KIND_VIRTUAL_HOST, one, 4));
  push();
  EXPECT_NE(served(), nullptr);
  EXPECT_EQ(store_.size(), 4U);
}

TEST_F(ResourceStoreTest, ViolationsOfTheProtocol) {
  upsert(resource(cv::KIND_ROUTE_TABLE, table(), 9));
  EXPECT_FALSE(stage(false)) << "the table twice";
  EXPECT_FALSE(store_.has_whole_push());
  cv::Push nameless;
  nameless.set_push_id(1);
  nameless.add_upsert()->set_version(1);
  EXPECT_FALSE(store_.stage(nameless));
  EXPECT_FALSE(store_.stage({})) << "no id";
  cv::Push one;
  one.set_push_id(1);
  ASSERT_TRUE(store_.stage(one));
  one.set_push_id(2);
  EXPECT_FALSE(store_.stage(one)) << "the first has no answer yet";
}

TEST_F(ResourceStoreTest, OneOfAHundredRoutesIsRejectedAlone) {
  VirtualHost one = host();
  for (int i = 0; i < 100; ++i) add_answer(one, "r" + std::to_string(i), "/" + std::to_string(i), "first");
  upsert(resource(cv::KIND_VIRTUAL_HOST, one, 4));
  push();
  for (Route& route : *one.mutable_routes()) route.mutable_respond()->set_body("second");
  one.mutable_routes(42)->mutable_respond()->set_status(9999);
  one.mutable_routes(42)->add_origin(1);
  upsert(resource(cv::KIND_VIRTUAL_HOST, one, 5));
  push();
  const auto rejects = store_.rejects();
  ASSERT_EQ(rejects.size(), 1U);
  EXPECT_TRUE(rejects[0].kept_previous());
  EXPECT_EQ(rejects[0].version(), 5U);
  EXPECT_TRUE(rejects[0].field_path().starts_with("routes[42]")) << rejects[0].field_path();
  ASSERT_EQ(rejects[0].origin_size(), 1);
  EXPECT_EQ(rejects[0].origin(0).name(), "another object") << "the one the Route was made from";
  EXPECT_EQ(served_route("r42")->respond().body(), "first") << "its last good version stays";
  EXPECT_EQ(served_route("r41")->respond().body(), "second");
  EXPECT_EQ(served()->routes_size(), 100);
  // Not known by its version, so that a controller sends it again.
  for (const cv::KnownVersion& known : store_.known()) {
    EXPECT_EQ(known.version() == 0, known.key().kind() == cv::KIND_VIRTUAL_HOST);
  }
  // Mended: nothing is left of it.
  one.mutable_routes(42)->mutable_respond()->set_status(200);
  upsert(resource(cv::KIND_VIRTUAL_HOST, one, 6));
  push();
  EXPECT_TRUE(store_.rejects().empty());
  EXPECT_EQ(served_route("r42")->respond().body(), "second");
}

TEST_F(ResourceStoreTest, ARouteToAnUpstreamThatIsMissingAnswers500UntilItComes) {
  VirtualHost one = host();
  add_answer(one, "fine", "/", "fine");
  add_proxy(one, "lost", "/lost", "nowhere");
  upsert(resource(cv::KIND_VIRTUAL_HOST, one, 4));
  push();
  ASSERT_EQ(store_.rejects().size(), 1U);
  EXPECT_FALSE(store_.rejects()[0].kept_previous());
  EXPECT_EQ(store_.rejects()[0].rule(), "reference");
  EXPECT_EQ(served_route("lost")->respond().status(), 500U);
  EXPECT_EQ(served_route("lost")->match().prefix(), "/lost") << "no wider route takes its requests";
  upsert(resource(cv::KIND_UPSTREAM, upstream("nowhere"), 7));
  push();
  EXPECT_TRUE(store_.rejects().empty());
  EXPECT_TRUE(served_route("lost")->has_proxy()) << "what was given before is tried again";
}

TEST_F(ResourceStoreTest, AnUpstreamThatGoesTakesItsRouteAlong) {
  VirtualHost one = host();
  add_answer(one, "fine", "/", "fine");
  add_proxy(one, "app", "/app", "app");
  upsert(resource(cv::KIND_VIRTUAL_HOST, one, 4));
  push();
  remove(cv::KIND_UPSTREAM, "app");
  push();
  EXPECT_EQ(served_route("app")->respond().status(), 500U);
  EXPECT_EQ(served_route("fine")->respond().body(), "fine");
  ASSERT_EQ(store_.rejects().size(), 1U);
  upsert(resource(cv::KIND_UPSTREAM, upstream("app"), 3));
  push();
  EXPECT_TRUE(served_route("app")->has_proxy());
}

TEST_F(ResourceStoreTest, AMatchThatIsBadLeavesTheRouteOut) {
  VirtualHost one = host();
  add_answer(one, "fine", "/", "fine");
  add_answer(one, "bad", "/x", "bad").mutable_match()->set_regex("(");
  upsert(resource(cv::KIND_VIRTUAL_HOST, one, 4));
  push();
  EXPECT_EQ(served_route("bad"), nullptr);
  EXPECT_NE(served_route("fine"), nullptr);
  ASSERT_EQ(store_.rejects().size(), 1U);
  EXPECT_FALSE(store_.rejects()[0].kept_previous());
}

TEST_F(ResourceStoreTest, AResourceThatCannotBeReadFallsBackOrIsLeftOut) {
  VirtualHost one = host();
  add_answer(one, "r", "/", "first");
  upsert(resource(cv::KIND_VIRTUAL_HOST, one, 4));
  push();
  cv::Resource broken = resource(cv::KIND_VIRTUAL_HOST, one, kBad);
  broken.set_body("\x0a\xff");
  upsert(broken);
  broken.mutable_key()->set_name("web/new");
  upsert(broken);
  cv::Resource renamed = resource(cv::KIND_UPSTREAM, upstream("app"), kBad);
  renamed.mutable_key()->set_name("other");
  upsert(renamed);
  cv::Resource strange = resource(cv::KIND_UPSTREAM, upstream("x"), kBad);
  strange.mutable_key()->set_kind(static_cast<cv::Kind>(77));
  upsert(strange);
  push();
  EXPECT_EQ(served_route("r")->respond().body(), "first");
  std::map<std::string, std::pair<std::string, bool>> seen;
  for (const cv::Reject& reject : store_.rejects()) seen[reject.key().name()] = {reject.rule(), reject.kept_previous()};
  EXPECT_EQ(seen.size(), 4U);
  EXPECT_EQ(seen["web/a.example"], std::pair(std::string("encoding"), true));
  EXPECT_EQ(seen["web/new"], std::pair(std::string("encoding"), false));
  EXPECT_EQ(seen["other"], std::pair(std::string("name"), false));
  EXPECT_EQ(seen["x"], std::pair(std::string("kind"), false));
}

TEST_F(ResourceStoreTest, ASecretOfOneTenantDoesNotTakeTheListenerFromAll) {
  const testing::TestAuthority authority("test");
  const auto secret = [&](const std::string& name) {
    const testing::PemPair pair = authority.issue({.alternative_names = {"DNS:" + name}});
    TlsSecret made;
    made.set_name(name);
    made.set_chain_pem(pair.chain);
    made.set_key_pem(pair.key);
    return made;
  };
  Listener secure = listener(8443);
  secure.set_protocol(config::v1::LISTENER_HTTPS);
  secure.mutable_tls()->add_certificates()->set_secret("lost.example");
  secure.mutable_tls()->add_certificates()->set_secret("good.example");
  upsert(resource(cv::KIND_TLS_SECRET, secret("good.example"), 11));
  next_.mutable_upsert()->erase(next_.mutable_upsert()->begin());
  upsert(resource(cv::KIND_LISTENER, secure, 12));
  push();
  ASSERT_EQ(store_.trial().listeners_size(), 1);
  ASSERT_EQ(store_.trial().listeners(0).tls().certificates_size(), 1);
  EXPECT_EQ(store_.trial().listeners(0).tls().certificates(0).secret(), "good.example");
  EXPECT_TRUE(store_.trial().listeners(0).tls().certificates(0).is_default());
  ASSERT_EQ(store_.rejects().size(), 1U);
  // A bad renewal keeps the old one.
  TlsSecret bad = secret("good.example");
  bad.set_key_pem(secret("other.example").key_pem());
  upsert(resource(cv::KIND_TLS_SECRET, bad, kBad));
  upsert(resource(cv::KIND_TLS_SECRET, secret("lost.example"), 13));
  push();
  EXPECT_EQ(store_.trial().listeners(0).tls().certificates_size(), 2);
  ASSERT_EQ(store_.rejects().size(), 1U);
  EXPECT_TRUE(store_.rejects()[0].kept_previous());
  EXPECT_NE(store_.trial().tls_secrets(0).key_pem(), bad.key_pem());
}

TEST_F(ResourceStoreTest, WhatTheBuilderRefusesIsBlamedOnOneResource) {
  VirtualHost one = host();
  add_answer(one, "fine", "/", "fine");
  add_answer(one, "bad", "/x", "bad");
  upsert(resource(cv::KIND_VIRTUAL_HOST, one, 4));
  ASSERT_TRUE(stage(false));
  ASSERT_TRUE(store_.begin(0));
  ASSERT_TRUE(store_.blame({{.kind = check::Kind::kVirtualHost,
                             .resource = "web/a.example",
                             .field_path = "bad",
                             .rule = "build",
                             .message = "cannot"}}));
  EXPECT_EQ(served_route("bad")->respond().status(), 500U);
  // And a socket that cannot be bound.
  ASSERT_TRUE(store_.blame({{.kind = check::Kind::kListener, .resource = "web", .rule = "bind", .message = "in use"}}));
  EXPECT_EQ(store_.trial().listeners_size(), 0);
  store_.commit();
  EXPECT_EQ(store_.rejects().size(), 2U);
  // Tried again with the next Push, whatever is in it.
  push();
  EXPECT_EQ(store_.trial().listeners_size(), 1);
  EXPECT_TRUE(store_.rejects().empty());
}

TEST_F(ResourceStoreTest, BlameOfNobodyRefusesThePushAndNothingElse) {
  push();
  VirtualHost one = host();
  add_answer(one, "r", "/", "x");
  upsert(resource(cv::KIND_VIRTUAL_HOST, one, 4));
  remove(cv::KIND_UPSTREAM, "app");
  ASSERT_TRUE(stage(false));
  ASSERT_TRUE(store_.begin(0));
  EXPECT_FALSE(store_.blame({}));
  EXPECT_FALSE(store_.blame({{.kind = check::Kind::kDnsZone, .resource = "never seen", .rule = "build", .message = "x"}}));
  store_.refuse("cannot be built");
  EXPECT_EQ(served(), nullptr);
  EXPECT_EQ(store_.trial().upstreams_size(), 1) << "the removal was refused, too";
  ASSERT_EQ(store_.rejects().size(), 1U);
  EXPECT_EQ(store_.rejects()[0].rule(), "push");
  EXPECT_FALSE(store_.on_trial());
}

TEST_F(ResourceStoreTest, AFileLiesBelowAndItsNamesAreTaken) {
  auto base = std::make_shared<config::v1::ResourceSet>();
  base->mutable_settings()->set_name("default");
  base->mutable_settings()->mutable_limits()->set_header_fields(77);
  *base->add_listeners() = listener(9999);
  base->mutable_listeners(0)->set_name("static");
  *base->add_route_tables() = table();
  check::normalize(*base);
  store_.set_base(base);
  config::v1::ProxySettings settings;
  settings.set_name("default");
  upsert(resource(cv::KIND_PROXY_SETTINGS, settings, 9));
  push();
  std::set<std::string> refused;
  for (const cv::Reject& reject : store_.rejects()) {
    refused.insert(reject.key().name());
    EXPECT_EQ(reject.rule(), "conflict");
  }
  EXPECT_EQ(refused, (std::set<std::string>{"web", "default"})) << "the table and the settings of the file win";
  EXPECT_EQ(store_.trial().listeners_size(), 2);
  EXPECT_EQ(store_.trial().listeners(1).limits().header_fields(), 77U) << "settings of the file count";
  // Without the file the stream has everything.
  store_.set_base(nullptr);
  ASSERT_TRUE(store_.begin(0));
  store_.commit();
  EXPECT_TRUE(store_.rejects().empty());
  EXPECT_EQ(store_.trial().listeners_size(), 1);
  EXPECT_EQ(store_.trial().listeners(0).limits().header_fields(), 128U);
}

TEST_F(ResourceStoreTest, SettingsOfTheStreamReachListenersThatWereThereBefore) {
  push();
  config::v1::ProxySettings settings;
  settings.set_name("all");
  settings.mutable_limits()->set_header_fields(55);
  upsert(resource(cv::KIND_PROXY_SETTINGS, settings, 9));
  push();
  EXPECT_EQ(store_.trial().listeners(0).limits().header_fields(), 55U);
  settings.set_name("second");
  upsert(resource(cv::KIND_PROXY_SETTINGS, settings, 10));
  push();
  ASSERT_EQ(store_.rejects().size(), 1U) << "there is one ProxySettings";
  remove(cv::KIND_PROXY_SETTINGS, "all");
  remove(cv::KIND_PROXY_SETTINGS, "second");
  push();
  EXPECT_EQ(store_.trial().listeners(0).limits().header_fields(), 128U);
}

TEST_F(ResourceStoreTest, LastGoodHoldsWhatServes) {
  VirtualHost one = host();
  add_answer(one, "fine", "/", "fine");
  add_proxy(one, "lost", "/lost", "nowhere");
  upsert(resource(cv::KIND_VIRTUAL_HOST, one, 4));
  config::v1::TicketKeys keys;
  keys.set_name("keys");
  push();
  const test::TempFolder folder;
  write_down(folder.path());
  auto bytes = read_last_good(folder.path());
  ASSERT_TRUE(bytes);
  EXPECT_EQ(*bytes, encode_last_good(all_that_serves(store_, false))) << "in pieces as at once";
  auto decoded = decode_last_good(*bytes);
  ASSERT_TRUE(decoded);
  ResourceStore other;
  decoded->set_push_id(1);
  ASSERT_TRUE(other.stage(*decoded));
  ASSERT_TRUE(other.begin(0));
  other.commit();
  EXPECT_EQ(other.trial().SerializeAsString(), store_.trial().SerializeAsString());
  EXPECT_TRUE(other.rejects().empty());
  // The host that was mended has another version than the controller's, so that the real one is sent again.
  for (const cv::KnownVersion& known : other.known()) {
    if (known.key().kind() == cv::KIND_VIRTUAL_HOST) {
      EXPECT_NE(known.version(), 4U);
    }
  }
}

TEST(LastGood, DamageIsNoticed) {
  cv::Push push;
  push.add_upsert()->set_version(7);
  std::string bytes = encode_last_good(push);
  ASSERT_TRUE(decode_last_good(bytes));
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] ^= 1;
    EXPECT_FALSE(decode_last_good(damaged)) << i;
    EXPECT_FALSE(decode_last_good(bytes.substr(0, i))) << i;
  }
  const test::TempFolder folder;
  EXPECT_EQ(read_last_good(folder.path()).error().code, Errc::kNotFound);
  EXPECT_FALSE(LastGoodFile::in(folder.at("missing")));
  { const auto given_up = LastGoodFile::in(folder.path()); }
  EXPECT_EQ(read_last_good(folder.path()).error().code, Errc::kNotFound) << "what was not finished is not there";
}

}  // namespace
}  // namespace headgate::control
