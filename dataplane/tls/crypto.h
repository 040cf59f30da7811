// crypto.h -- digests, HMAC, base64, comparison in constant time, and password hashes as htpasswd files have them.
//
// OpenSSL stays behind this header, so that filters may include it.
// Spec: FIPS 180-4, RFC 2104, RFC 4648, and the formats of crypt(5) named below.
// Thread: any (pure).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "dataplane/base/bytes.h"

namespace headgate::tls {

// Where a format of others asks for it; never to protect anything. nullopt: the policy of this machine forbids it.
using Md5Digest = std::array<uint8_t, 16>;
std::optional<Md5Digest> md5(std::string_view text);

using Sha1Digest = std::array<uint8_t, 20>;
using Sha256Digest = std::array<uint8_t, 32>;

Sha1Digest sha1(std::string_view text);
Sha256Digest sha256(std::string_view text);
Sha256Digest hmac_sha256(std::string_view key, std::string_view text);
Sha1Digest hmac_sha1(std::string_view key, std::string_view text);

// Lower-case hexadecimal.
std::string hex_text(Bytes bytes);

enum class Base64 : uint8_t {
  kStandard,  // RFC 4648 4: "+/" and padding, which decoding insists on
  kUrl,       // RFC 4648 5: "-_" without padding, as in JSON Web Tokens
};
std::string base64_encode(Bytes bytes, Base64 alphabet = Base64::kStandard);
// nullopt: a character outside the alphabet, wrong padding, or bits that no encoder produces.
std::optional<std::string> base64_decode(std::string_view text, Base64 alphabet = Base64::kStandard);

// Does not tell by its duration where two texts of equal length differ.
bool equal_in_constant_time(std::string_view a, std::string_view b);

// Overwrites, in a way that the compiler does not remove, then empties.
void wipe(std::string& secret);
void wipe(std::span<uint8_t> secret);

enum class PasswordResult : uint8_t { kMatch, kMismatch, kUnsupported };

// Is it a format that check_password() knows? For refusing a password file when it is read.
bool is_supported_password_hash(std::string_view hash);
// Is it one of the iterated forms, which cost up to a second on purpose? Not to be worked out on a worker's thread.
bool is_slow_password_hash(std::string_view hash);
// Formats: "$apr1$salt$..." and "$1$..." (MD5, 1000 rounds), "{SHA}base64", "{SSHA}base64", "$5$..." and "$6$..."
// (SHA-crypt; at most 200,000 rounds), "$2a$", "$2b$" and "$2y$" (bcrypt; cost 4 to 14, where crypt(3) knows it). Plain
// text and DES are kUnsupported.
PasswordResult check_password(std::string_view password, std::string_view hash);

}  // namespace headgate::tls
