// service_test.cc -- Certify and the names of callers over real gRPC with TLS both ways.
#include "controlplane/identity/service.h"

#include <grpcpp/grpcpp.h>

#include "controlplane/identity/caller_authenticator.h"
#include "tests/controlplane/identity/identity_fixture.h"

namespace headgate::identity {
namespace {

using control::v1::CertifyRequest;
using control::v1::CertifyResponse;
using publish::Caller;
using std::chrono::hours;

class ServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(authority_.refresh(true));
    reviewer_.answers["good"] = good_review();
  }
  void TearDown() override {
    if (server_ != nullptr) server_->Shutdown();
  }

  // Client certificates are asked for and not verified by gRPC, as publish::Server does it.
  void start() {
    const KeyPair pair = *authority_.issue_server({.dns_names = {"headgate-controller.edge.svc"}}, hours(24));
    grpc::SslServerCredentialsOptions tls(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);
    tls.pem_key_cert_pairs.push_back({pair.key_pem, pair.chain_pem});
    listen(grpc::SslServerCredentials(tls));
  }
  void listen(const std::shared_ptr<grpc::ServerCredentials>& credentials) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", credentials, &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  std::unique_ptr<control::v1::Identity::Stub> stub(const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride("headgate-controller.edge.svc");
    return control::v1::Identity::NewStub(
        grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port_), credentials, arguments));
  }
  std::unique_ptr<control::v1::Identity::Stub> tls_stub(const std::string& roots) {
    return stub(grpc::SslCredentials({.pem_root_certs = roots, .pem_private_key = "", .pem_cert_chain = ""}));
  }
  grpc::Status certify(const CertifyRequest& request, const std::string& authorization, CertifyResponse* response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    if (!authorization.empty()) context.AddMetadata("authorization", authorization);
    return tls_stub(authority_.roots_pem())->Certify(&context, request, response);
  }
  CertifyRequest request() {
    CertifyRequest made;
    made.set_csr_der(make_request(folder_));
    made.set_pod_uid("0f4f-77");
    return made;
  }

  test::TempFolder folder_;
  MemoryStore store_;
  Authority authority_{{.store = &store_}};
  ScriptedReviewer reviewer_;
  TokenVerifier tokens_{reviewer_};
  IdentityService service_{authority_, tokens_};
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

TEST_F(ServiceTest, ATokenAndAKeyBecomeACertificate) {
  start();
  CertifyResponse response;
  const grpc::Status status = certify(request(), "Bearer good", &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.roots_pem(), authority_.roots_pem());
  const auto facts = verify_client(response.chain_pem(), authority_.roots_pem(), system_clock().wall());
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->uris, std::vector<std::string>{"spiffe://cluster.local/ns/shop/sa/web"});
  EXPECT_EQ(facts->pod_uid, "0f4f-77");
  EXPECT_EQ(facts->not_after.time_since_epoch(), std::chrono::seconds(response.not_after().seconds()));
  EXPECT_LT(response.renew_after().seconds(), response.not_after().seconds());
  EXPECT_EQ(service_.issued(), 1U);

  // What the dataplane does next: a stream with this certificate, which another replica judges by its chain alone.
  CallerAuthenticator authenticator({.authority = &authority_});
  const auto caller = authenticator.authenticate({.certificate_chain_pem = response.chain_pem()});
  ASSERT_TRUE(caller) << caller.error().detail;
  EXPECT_EQ(caller->part, Caller::Part::kDataplane);
  EXPECT_EQ(caller->namespace_name, "shop");
  EXPECT_EQ(caller->service_account, "web");
  EXPECT_EQ(caller->pod_uid, "0f4f-77");
}

TEST_F(ServiceTest, TheCertificateOpensAMutualConnection) {
  start();
  CertifyResponse response;
  ASSERT_TRUE(certify(request(), "Bearer good", &response).ok());
  const auto shown = stub(grpc::SslCredentials({.pem_root_certs = response.roots_pem(),
                                                .pem_private_key = read_whole(folder_.at("client.key")),
                                                .pem_cert_chain = response.chain_pem()}));
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer good");
  CertifyResponse renewed;
  const grpc::Status status = shown->Certify(&context, request(), &renewed);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_NE(renewed.chain_pem(), response.chain_pem());
}

