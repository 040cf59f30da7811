// transport_test.cc -- requests over loopback: limits, deadlines, cancelling, tokens that rotate, and verified TLS.
#include "controlplane/kube/transport.h"

#include <gtest/gtest.h>
#include <httplib.h>

#include <thread>

#include "tests/controlplane/kube/api_fixture.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_certificates.h"

namespace headgate::kube {
namespace {

using std::chrono::milliseconds;
using TransportTest = ApiTest;

HttpRequest get(const std::string& target) { return {.target = target}; }

TEST_F(TransportTest, AnswersAndErrorsAreAnswers) {
  server.put("services", object("shop", "cart"));
  Transport transport(config_of(server));
  const auto found = transport.send(get("/api/v1/namespaces/shop/services/cart"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->status, 200);
  EXPECT_NE(found->body.find("\"cart\""), std::string::npos);
  const auto missing = transport.send(get("/api/v1/namespaces/shop/services/none"));
  ASSERT_TRUE(missing);
  EXPECT_EQ(missing->status, 404);
  EXPECT_NE(missing->body.find("NotFound"), std::string::npos);
}

TEST_F(TransportTest, ThePrefixOfTheServerComesFirst) {
  Config config = config_of(server);
  config.path_prefix = "/clusters/one";
  Transport transport(config);
  ASSERT_TRUE(transport.send(get("/version")));
  EXPECT_EQ(server.requests().back(), "GET /clusters/one/version");
}

TEST_F(TransportTest, NobodyListens) {
  const Config config = config_of(server);
  server.stop();
  Transport transport(config);
  const auto response = transport.send(get("/"));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, Errc::kRefused);
  EXPECT_EQ(response.error().retry, Retry::kYes);
}

TEST_F(TransportTest, ABodyOverTheLimitIsRefused) {
  server.answer("/large", 1, 200, std::string(100'000, 'x'));
  Transport transport(config_of(server));
  HttpRequest request = get("/large");
  request.max_body = 99'999;
  EXPECT_EQ(transport.send(request).error().code, Errc::kTooLarge);
}

TEST_F(TransportTest, AnAnswerThatDripsEndsAtTheDeadline) {
  server.put("services", object("shop", "cart"));
  server.split_at(1);
  server.pause_between_pieces(20);
  Transport transport(config_of(server));
  HttpRequest request = get("/api/v1/services");
  request.limit = milliseconds(100);
  const auto response = transport.send(request);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, Errc::kTimeout);
}

TEST_F(TransportTest, AStreamArrivesPieceByPieceAndEndsWhenWeHaveEnough) {
  server.put("services", object("shop", "cart"));
  server.split_at(1);
  Transport transport(config_of(server));
  std::string seen;
  const auto response = transport.stream(get("/api/v1/services"), [&](std::string_view piece) {
    seen.append(piece);
    return seen.size() < 10;
  });
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, Errc::kCanceled);
  EXPECT_EQ(seen.size(), 10U);
}

TEST_F(TransportTest, StopEndsAWaitingStreamAtOnce) {
  Transport transport(config_of(server));
  std::stop_source stop;
  std::thread other([&] {
    EXPECT_TRUE(server.wait_for_watches(1));
    stop.request_stop();
  });
  HttpRequest request = get("/api/v1/services?watch=1&resourceVersion=0");
  request.limit = Duration::zero();
  request.silence = std::chrono::hours(1);
  const auto response = transport.stream(request, [](std::string_view) { return true; }, stop.get_token());
  other.join();
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, Errc::kCanceled);
  EXPECT_FALSE(transport.send(get("/"), stop.get_token()));
}

TEST_F(TransportTest, ConnectionsAreUsedAgain) {
  Transport transport(config_of(server));
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(transport.send(get("/api/v1/services")));
  server.stop();
  server.start();
  const auto after = transport.send(get("/api/v1/services"));  // the idle connection is seen to be dead
  ASSERT_TRUE(after) << to_string(after.error());
  EXPECT_EQ(after->status, 200);
}

TEST_F(TransportTest, ARotatedTokenIsReadAgain) {
  const test::TempFolder folder;
  folder.write("token", "one\n");
  Config config = config_of(server);
  config.token_file = folder.at("token");
  FakeClock clock;
  Transport transport(config, clock);
  server.require_token("one");
  EXPECT_EQ(transport.send(get("/api/v1/services"))->status, 200);
  // After a minute, and at once when the old one is refused.
  folder.replace("token", "two");
  clock.advance(std::chrono::seconds(61));
  server.require_token("two");
  EXPECT_EQ(transport.send(get("/api/v1/services"))->status, 200);
  EXPECT_EQ(server.requests().size(), 2U);
  folder.replace("token", "three");
  server.require_token("three");
  EXPECT_EQ(transport.send(get("/api/v1/services"))->status, 200);
  EXPECT_EQ(server.requests().size(), 4U);
  server.require_token("four");
  EXPECT_EQ(transport.send(get("/api/v1/services"))->status, 401);
}

// An HTTPS server with a certificate of our own authority.
class TlsServer {
 public:
  TlsServer(const test::TempFolder& folder, const testing::TestAuthority& authority, std::vector<std::string> names,
            bool ask_for_certificate = false) {
    const auto pair = authority.issue({.alternative_names = std::move(names), .key_usage = "serverAuth"});
    folder.write("server.pem", pair.chain);
    folder.write("server.key", pair.key);
    folder.write("ca.pem", authority.pem());
    server_ = std::make_unique<httplib::SSLServer>(folder.at("server.pem").c_str(), folder.at("server.key").c_str(),
                                                   ask_for_certificate ? folder.at("ca.pem").c_str() : nullptr);
    server_->Get("/version", [this](const httplib::Request& request, httplib::Response& response) {
      authorization = request.get_header_value("Authorization");
      response.set_content("{}", "application/json");
    });
    port = static_cast<uint16_t>(server_->bind_to_any_port("127.0.0.1"));
    thread_ = std::thread([this] { server_->listen_after_bind(); });
    while (!server_->is_running()) std::this_thread::yield();
  }
  ~TlsServer() {
    server_->stop();
    thread_.join();
  }
  [[nodiscard]] Config config(const test::TempFolder& folder) const {
    Config config;
    config.host = "127.0.0.1";
    config.port = port;
    config.authority.file = folder.at("ca.pem");
    config.token = "secret";
    return config;
  }
  uint16_t port = 0;
  std::string authorization;

