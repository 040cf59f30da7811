// The real server and dataplanes that say what the test tells them to.
#include "controlplane/publish/server.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "tests/controlplane/publish/scripted_dataplane.h"
#include "tests/support/stream/resource_output.h"
#include "tests/support/test_certificates.h"

namespace headgate::publish {
namespace {

namespace cv = control::v1;

// Waits for facts that fit, told by on_change.
class FactsWatch {
 public:
  std::function<void(const FactsPtr&)> callback() {
    return [this](const FactsPtr& facts) {
      const std::lock_guard lock(mutex_);
      all_.push_back(facts);
      wake_.notify_all();
    };
  }
  template <typename Fits>
  FactsPtr wait(Fits fits) {
    std::unique_lock lock(mutex_);
    FactsPtr found;
    wake_.wait_for(lock, std::chrono::seconds(20), [&] {
      for (const FactsPtr& one : all_) {
        if (fits(*one)) found = one;
      }
      return found != nullptr;
    });
    return found;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<FactsPtr> all_;
};

class CertificateNames final : public Authenticator {
 public:
  Result<Caller> authenticate(const Credentials& shown) override {
    if (shown.bearer_token == "unsure") return Error{.code = Errc::kTimeout, .detail = "the API does not answer"};
    if (shown.bearer_token == "replica") return Caller{.part = Caller::Part::kReplica};
    if (shown.bearer_token == "app") return Caller{.namespace_name = "shop", .service_account = "app"};
    if (!shown.certificate_chain_pem.empty()) {
      certificates.push_back(shown.certificate_chain_pem);
      return Caller{};
    }
    return Error{.code = Errc::kDenied, .detail = "unknown"};
  }
  std::vector<std::string> certificates;
};

std::shared_ptr<const translate::Output> hosts(size_t count, const std::string& text = "x") {
  auto output = std::make_shared<translate::Output>();
  for (auto& resource : testing_support::many_hosts_base(8080, count)) output->resources.set(std::move(resource));
  for (size_t i = 0; i < count; ++i) output->resources.set(testing_support::one_host(i, text));
  return output;
}

std::unique_ptr<Server> plain_server(ServerOptions options = {}) {
  options.address = "127.0.0.1:0";
  options.plaintext = true;
  if (options.id.empty()) options.id = "one";
  std::string problem;
  auto server = Server::start(std::move(options), problem);
  EXPECT_NE(server, nullptr) << problem;
  return server;
}

std::string address_of(const Server& server) { return "127.0.0.1:" + std::to_string(server.port()); }

TEST(Server, BeforeAnythingIsPublishedNobodyIsToldThatAllIsGone) {
  const auto server = plain_server();
  ScriptedDataplane early(address_of(*server), "n");
  ASSERT_TRUE(early.hello());
  cv::ServerMessage message;
  EXPECT_FALSE(early.read(message));
  EXPECT_EQ(early.status().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(Server, PushAckChange) {
  FactsWatch watch;
  const auto server = plain_server({.on_change = watch.callback()});
  server->publish("gw", hosts(2));
  ScriptedDataplane dataplane(address_of(*server), "n");
  cv::Push push;
  cv::ServerMessage message;
  ASSERT_TRUE(dataplane.hello());
  ASSERT_TRUE(dataplane.read(message));
  EXPECT_EQ(message.welcome().server_id(), "one");
  ASSERT_TRUE(dataplane.read_push(push));
  EXPECT_EQ(push.upsert_size(), 8);
  EXPECT_TRUE(push.initial_complete());
  uint64_t digest = 0;
  for (const auto& resource : push.upsert()) digest ^= resource.version();
  EXPECT_EQ(digest, server->digest("gw"));
  cv::Reject reject;
  reject.mutable_key()->set_name("web/host-1.example.test");
  ASSERT_TRUE(dataplane.ack(push.push_id(), digest, {reject}));
  const FactsPtr facts = watch.wait([&](const cv::ProxyFacts& one) { return one.digest() == digest; });
  ASSERT_NE(facts, nullptr);
  EXPECT_EQ(facts->set(), "gw");
  EXPECT_EQ(facts->rejects_size(), 1);
  EXPECT_EQ(server->facts().size(), 1U);
  server->publish("gw", hosts(2, "y"));
  ASSERT_TRUE(dataplane.read_push(push));
  EXPECT_EQ(push.upsert_size(), 2) << "only the two hosts have changed";
  ASSERT_TRUE(dataplane.ack(push.push_id(), 0));
  server->publish("gw", hosts(1, "y"));
  ASSERT_TRUE(dataplane.read_push(push));
  EXPECT_EQ(push.upsert_size(), 0);
  EXPECT_EQ(push.remove_size(), 3) << "host, upstream, shard";
  server->withdraw("gw");
  EXPECT_FALSE(dataplane.read(message));
  EXPECT_EQ(dataplane.status().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_NE(watch.wait([](const cv::ProxyFacts& one) { return one.gone(); }), nullptr);
  EXPECT_TRUE(server->facts().empty());
  EXPECT_EQ(server->streams(), 0U);
}

TEST(Server, SetsAreApart) {
  const auto server = plain_server();
  server->publish("a", hosts(1));
  server->publish("b", hosts(3));
  cv::Hello asks;
  asks.mutable_node()->set_id("n");
  asks.mutable_node()->set_config("b");
  ScriptedDataplane dataplane(address_of(*server), "n");
  cv::Push push;
  ASSERT_TRUE(dataplane.join(push, asks));
  EXPECT_EQ(push.upsert_size(), 11);
  ScriptedDataplane undecided(address_of(*server), "m");
  ASSERT_TRUE(undecided.hello());
  cv::ServerMessage message;
  EXPECT_FALSE(undecided.read(message));
  EXPECT_EQ(undecided.status().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

// The versions are hashes: a dataplane moves from one replica to another, and nothing moves with it.
TEST(Server, ResumeAtAnotherReplicaSendsNothingTwice) {
  const auto first = plain_server({.id = "first"});
  const auto second = plain_server({.id = "second"});
  first->publish("gw", hosts(5));
  second->publish("gw", hosts(5));
  cv::Push push;
  cv::Hello knows;
  knows.mutable_node()->set_id("n");
  {
    ScriptedDataplane dataplane(address_of(*first), "n");
    ASSERT_TRUE(dataplane.join(push));
    for (const auto& resource : push.upsert()) {
      cv::KnownVersion& known = *knows.add_known();
      *known.mutable_key() = resource.key();
      known.set_version(resource.version());
    }
  }
  ScriptedDataplane again(address_of(*second), "n");
  ASSERT_TRUE(again.join(push, knows));
  EXPECT_EQ(push.upsert_size() + push.remove_size(), 0);
  EXPECT_TRUE(push.initial_complete());
  // A replica whose cache is older than what the dataplane has takes the newer away: then it is sent once, not in turns.
  second->publish("gw", hosts(4));
  ASSERT_TRUE(again.read_push(push));
  EXPECT_EQ(push.remove_size(), 3);
}

TEST(Server, ASlowReaderIsLetGoAndNobodyWaitsForIt) {
  FactsWatch watch;
  const auto server = plain_server({.on_change = watch.callback(), .slow_after = std::chrono::milliseconds(300)});
  auto output = std::make_shared<translate::Output>();
  for (int i = 0; i < 64; ++i) {
    config::v1::DnsZone zone;
    zone.set_name("z" + std::to_string(100 + i));
    zone.set_origin(std::string(1 << 20, 'x'));
    output->resources.set(translate::encode(cv::KIND_DNS_ZONE, zone.name(), zone));
  }
  server->publish("gw", output);
  ScriptedDataplane slow(address_of(*server), "slow");
  ASSERT_TRUE(slow.hello());
  // It reads nothing: 64 MiB do not fit into any buffer.
  EXPECT_NE(watch.wait([](const cv::ProxyFacts& one) { return one.gone() && one.node().id() == "slow"; }), nullptr);
  server->publish("gw", hosts(1));
  ScriptedDataplane good(address_of(*server), "good");
  cv::Push push;
  EXPECT_TRUE(good.join(push));
}

TEST(Server, APushWithoutAnAnswerEndsTheStream) {
  const auto server = plain_server({.unanswered_after = std::chrono::milliseconds(200)});
  server->publish("gw", hosts(1));
  ScriptedDataplane mute(address_of(*server), "mute");
  cv::Push push;
  cv::ServerMessage message;
  ASSERT_TRUE(mute.hello() && mute.read(message) && mute.read_push(push));
  EXPECT_FALSE(mute.read(message));
  EXPECT_FALSE(mute.status().ok());
}

TEST(Server, OldStreamsAreSentAway) {
  const auto server = plain_server({.max_connection_age = std::chrono::seconds(1)});
  server->publish("gw", hosts(1));
  ScriptedDataplane dataplane(address_of(*server), "n");
  cv::Push push;
  ASSERT_TRUE(dataplane.join(push));
  cv::ServerMessage message;
  ASSERT_TRUE(dataplane.read(message));
  EXPECT_TRUE(message.has_goodbye());
  EXPECT_FALSE(dataplane.read(message));
  EXPECT_TRUE(dataplane.status().ok());
}

TEST(Server, ViolationsEndTheStream) {
  const auto server = plain_server();
  server->publish("gw", hosts(1));
  ScriptedDataplane dataplane(address_of(*server), "n");
  cv::Push push;
  ASSERT_TRUE(dataplane.join(push));
  ASSERT_TRUE(dataplane.ack(77, 0));
  cv::ServerMessage message;
  EXPECT_FALSE(dataplane.read(message));
}

TEST(Server, RefusesToStartWithoutProtection) {
  std::string problem;
  EXPECT_EQ(Server::start({.address = "0.0.0.0:0", .plaintext = true}, problem), nullptr);
  EXPECT_EQ(Server::start({.address = "127.0.0.1:0"}, problem), nullptr);
  CertificateNames names;
  EXPECT_EQ(Server::start({.address = "127.0.0.1:0", .certificate = {"x", "y"}, .authenticator = &names}, problem), nullptr);
}

class TlsServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const testing::PemPair pair = authority_.issue({.alternative_names = {"DNS:control.test"}});
    std::string problem;
    server_ = Server::start({.address = "127.0.0.1:0",
                             .id = "tls",
                             .certificate = {pair.chain, pair.key},
                             .authenticator = &names_,
                             .on_change = watch_.callback()},
                            problem);
    ASSERT_NE(server_, nullptr) << problem;
    server_->publish("gw", hosts(1));
  }
  std::unique_ptr<ScriptedDataplane> dial(const std::string& token, const testing::PemPair& own = {}) const {
    return dial_trusting(authority_, token, own);
  }
  std::unique_ptr<ScriptedDataplane> dial_trusting(const testing::TestAuthority& authority, const std::string& token,
                                                   const testing::PemPair& own = {}) const {
    return std::make_unique<ScriptedDataplane>(
        address_of(*server_), "n",
        grpc::SslCredentials({.pem_root_certs = authority.pem(), .pem_private_key = own.key, .pem_cert_chain = own.chain}),
        token, "control.test");
  }
  static grpc::StatusCode outcome(ScriptedDataplane& dataplane, const cv::Hello& hello = {}) {
    cv::Push push;
    if (dataplane.join(push, hello)) return grpc::StatusCode::OK;
    return dataplane.status().error_code();
  }

  testing::TestAuthority authority_{"control"};
  CertificateNames names_;
  FactsWatch watch_;
  std::unique_ptr<Server> server_;
};

TEST_F(TlsServerTest, TokensAndWhatTheNodeClaims) {
  EXPECT_EQ(outcome(*dial("")), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(outcome(*dial("wrong")), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(outcome(*dial("unsure")), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(outcome(*dial("replica")), grpc::StatusCode::PERMISSION_DENIED) << "a replica opens no Stream";
  cv::Hello hello;
  hello.mutable_node()->set_id("n");
  hello.mutable_node()->set_namespace_("shop");
  hello.mutable_node()->set_service_account("app");
  EXPECT_EQ(outcome(*dial("app"), hello), grpc::StatusCode::OK);
  hello.mutable_node()->set_service_account("admin");
  EXPECT_EQ(outcome(*dial("app"), hello), grpc::StatusCode::PERMISSION_DENIED);
  hello.mutable_node()->set_service_account("app");
  hello.mutable_node()->set_namespace_("other");
  EXPECT_EQ(outcome(*dial("app"), hello), grpc::StatusCode::PERMISSION_DENIED);
}

std::string normal(std::string pem) {
  std::erase_if(pem, [](char c) { return c == '\n' || c == '\r'; });
  return pem;
}

TEST_F(TlsServerTest, CertificatesOfClientsReachTheAuthenticator) {
  const testing::PemPair own = authority_.issue({.common_name = "dataplane", .alternative_names = {"URI:spiffe://c/ns/a/sa/b"}});
  EXPECT_EQ(outcome(*dial("", own)), grpc::StatusCode::OK);
  ASSERT_EQ(names_.certificates.size(), 1U);
  EXPECT_TRUE(names_.certificates[0].starts_with("-----BEGIN CERTIFICATE-----"));
  // Its own first, whatever it sent besides (gRPC's client sends the authority, too).
  EXPECT_TRUE(normal(names_.certificates[0]).starts_with(normal(own.chain)));
}

TEST_F(TlsServerTest, TheCertificateOfTheServerIsReplacedWithoutANewPort) {
  const testing::TestAuthority next("next");
  EXPECT_FALSE(server_->set_certificate({"not", "pem"}));
  EXPECT_EQ(outcome(*dial("app")), grpc::StatusCode::OK) << "the one before goes on";
  const testing::PemPair pair = next.issue({.alternative_names = {"DNS:control.test"}});
  ASSERT_TRUE(server_->set_certificate({pair.chain, pair.key}));
  EXPECT_EQ(outcome(*dial_trusting(next, "wrong")), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(outcome(*dial("wrong")), grpc::StatusCode::UNAVAILABLE) << "the old authority no longer signs for it";
}

TEST(Relay, TheLeaderKnowsWhatOtherReplicasSee) {
  FactsWatch leader_watch;
  const auto leader = plain_server({.id = "leader", .on_change = leader_watch.callback()});
  const auto other = plain_server({.id = "other"});
  leader->publish("gw", hosts(1));
  other->publish("gw", hosts(1));
  // One dataplane before the relay begins, one after.
  cv::Push push;
  ScriptedDataplane early(address_of(*other), "early");
  ASSERT_TRUE(early.join(push));
  other->follow(address_of(*leader));
  EXPECT_NE(leader_watch.wait([](const cv::ProxyFacts& one) { return one.node().id() == "early"; }), nullptr);
  auto late = std::make_unique<ScriptedDataplane>(address_of(*other), "late");
  ASSERT_TRUE(late->hello());
  cv::ServerMessage message;
  ASSERT_TRUE(late->read(message));
  ASSERT_TRUE(late->read_push(push));
  cv::Reject reject;
  reject.set_message("bad");
  ASSERT_TRUE(late->ack(push.push_id(), 5, {reject}));
  const FactsPtr facts = leader_watch.wait(
      [](const cv::ProxyFacts& one) { return one.node().id() == "late" && one.rejects_size() == 1; });
  ASSERT_NE(facts, nullptr);
  EXPECT_EQ(facts->replica(), "other");
  EXPECT_EQ(leader->facts().size(), 2U);
  late = nullptr;
  EXPECT_NE(leader_watch.wait([](const cv::ProxyFacts& one) { return one.node().id() == "late" && one.gone(); }), nullptr);
  // The replica goes: so do its dataplanes.
  other->follow("");
  EXPECT_NE(leader_watch.wait([](const cv::ProxyFacts& one) { return one.node().id() == "early" && one.gone(); }), nullptr);
  EXPECT_TRUE(leader->facts().empty());
}

TEST(Server, FiftyThousandResources) {
  const auto server = plain_server();
  server->publish("gw", hosts(16'700));
  ScriptedDataplane dataplane(address_of(*server), "n");
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(dataplane.hello());
  cv::ServerMessage message;
  ASSERT_TRUE(dataplane.read(message));
  cv::Push push;
  int parts = 0;
  ASSERT_TRUE(dataplane.read_push(push, &parts));
  EXPECT_EQ(push.upsert_size(), 3 * 16'700 + 2);
  std::printf("%d resources, %zu bytes in %d parts, %lld ms\n", push.upsert_size(), push.ByteSizeLong(), parts,
              static_cast<long long>(
                  std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count()));
  ASSERT_TRUE(dataplane.ack(push.push_id(), 0));
}

}  // namespace
}  // namespace headgate::publish
