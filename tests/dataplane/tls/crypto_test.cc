#include "dataplane/tls/crypto.h"

#include <gtest/gtest.h>

namespace headgate::tls {
namespace {

TEST(Crypto, DigestsOfStandardVectors) {
  EXPECT_EQ(hex_text(sha1("abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(hex_text(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex_text(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  // RFC 1321 A.5; none where policy forbids MD5.
  if (const auto digest = md5("abc")) {
    EXPECT_EQ(hex_text(*digest), "900150983cd24fb0d6963f7d28e17f72");
  }
  // RFC 4231 4.3, RFC 2202 3.
  EXPECT_EQ(hex_text(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex_text(hmac_sha1("Jefe", "what do ya want for nothing?")), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
}

TEST(Crypto, Base64RoundTrips) {
  // RFC 4648 10.
  const std::vector<std::pair<std::string, std::string>> vectors = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, text] : vectors) {
    EXPECT_EQ(base64_encode(as_bytes(plain)), text);
    EXPECT_EQ(base64_decode(text), plain);
    std::string bare = text;
    while (bare.ends_with('=')) bare.pop_back();
    EXPECT_EQ(base64_encode(as_bytes(plain), Base64::kUrl), bare);
    EXPECT_EQ(base64_decode(bare, Base64::kUrl), plain);
  }
  EXPECT_EQ(base64_encode(as_bytes("\xfb\xff"), Base64::kUrl), "-_8");
  EXPECT_EQ(base64_encode(as_bytes("\xfb\xff")), "+/8=");
  for (const char* bad : {"Zg", "Zg=", "Z", "Zg==Zg==", "Zh==", "Zm9=", "Zm9v\n", "Zm-_", "====", "Zg==="}) {
    EXPECT_FALSE(base64_decode(bad).has_value()) << bad;
  }
  for (const char* bad : {"Zg==", "Z", "Zh", "Zm+/"}) EXPECT_FALSE(base64_decode(bad, Base64::kUrl).has_value()) << bad;
}

TEST(Crypto, EqualInConstantTime) {
  EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
  EXPECT_FALSE(equal_in_constant_time("abc", "abd"));
  EXPECT_FALSE(equal_in_constant_time("abc", "ab"));
  EXPECT_TRUE(equal_in_constant_time("", ""));
}

TEST(Crypto, WipeEmpties) {
  std::string secret = "a secret that does not fit into the object itself";
  const char* where = secret.data();
  const size_t size = secret.size();
  wipe(secret);
  EXPECT_TRUE(secret.empty());
  EXPECT_EQ(std::string_view(where, size), std::string(size, '\0'));
}

// Hashes of "password" made with `openssl passwd` and mkpasswd.
struct PasswordRow {
  const char* password;
  const char* hash;
};
constexpr PasswordRow kPasswords[] = {
#include "tests/vectors/password_hashes.inc"
};

TEST(Crypto, PasswordFormats) {
  for (const auto& [password, hash] : kPasswords) {
    EXPECT_TRUE(is_supported_password_hash(hash)) << hash;
    EXPECT_EQ(check_password(password, hash), PasswordResult::kMatch) << hash;
    EXPECT_EQ(check_password(std::string(password) + "x", hash), PasswordResult::kMismatch) << hash;
    EXPECT_EQ(check_password("", hash), std::string_view(password).empty() ? PasswordResult::kMatch
                                                                           : PasswordResult::kMismatch);
    EXPECT_EQ(check_password(std::string(password) + '\0', hash), PasswordResult::kMismatch) << hash;
  }
}

TEST(Crypto, UnknownPasswordFormats) {
  for (const char* hash : {"", "password", "$2y$05$tooshort", "$2y$03$abcdefghijklmnopqrstuu5s3w9l4S8qQfKkD5dE9x1JYwQ1Jm2mG",
                           "$2y$15$abcdefghijklmnopqrstuughE8Ev8uGFaUgY2cNEySvxngrb/Jzdm",
                           "$2x$05$abcdefghijklmnopqrstuughE8Ev8uGFaUgY2cNEySvxngrb/Jzdm",
                           "rqXexS6ZhobKA",
                           "{SHA}short", "{SSHA}AAAA", "$apr1$saltsalt$short", "$apr1$", "$6$salt$short", "$5$",
                           "$6$rounds=999999999$saltstring$1", "$y$j9T$x$y", "{MD5}AAAA"}) {
    EXPECT_FALSE(is_supported_password_hash(hash)) << hash;
    EXPECT_EQ(check_password("password", hash), PasswordResult::kUnsupported) << hash;
  }
}

}  // namespace
}  // namespace headgate::tls