 private:
  std::unique_ptr<httplib::SSLServer> server_;
  std::thread thread_;
};

TEST(TransportTls, AddressesAndNamesAreVerified) {
  const test::TempFolder folder;
  const testing::TestAuthority authority("ours");
  TlsServer server(folder, authority, {"IP:127.0.0.1", "DNS:kubernetes.default.svc"});
  const auto answers = [](const Config& config) {
    Transport transport(config);
    return transport.send(get("/version"));
  };
  Config config = server.config(folder);
  const auto by_address = answers(config);
  ASSERT_TRUE(by_address) << to_string(by_address.error());
  EXPECT_EQ(server.authorization, "Bearer secret");
  config.server_name = "kubernetes.default.svc";
  EXPECT_TRUE(answers(config));
  server.authorization.clear();
  config.server_name = "elsewhere.test";
  auto refused = answers(config);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kTls);
  EXPECT_STREQ(refused.error().detail, "certificate verify failed");
  config.server_name = "127.0.0.2";
  EXPECT_EQ(answers(config).error().code, Errc::kTls);
  // Another authority, and none at all.
  config.server_name.clear();
  config.authority = {.text = testing::TestAuthority("theirs").pem()};
  EXPECT_EQ(answers(config).error().code, Errc::kTls);
  config.authority = {.text = "no certificate"};
  EXPECT_EQ(answers(config).error().code, Errc::kInvalid);
  config.authority = {.file = folder.at("none")};
  EXPECT_EQ(answers(config).error().code, Errc::kNotFound);
  EXPECT_EQ(server.authorization, "");  // the token was sent to none of them
  config.authority = {};
  config.verify = false;
  EXPECT_TRUE(answers(config));
}

TEST(TransportTls, WeShowOurCertificate) {
  const test::TempFolder folder;
  const testing::TestAuthority authority("ours");
  TlsServer server(folder, authority, {"IP:127.0.0.1"}, true);
  const auto pair = authority.issue({.common_name = "admin", .key_usage = "clientAuth"});
  Config config = server.config(folder);
  {
    Transport transport(config);
    EXPECT_FALSE(transport.send(get("/version")));
  }
  config.certificate.text = pair.chain;
  config.key.text = pair.key;
  Transport transport(config);
  const auto response = transport.send(get("/version"));
  ASSERT_TRUE(response) << to_string(response.error());
  EXPECT_EQ(response->status, 200);
  config.key.text = authority.issue({}).key;
  Transport mismatched(config);
  EXPECT_EQ(mismatched.send(get("/version")).error().code, Errc::kInvalid);
}

}  // namespace
}  // namespace headgate::kube