TEST_F(ServiceTest, RefusesWithAReasonThatClientsCanActOn) {
  start();
  reviewer_.answers["other-audience"] = good_review();
  reviewer_.answers["other-audience"].audiences = {"vault"};
  CertifyRequest other_pod = request();
  other_pod.set_pod_uid("ffff-ff");
  CertifyRequest no_key = request();
  no_key.set_csr_der("nonsense");
  const struct {
    const char* what;
    CertifyRequest request;
    const char* authorization;
    grpc::StatusCode code;
  } kCases[] = {
      {"no token", request(), "", grpc::StatusCode::UNAUTHENTICATED},
      {"another scheme", request(), "Basic good", grpc::StatusCode::UNAUTHENTICATED},
      {"a bad token", request(), "Bearer bad", grpc::StatusCode::UNAUTHENTICATED},
      {"another audience", request(), "Bearer other-audience", grpc::StatusCode::UNAUTHENTICATED},
      {"another Pod's UID", other_pod, "Bearer good", grpc::StatusCode::PERMISSION_DENIED},
      {"no request", no_key, "Bearer good", grpc::StatusCode::INVALID_ARGUMENT},
  };
  for (const auto& test : kCases) {
    CertifyResponse response;
    const grpc::Status status = certify(test.request, test.authorization, &response);
    EXPECT_EQ(status.error_code(), test.code) << test.what << ": " << status.error_message();
    EXPECT_TRUE(response.chain_pem().empty()) << test.what;
  }
  reviewer_.is_down = true;
  CertifyResponse response;
  EXPECT_EQ(certify(request(), "Bearer unknown", &response).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(service_.issued(), 0U);
  EXPECT_EQ(service_.refused(), 7U);
}

TEST_F(ServiceTest, ClientsFollowARotationOfTheRoots) {
  start();
  const std::string old_roots = authority_.roots_pem();
  authority_.request_rotation();
  ASSERT_TRUE(authority_.refresh(true));
  CertifyResponse response;
  ASSERT_TRUE(certify(request(), "Bearer good", &response).ok());
  EXPECT_EQ(split_chain(response.roots_pem())->size(), 2U) << "the dataplane learns the next root with its certificate";
  EXPECT_TRUE(verify_client(response.chain_pem(), old_roots, system_clock().wall())) << "signed by the one everybody knows";
}

TEST_F(ServiceTest, NothingWithoutTls) {
  listen(grpc::InsecureServerCredentials());
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer good");
  CertifyResponse response;
  const auto status = stub(grpc::InsecureChannelCredentials())->Certify(&context, request(), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(reviewer_.calls, 0);
}

// --- who opens a stream ---

class CallerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(authority_.refresh(true));
    reviewer_.answers["good"] = good_review();
  }
  std::string shown(const WorkloadName& name, const std::string& uid) {
    return issue(CertificateAuthority::parse(store_.secrets["headgate-ca"].data)->signer(clock_.wall()),
                 {.uri = to_uri(name), .pod_uid = uid, .client = true, .not_before = clock_.wall() - hours(1),
                  .not_after = clock_.wall() + hours(24)})
        ->chain_pem;
  }
  CallerRules rules() { return {.authority = &authority_, .clock = &clock_}; }

  FakeClock clock_;
  MemoryStore store_;
  Authority authority_{{.store = &store_, .clock = &clock_}};
  ScriptedReviewer reviewer_;
  TokenVerifier tokens_{reviewer_};
};

TEST_F(CallerTest, CertificatesOfOthersAreNobody) {
  CallerAuthenticator authenticator(rules());
  EXPECT_TRUE(authenticator.authenticate({.certificate_chain_pem = shown({"cluster.local", "shop", "web"}, "u")}));
  const KeyPair stranger = *make_root({.common_name = "x", .not_before = clock_.wall(), .not_after = clock_.wall() + hours(99)});
  const std::string forged = issue(stranger, {.uri = "spiffe://cluster.local/ns/shop/sa/web", .client = true,
                                              .not_before = clock_.wall(), .not_after = clock_.wall() + hours(9)})->chain_pem;
  for (const std::string& chain : {forged, shown({"other.domain", "shop", "web"}, ""), std::string("nonsense")}) {
    EXPECT_EQ(authenticator.authenticate({.certificate_chain_pem = chain}).error().code, Errc::kDenied);
  }
  EXPECT_EQ(authenticator.authenticate({}).error().code, Errc::kDenied);
  EXPECT_EQ(authenticator.authenticate({.bearer_token = "good"}).error().code, Errc::kDenied) << "tokens were not allowed";
  const std::string chain = shown({"cluster.local", "shop", "web"}, "");
  clock_.advance(hours(25));
  EXPECT_STREQ(authenticator.authenticate({.certificate_chain_pem = chain}).error().detail, "certificate has expired");
}

