// The whole way of a dataplane: a token becomes a certificate, the certificate a stream, while its Pod runs. And of a
// replica: its serving certificate opens a Relay to the leader.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>

#include "controlplane/identity/caller_authenticator.h"
#include "controlplane/identity/service.h"
#include "controlplane/publish/server.h"
#include "tests/controlplane/identity/identity_fixture.h"
#include "tests/controlplane/publish/scripted_dataplane.h"

namespace headgate::controller {
namespace {

namespace cv = control::v1;
using identity::PodStanding;

constexpr const char* kServerName = "headgate-controller.headgate.svc";
const identity::WorkloadName kController{"cluster.local", "headgate", "headgate-controller"};

class Seen {
 public:
  void add(const publish::FactsPtr& facts) {
    const std::lock_guard lock(mutex_);
    nodes_.insert(facts->node().id());
    wake_.notify_all();
  }
  bool wait(const std::string& node) {
    std::unique_lock lock(mutex_);
    return wake_.wait_for(lock, std::chrono::seconds(20), [&] { return nodes_.contains(node); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::set<std::string> nodes_;
};

class StreamIdentityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(authority_.refresh(true));
    reviewer_.answers["good"] = identity::good_review();
  }
  identity::CallerRules rules() {
    identity::CallerRules rules;
    rules.authority = &authority_;
    rules.tokens = &tokens_;
    rules.replica = kController;
    rules.standing = [this](const publish::Caller& caller) {
      EXPECT_EQ(caller.pod_uid, "0f4f-77");
      return standing_.load();
    };
    return rules;
  }
  std::unique_ptr<publish::Server> serve(publish::Authenticator& authenticator, Seen* seen = nullptr) {
    const auto pair =
        authority_.issue_server({.dns_names = {kServerName}, .workload = kController}, std::chrono::hours(24));
    EXPECT_TRUE(pair);
    publish::ServerOptions options;
    options.address = "127.0.0.1:0";
    options.id = "replica";
    options.certificate = {pair->chain_pem, pair->key_pem};
    options.authenticator = &authenticator;
    options.services = {&service_};
    if (seen != nullptr) options.on_change = [seen](const publish::FactsPtr& facts) { seen->add(facts); };
    std::string problem;
    auto server = publish::Server::start(std::move(options), problem);
    EXPECT_NE(server, nullptr) << problem;
    server->publish("set", std::make_shared<translate::Output>());
    return server;
  }
  static std::string address_of(const publish::Server& server) { return "127.0.0.1:" + std::to_string(server.port()); }
  // With the token "good", as a dataplane that starts.
  cv::CertifyResponse certify(const publish::Server& server) {
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride(kServerName);
    const auto stub = cv::Identity::NewStub(grpc::CreateCustomChannel(
        address_of(server), grpc::SslCredentials({.pem_root_certs = authority_.roots_pem()}), arguments));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    context.AddMetadata("authorization", "Bearer good");
    cv::CertifyRequest request;
    request.set_csr_der(identity::make_request(folder_));
    request.set_pod_uid("0f4f-77");
    cv::CertifyResponse response;
    const grpc::Status status = stub->Certify(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  std::unique_ptr<publish::ScriptedDataplane> dial(const publish::Server& server, const cv::CertifyResponse& certified) {
    return std::make_unique<publish::ScriptedDataplane>(
        address_of(server), "n",
        grpc::SslCredentials({.pem_root_certs = certified.roots_pem(),
                              .pem_private_key = identity::read_whole(folder_.at("client.key")),
                              .pem_cert_chain = certified.chain_pem()}),
        "", kServerName);
  }

  test::TempFolder folder_;
  identity::MemoryStore store_;
  identity::Authority authority_{{.store = &store_}};
  identity::ScriptedReviewer reviewer_;
  identity::TokenVerifier tokens_{reviewer_};
  identity::IdentityService service_{authority_, tokens_};
  std::atomic<PodStanding> standing_ = PodStanding::kRuns;
};

TEST_F(StreamIdentityTest, ATokenBecomesAStreamWhileThePodRuns) {
  identity::CallerAuthenticator authenticator(rules());
  const auto server = serve(authenticator);
  const cv::CertifyResponse certified = certify(*server);
  cv::Push push;
  EXPECT_TRUE(dial(*server, certified)->join(push));

  standing_ = PodStanding::kUnknown;
  auto unknown = dial(*server, certified);
  EXPECT_FALSE(unknown->join(push));
  const grpc::Status later = unknown->status();
  EXPECT_EQ(later.error_code(), grpc::StatusCode::UNAVAILABLE) << "it may be new: come back";
  EXPECT_NE(later.error_message().find("the Pod is not known"), std::string::npos) << later.error_message();

  standing_ = PodStanding::kEnded;
  auto ended = dial(*server, certified);
  EXPECT_FALSE(ended->join(push));
  const grpc::Status never = ended->status();
  EXPECT_EQ(never.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_NE(never.error_message().find("the Pod has ended"), std::string::npos) << never.error_message();
}

TEST_F(StreamIdentityTest, AReplicaRelaysWithItsServingCertificateAndKeepsOnAfterItsRenewal) {
  identity::CallerAuthenticator authenticator(rules());
  Seen seen;
  const auto leader = serve(authenticator, &seen);
  const auto other = serve(authenticator);
  const cv::CertifyResponse certified = certify(*other);
  auto first = dial(*other, certified);
  cv::Push push;
  cv::Hello hello;
  hello.mutable_node()->set_id("before");
  ASSERT_TRUE(first->join(push, hello));
  other->follow(address_of(*leader), authority_.roots_pem(), kServerName);
  EXPECT_TRUE(seen.wait("before"));

  const auto renewed =
      authority_.issue_server({.dns_names = {kServerName}, .workload = kController}, std::chrono::hours(24));
  ASSERT_TRUE(renewed);
  ASSERT_TRUE(other->set_certificate({renewed->chain_pem, renewed->key_pem}));
  auto second = dial(*other, certified);
  hello.mutable_node()->set_id("after");
  ASSERT_TRUE(second->join(push, hello));
  EXPECT_TRUE(seen.wait("after"));
}

}  // namespace
}  // namespace headgate::controller
