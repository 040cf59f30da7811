#include "controlplane/identity/ca.h"

#include "tests/controlplane/identity/identity_fixture.h"

namespace headgate::identity {
namespace {

using std::chrono::hours;
constexpr WallTime kStart{hours(24 * 365 * 55)};

KeyPair leaf_of(const CertificateAuthority& authority, WallTime now, Duration life = hours(24)) {
  return *issue(authority.signer(now), {.client = true, .not_before = now - hours(1), .not_after = now + life});
}

CertificateAuthority rotated(const CertificateAuthority& authority, WallTime now, bool force = false) {
  const auto next = authority.rotate(now, force);
  EXPECT_TRUE(next && next->has_value());
  return **next;
}

TEST(CertificateAuthority, SurvivesItsSecret) {
  CertificateAuthority authority = *CertificateAuthority::make(kStart);
  authority = rotated(authority, kStart, true);
  authority = *authority.mark_published(kStart + hours(1));
  const SecretData data = authority.serialize();
  const auto read = CertificateAuthority::parse(data);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->serialize(), data);
  EXPECT_EQ(read->roots_pem(), authority.roots_pem());
  for (const WallTime now : {kStart + hours(24), kStart + hours(26)}) {
    EXPECT_EQ(read->signer(now).key_pem, authority.signer(now).key_pem);
  }
  EXPECT_NE(authority.signer(kStart + hours(24)).key_pem, authority.signer(kStart + hours(26)).key_pem);
}

TEST(CertificateAuthority, RotatesWithOverlap) {
  CertificateAuthority authority = *CertificateAuthority::make(kStart);
  const std::string first_root = authority.roots_pem();
  EXPECT_FALSE(*authority.rotate(kStart + hours(24 * 365 * 7)));
  const WallTime due = kStart + hours(24 * 365 * 8 + 24 * 7);
  authority = rotated(authority, due);
  const std::string both = authority.roots_pem();
  EXPECT_NE(both, first_root);
  EXPECT_EQ(split_chain(both)->size(), 2U);

  // As long as nobody was given the new root, nothing is signed with it.
  EXPECT_FALSE(*authority.rotate(due + hours(24 * 30)));
  const KeyPair before = leaf_of(authority, due + hours(24 * 30));
  EXPECT_TRUE(verify_client(before.chain_pem, first_root, due + hours(24 * 30)));

  const WallTime published = due + hours(24 * 30);
  authority = *authority.mark_published(published);
  EXPECT_FALSE(authority.mark_published(published + hours(1))) << "once";
  const WallTime almost = published + CertificateAuthority::kOverlap - std::chrono::minutes(1);
  EXPECT_TRUE(verify_client(leaf_of(authority, almost).chain_pem, first_root, almost));

  // The new root signs; whoever read the roots a day ago knows it, and old leaves are still good.
  const WallTime after = published + CertificateAuthority::kOverlap;
  const KeyPair old_leaf = leaf_of(authority, almost, CertificateAuthority::kLongestLeaf);
  const KeyPair new_leaf = leaf_of(authority, after);
  EXPECT_FALSE(verify_client(new_leaf.chain_pem, first_root, after));
  EXPECT_TRUE(verify_client(new_leaf.chain_pem, both, after));
  authority = rotated(authority, after);
  EXPECT_FALSE(authority.has_next());
  EXPECT_TRUE(verify_client(leaf_of(authority, after).chain_pem, both, after));
  EXPECT_EQ(split_chain(authority.roots_pem())->size(), 2U) << "the old root verifies what it signed";
  const WallTime end_of_old = inspect(old_leaf.chain_pem)->not_after;
  EXPECT_TRUE(verify_client(old_leaf.chain_pem, authority.roots_pem(), end_of_old - hours(1)));
  EXPECT_FALSE(*authority.rotate(end_of_old));

  // All that it signed has expired.
  authority = rotated(authority, after + CertificateAuthority::kLongestLeaf + CertificateAuthority::kOverlap);
  EXPECT_EQ(split_chain(authority.roots_pem())->size(), 1U);
  EXPECT_EQ(authority.serialize().size(), 2U);
}

TEST(CertificateAuthority, RotationsMayFollowEachOther) {
  CertificateAuthority authority = *CertificateAuthority::make(kStart);
  WallTime now = kStart;
  for (int i = 0; i < 3; ++i) {
    authority = rotated(authority, now, true);
    authority = *authority.mark_published(now);
    now += CertificateAuthority::kOverlap;
    authority = rotated(authority, now);
  }
  EXPECT_EQ(split_chain(authority.roots_pem())->size(), 4U);
  const auto read = CertificateAuthority::parse(authority.serialize());
  ASSERT_TRUE(read);
  EXPECT_EQ(split_chain(read->roots_pem())->size(), 4U);
}

TEST(CertificateAuthority, SomebodyElsesAuthoritySignsWithItsChain) {
  test::TempFolder folder;
  run("cd " + folder.path() + " && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key -out "
      "root.pem -days 30 -subj /CN=corp-root && openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "
      "mid.key -out mid.csr -subj /CN=corp-mid && printf 'basicConstraints=critical,CA:TRUE,pathlen:0\\nkeyUsage=critical,"
      "keyCertSign\\n' > ext && openssl x509 -req -in mid.csr -CA root.pem -CAkey root.key -CAcreateserial -days 20 -extfile ext "
      "-out mid.pem");
  const std::string root = read_whole(folder.at("root.pem"));
  const SecretData data = {{"tls.crt", read_whole(folder.at("mid.pem"))}, {"tls.key", read_whole(folder.at("mid.key"))}, {"ca.crt", root}};
  const auto authority = CertificateAuthority::parse(data);
  ASSERT_TRUE(authority) << authority.error().detail;
  EXPECT_TRUE(authority->is_external());
  EXPECT_EQ(authority->roots_pem(), root);
  const WallTime now = system_clock().wall();
  EXPECT_FALSE(*authority->rotate(now + hours(24 * 29), true)) << "not ours to rotate";
  folder.write("leaf.pem", leaf_of(*authority, now).chain_pem);
  run("cd " + folder.path() + " && openssl verify -purpose sslclient -CAfile root.pem -untrusted leaf.pem leaf.pem");
  EXPECT_EQ(split_chain(read_whole(folder.at("leaf.pem")))->size(), 2U);

  SecretData without_root = data;
  without_root.erase("ca.crt");
  EXPECT_EQ(CertificateAuthority::parse(without_root).error().code, Errc::kInvalid);
  without_root["tls.crt"] += root;
  EXPECT_EQ(CertificateAuthority::parse(without_root)->roots_pem(), run("openssl x509 -in " + folder.at("root.pem")));
}

TEST(CertificateAuthority, BrokenSecretsAreRefused) {
  const SecretData good = rotated(*CertificateAuthority::make(kStart), kStart, true).mark_published(kStart)->serialize();
  ASSERT_TRUE(CertificateAuthority::parse(good));
  const auto with = [&](const char* key, const std::string& text) {
    SecretData data = good;
    data[key] = text;
    return CertificateAuthority::parse(data);
  };
  EXPECT_FALSE(CertificateAuthority::parse({}));
  EXPECT_FALSE(with("ca.crt", ""));
  EXPECT_FALSE(with("ca.crt", good.at("next.crt"))) << "the key of another";
  EXPECT_FALSE(with("ca.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"));
  EXPECT_FALSE(with("next.key", ""));
  EXPECT_FALSE(with("next-published", "yesterday"));
  EXPECT_FALSE(with("next-published", "99999999999"));
  EXPECT_FALSE(with("previous.crt", "x"));
  EXPECT_FALSE(with("previous.crt", good.at("ca.crt"))) << "without the time until which";
  const KeyPair leaf = leaf_of(*CertificateAuthority::parse(good), kStart);
  SecretData data = good;
  data["ca.crt"] = leaf.chain_pem;
  data["ca.key"] = leaf.key_pem;
  EXPECT_STREQ(CertificateAuthority::parse(data).error().detail, "the authority's certificate may not sign others");
}

}  // namespace
}  // namespace headgate::identity