TEST_F(CallerTest, BeforeTheAuthorityIsLoadedNobodyIsDenied) {
  Authority not_loaded({.store = &store_});
  CallerAuthenticator authenticator({.authority = &not_loaded});
  EXPECT_EQ(authenticator.authenticate({.certificate_chain_pem = shown({"cluster.local", "shop", "web"}, "")}).error().code,
            Errc::kUnreachable);
}

TEST_F(CallerTest, StaticClientsAreAnyNodeAndNoWorkload) {
  const KeyPair corp = *make_root({.common_name = "corp", .not_before = clock_.wall(), .not_after = clock_.wall() + hours(99)});
  CallerRules with = rules();
  with.static_clients_pem = corp.chain_pem;
  with.replica = WorkloadName{"cluster.local", "edge", "headgate"};
  CallerAuthenticator authenticator(with);
  const LeafSpec claims{.uri = "spiffe://cluster.local/ns/edge/sa/headgate", .client = true, .not_before = clock_.wall(),
                        .not_after = clock_.wall() + hours(9)};
  const auto caller = authenticator.authenticate({.certificate_chain_pem = issue(corp, claims)->chain_pem});
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->part, Caller::Part::kDataplane) << "a name in a certificate of theirs says nothing";
  EXPECT_EQ(caller->namespace_name + caller->service_account + caller->pod_uid, "");
}

TEST_F(CallerTest, ReplicasKnowEachOther) {
  CallerRules with = rules();
  with.replica = WorkloadName{"cluster.local", "edge", "headgate"};
  CallerAuthenticator authenticator(with);
  const auto pair = authority_.issue_server({.dns_names = {"c"}, .workload = with.replica}, hours(24));
  const auto caller = authenticator.authenticate({.certificate_chain_pem = pair->chain_pem});
  ASSERT_TRUE(caller) << caller.error().detail;
  EXPECT_EQ(caller->part, Caller::Part::kReplica);
  EXPECT_EQ(authenticator.authenticate({.certificate_chain_pem = shown({"cluster.local", "edge", "other"}, "")})->part,
            Caller::Part::kDataplane);
}

TEST_F(CallerTest, TokensAndTheCacheOfPods) {
  CallerRules with = rules();
  with.tokens = &tokens_;
  PodStanding standing = PodStanding::kRuns;
  with.standing = [&](const Caller& caller) {
    EXPECT_EQ(caller.pod_uid, "0f4f-77");
    return standing;
  };
  CallerAuthenticator authenticator(with);
  EXPECT_EQ(authenticator.authenticate({.bearer_token = "good"})->pod, "web-0");
  standing = PodStanding::kUnknown;
  EXPECT_EQ(authenticator.authenticate({.bearer_token = "good"}).error().code, Errc::kNotFound) << "it comes back";
  standing = PodStanding::kEnded;
  EXPECT_EQ(authenticator.authenticate({.bearer_token = "good"}).error().code, Errc::kDenied);
  const std::string chain = shown({"cluster.local", "shop", "web"}, "0f4f-77");
  EXPECT_EQ(authenticator.authenticate({.certificate_chain_pem = chain}).error().code, Errc::kDenied);
  standing = PodStanding::kRuns;
  EXPECT_TRUE(authenticator.authenticate({.certificate_chain_pem = chain}));
  clock_.advance(hours(25));
  EXPECT_TRUE(authenticator.authenticate({.certificate_chain_pem = chain, .bearer_token = "good"})) << "the token is good";
  reviewer_.is_down = true;
  EXPECT_EQ(authenticator.authenticate({.bearer_token = "new"}).error().code, Errc::kUnreachable);
}

}  // namespace
}  // namespace headgate::identity
