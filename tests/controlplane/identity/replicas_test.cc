// replicas_test.cc -- two controllers with certificates of one authority: what one is told, it tells the other.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "controlplane/identity/caller_authenticator.h"
#include "controlplane/publish/server.h"
#include "tests/controlplane/identity/identity_fixture.h"

namespace headgate::identity {
namespace {

using publish::Caller;
using publish::Credentials;

constexpr const char* kServerName = "headgate-controller.edge.svc";

// The real one, and what it said.
class WatchedAuthenticator final : public publish::Authenticator {
 public:
  explicit WatchedAuthenticator(const CallerRules& rules) : real_(rules) {}

  Result<Caller> authenticate(const Credentials& credentials) override {
    auto caller = real_.authenticate(credentials);
    const std::lock_guard lock(mutex_);
    said_.push_back(!caller ? caller.error().detail : caller->part == Caller::Part::kReplica ? "replica" : "dataplane");
    changed_.notify_all();
    return caller;
  }
  // The first `count` verdicts.
  std::vector<std::string> said(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(60), [&] { return said_.size() >= count; });
    return {said_.begin(), said_.begin() + static_cast<std::ptrdiff_t>(std::min(count, said_.size()))};
  }

 private:
  CallerAuthenticator real_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> said_;
};

class ReplicasTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(authority_.refresh(true)); }

  publish::ServerCertificate certificate() {
    const auto pair = authority_.issue_server({.dns_names = {kServerName}, .workload = kUs}, std::chrono::hours(24));
    return {.chain_pem = pair->chain_pem, .key_pem = pair->key_pem};
  }
  std::unique_ptr<publish::Server> start(const std::string& id) {
    publish::ServerOptions options;
    options.address = "127.0.0.1:0";
    options.id = id;
    options.certificate = certificate();
    options.authenticator = &authenticator_;
    std::string problem;
    auto server = publish::Server::start(std::move(options), problem);
    EXPECT_NE(server, nullptr) << problem;
    return server;
  }
  static CallerRules rules(const Authority& authority) {
    CallerRules rules;
    rules.authority = &authority;
    rules.replica = kUs;
    return rules;
  }

  inline static const WorkloadName kUs{"cluster.local", "edge", "headgate-controller"};
  MemoryStore store_;
  Authority authority_{{.store = &store_}};
  WatchedAuthenticator authenticator_{rules(authority_)};
};

TEST_F(ReplicasTest, OneTellsTheOtherBeforeAndAfterACertificateIsReplaced) {
  const auto leader = start("first");
  const auto other = start("second");
  ASSERT_TRUE(leader && other);
  const std::string address = "127.0.0.1:" + std::to_string(leader->port());
  other->follow(address, authority_.roots_pem(), kServerName);
  EXPECT_EQ(authenticator_.said(1), std::vector<std::string>{"replica"});

  ASSERT_TRUE(leader->set_certificate(certificate()));
  other->follow({});
  other->follow(address, authority_.roots_pem(), kServerName);
  EXPECT_EQ(authenticator_.said(2), (std::vector<std::string>{"replica", "replica"}));
}

}  // namespace
}  // namespace headgate::identity
