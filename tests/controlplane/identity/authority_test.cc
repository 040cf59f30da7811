#include "controlplane/identity/authority.h"

#include "controlplane/identity/file_secret_store.h"
#include "controlplane/identity/serving_certificate.h"
#include "tests/controlplane/identity/identity_fixture.h"

namespace headgate::identity {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

class AuthorityTest : public ::testing::Test {
 protected:
  AuthorityOptions options() {
    return {.store = &store_,
            .publish = [this](const std::string& roots) -> Result<void> {
              if (publish_fails_) return Error{.code = Errc::kUnreachable, .detail = "down"};
              published_.push_back(roots);
              return {};
            },
            .clock = &clock_};
  }

  MemoryStore store_;
  FakeClock clock_;
  bool publish_fails_ = false;
  std::vector<std::string> published_;
};

TEST_F(AuthorityTest, TheLeaderMakesItAndEverybodySigns) {
  Authority leader(options());
  Authority other(options());
  EXPECT_EQ(other.refresh(false).error().code, Errc::kNotFound);
  EXPECT_FALSE(other.is_ready());
  EXPECT_EQ(other.issue_server({}, hours(24)).error().code, Errc::kUnreachable);
  ASSERT_TRUE(leader.refresh(true));
  ASSERT_TRUE(other.refresh(false));
  EXPECT_EQ(leader.roots_pem(), other.roots_pem());
  EXPECT_EQ(published_, std::vector<std::string>{leader.roots_pem()});
  ASSERT_TRUE(leader.refresh(true));
  EXPECT_EQ(published_.size(), 1U) << "nothing new";
  EXPECT_EQ(store_.saves, 1);

  test::TempFolder folder;
  const auto certified = other.certify({"cluster.local", "shop", "web"}, "uid-1", make_request(folder));
  ASSERT_TRUE(certified);
  EXPECT_TRUE(verify_client(certified->chain_pem, leader.roots_pem(), clock_.wall()));
  EXPECT_EQ(certified->not_after - clock_.wall(), hours(24));
  EXPECT_EQ(certified->renew_after - clock_.wall(), hours(12));
}

TEST_F(AuthorityTest, TwoLeadersMakeOne) {
  Authority first(options());
  Authority second(options());
  store_.before_save = [&] { ASSERT_TRUE(second.refresh(true)); };
  ASSERT_TRUE(first.refresh(true));
  EXPECT_EQ(first.roots_pem(), second.roots_pem());
  EXPECT_EQ(store_.saves, 1);
}

TEST_F(AuthorityTest, TheOverlapBeginsWhenTheRootsWereGivenOut) {
  Authority leader(options());
  ASSERT_TRUE(leader.refresh(true));
  const std::string old_roots = leader.roots_pem();
  leader.request_rotation();
  publish_fails_ = true;
  EXPECT_FALSE(leader.refresh(true));
  clock_.advance(hours(48));
  EXPECT_FALSE(leader.refresh(true));
  const auto signs_with_old = [&] {
    return verify_client(leader.issue_server({.workload = WorkloadName{"cluster.local", "edge", "headgate"}}, hours(1))->chain_pem,
                         old_roots, clock_.wall())
        .has_value();
  };
  EXPECT_TRUE(signs_with_old());
  publish_fails_ = false;
  ASSERT_TRUE(leader.refresh(true));
  EXPECT_EQ(split_chain(published_.back())->size(), 2U);
  clock_.advance(hours(23));
  ASSERT_TRUE(leader.refresh(true));
  EXPECT_TRUE(signs_with_old());
  clock_.advance(hours(1));
  EXPECT_FALSE(signs_with_old()) << "by the clock, not by the next refresh";
  ASSERT_TRUE(leader.refresh(true));
  EXPECT_FALSE(signs_with_old());
  EXPECT_EQ(split_chain(leader.roots_pem())->size(), 2U);
  clock_.advance(hours(24 * 92));
  ASSERT_TRUE(leader.refresh(true));
  EXPECT_EQ(split_chain(published_.back())->size(), 1U);
  ASSERT_TRUE(leader.refresh(true));
  EXPECT_FALSE(CertificateAuthority::parse(store_.secrets["headgate-ca"].data)->has_next()) << "one request, one rotation";
}

TEST_F(AuthorityTest, WithoutTheStoreTheLastStateSigns) {
  Authority authority(options());
  ASSERT_TRUE(authority.refresh(true));
  store_.is_down = true;
  EXPECT_FALSE(authority.refresh(true));
  EXPECT_TRUE(authority.issue_server({.dns_names = {"a"}}, hours(1)));
}

TEST_F(AuthorityTest, AnotherOnesSecretIsNeverWritten) {
  AuthorityOptions external = options();
  external.external = true;
  Authority authority(external);
  EXPECT_EQ(authority.refresh(true).error().code, Errc::kNotFound);
  const KeyPair root = *make_root({.common_name = "corp", .not_before = clock_.wall(), .not_after = clock_.wall() + hours(900)});
  store_.secrets["headgate-ca"] = {{{"tls.crt", root.chain_pem}, {"tls.key", root.key_pem}}, "7"};
  ASSERT_TRUE(authority.refresh(true));
  authority.request_rotation();
  ASSERT_TRUE(authority.refresh(true));
  EXPECT_EQ(store_.saves, 0);
  EXPECT_EQ(published_, std::vector<std::string>{root.chain_pem});
  Authority ours(options());
  EXPECT_EQ(ours.refresh(true).error().code, Errc::kInvalid) << "a Secret of another shape is not taken over";
}

TEST_F(AuthorityTest, ServersRenewAtTwoThirds) {
  Authority authority(options());
  ASSERT_TRUE(authority.refresh(true));
  std::vector<KeyPair> used;
  bool accept = false;
  ServingCertificate certificate(authority, {.dns_names = service_names("hook", "edge")}, Authority::kWebhookLife,
                                 [&](const KeyPair& pair) {
                                   if (accept) used.push_back(pair);
                                   return accept;
                                 },
                                 clock_);
  EXPECT_FALSE(certificate.refresh()) << "the server did not take it";
  accept = true;
  ASSERT_TRUE(certificate.refresh());
  ASSERT_TRUE(certificate.refresh());
  ASSERT_EQ(used.size(), 1U);
  const auto facts = inspect(used[0].chain_pem);
  EXPECT_EQ(facts->dns_names, (std::vector<std::string>{"hook.edge.svc", "hook.edge.svc.cluster.local", "hook.edge", "hook"}));
  EXPECT_EQ(facts->not_after - clock_.wall(), hours(24 * 90));
  clock_.advance(hours(24 * 60) - minutes(1));
  ASSERT_TRUE(certificate.refresh());
  EXPECT_EQ(used.size(), 1U);
  clock_.advance(minutes(1));
  ASSERT_TRUE(certificate.refresh());
  EXPECT_EQ(used.size(), 2U);
}

TEST(FileSecretStore, KeepsVersionsApart) {
  test::TempFolder folder;
  FileSecretStore store(folder.at("secrets"));
  EXPECT_EQ(store.load("ca").error().code, Errc::kNotFound);
  EXPECT_EQ(store.save("ca", {{"a", "1"}}, "5").error().code, Errc::kExists);
  const auto first = store.save("ca", {{"ca.crt", "one"}, {"next-published", "two"}}, "");
  ASSERT_TRUE(first) << to_string(first.error());
  EXPECT_EQ(store.save("ca", {{"a", "1"}}, "").error().code, Errc::kExists);
  const auto loaded = store.load("ca");
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->data, (SecretData{{"ca.crt", "one"}, {"next-published", "two"}}));
  EXPECT_EQ(loaded->version, *first);
  const auto second = store.save("ca", {{"ca.crt", "three"}}, *first);
  ASSERT_TRUE(second);
  EXPECT_EQ(store.load("ca")->data, (SecretData{{"ca.crt", "three"}}));
  EXPECT_EQ(store.save("ca", {}, *first).error().code, Errc::kExists);
  ASSERT_TRUE(store.save("ca", {{"ca.crt", "four"}}, *second));
  EXPECT_EQ(read_whole(folder.at("secrets/ca/ca.crt")), "four") << "other programs read it, too";
  EXPECT_EQ(run("find " + folder.at("secrets") + " -type f ! -perm 600 -o -type d ! -perm 700"), "");
  EXPECT_EQ(run("ls -A " + folder.at("secrets") + " | grep -c ca"), "3\n") << "the link, this version, the one before";
  for (const char* name : {"", "../x", ".lock", "a/b"}) EXPECT_EQ(store.load(name).error().code, Errc::kInvalid) << name;
  EXPECT_EQ(store.save("x", {{"../../y", "1"}}, "").error().code, Errc::kInvalid);
}

TEST(FileSecretStore, AnAuthorityLivesInIt) {
  test::TempFolder folder;
  FileSecretStore store(folder.at("secrets"));
  Authority first({.store = &store});
  ASSERT_TRUE(first.refresh(true));
  Authority restarted({.store = &store});
  ASSERT_TRUE(restarted.refresh(true));
  EXPECT_EQ(first.roots_pem(), restarted.roots_pem());
}

}  // namespace
}  // namespace headgate::identity
