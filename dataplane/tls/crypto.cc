#include "dataplane/tls/crypto.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstring>
#include <memory>

#include "dataplane/base/check.h"
#include "dataplane/base/number.h"

namespace headgate::tls {
namespace {

// Fetched once: an implicit fetch costs more than hashing a short text.
struct Digests {
  EVP_MD* sha1 = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  EVP_MD* sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  EVP_MD* md5 = EVP_MD_fetch(nullptr, "MD5", nullptr);  // null where policy forbids it
};
const Digests& digests() {
  static const Digests all;
  return all;
}

template <typename Digest>
Digest digest_of(const EVP_MD* kind, std::string_view text) {
  Digest digest{};
  unsigned int size = 0;
  HG_CHECK(kind != nullptr && EVP_Digest(text.data(), text.size(), digest.data(), &size, kind, nullptr) == 1);
  HG_CHECK(size == digest.size());
  return digest;
}

template <typename Digest>
Digest hmac_of(const EVP_MD* kind, std::string_view key, std::string_view text) {
  Digest digest{};
  unsigned int size = 0;
  HG_CHECK(HMAC(kind, key.data(), static_cast<int>(key.size()), as_bytes(text).data(), text.size(), digest.data(),
                &size) != nullptr);
  HG_CHECK(size == digest.size());
  return digest;
}

constexpr std::string_view kStandardAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrlAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string_view alphabet_of(Base64 kind) { return kind == Base64::kUrl ? kUrlAlphabet : kStandardAlphabet; }

int sextet(char c, Base64 kind) {
  const auto at = alphabet_of(kind).find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

// The digest of several parts, for the MD5 scheme.
class Md5 {
 public:
  Md5() : state_(EVP_MD_CTX_new()) { HG_CHECK(EVP_DigestInit_ex(state_.get(), digests().md5, nullptr) == 1); }
  Md5& add(std::string_view part) {
    EVP_DigestUpdate(state_.get(), part.data(), part.size());
    return *this;
  }
  std::array<uint8_t, 16> take() {
    std::array<uint8_t, 16> digest{};
    EVP_DigestFinal_ex(state_.get(), digest.data(), nullptr);
    return digest;
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* state) const { EVP_MD_CTX_free(state); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> state_;
};

// The 16 bytes as 22 characters of the crypt alphabet, in the order that the scheme prescribes.
std::string md5_crypt_text(const std::array<uint8_t, 16>& digest) {
  constexpr std::string_view kAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  constexpr std::array<std::array<uint8_t, 3>, 5> kOrder = {
      {{0, 6, 12}, {1, 7, 13}, {2, 8, 14}, {3, 9, 15}, {4, 10, 5}}};
  std::string text;
  const auto append = [&](uint32_t value, int characters) {
    for (; characters > 0; --characters, value >>= 6) text += kAlphabet[value & 63];
  };
  for (const auto& [a, b, c] : kOrder) {
    append(static_cast<uint32_t>(digest[a]) << 16 | static_cast<uint32_t>(digest[b]) << 8 | digest[c], 4);
  }
  append(digest[11], 2);
  return text;
}

// crypt(5) "md5crypt", and Apache's variant that differs only in the marker.
std::string md5_crypt(std::string_view password, std::string_view marker, std::string_view salt) {
  const auto inner = Md5().add(password).add(salt).add(password).take();
  const std::string_view inner_text = as_text(inner);
  Md5 outer;
  outer.add(password).add(marker).add(salt);
  for (size_t left = password.size(); left > 0; left -= std::min<size_t>(left, 16)) {
    outer.add(inner_text.substr(0, std::min<size_t>(left, 16)));
  }
  for (size_t bits = password.size(); bits > 0; bits >>= 1) {
    outer.add((bits & 1) != 0 ? std::string_view("\0", 1) : password.substr(0, 1));
  }
  auto digest = outer.take();
  for (int round = 0; round < 1000; ++round) {
    Md5 step;
    const auto previous = digest;
    const std::string_view current = as_text(previous);
    step.add((round & 1) != 0 ? password : current);
    if (round % 3 != 0) step.add(salt);
    if (round % 7 != 0) step.add(password);
    step.add((round & 1) != 0 ? current : password);
    digest = step.take();
  }
  return md5_crypt_text(digest);
}

struct Md5CryptParts {
  std::string_view marker, salt, digest;
};
std::optional<Md5CryptParts> split_md5_crypt(std::string_view hash) {
  Md5CryptParts parts;
  parts.marker = hash.starts_with("$apr1$") ? "$apr1$" : "$1$";
  if (!hash.starts_with(parts.marker)) return std::nullopt;
  hash.remove_prefix(parts.marker.size());
  const auto dollar = hash.find('$');
  if (dollar == std::string_view::npos || dollar > 8 || hash.size() - dollar - 1 != 22) return std::nullopt;
  parts.salt = hash.substr(0, dollar);
  parts.digest = hash.substr(dollar + 1);
  return parts;
}

constexpr uint32_t kMaxShaCryptRounds = 200'000;

// "$5$[rounds=N$]salt$digest"; a huge N would stop the worker.
bool is_sha_crypt(std::string_view hash) {
  if (!hash.starts_with("$5$") && !hash.starts_with("$6$")) return false;
  const size_t digest_size = hash[1] == '5' ? 43 : 86;
  hash.remove_prefix(3);
  if (hash.starts_with("rounds=")) {
    hash.remove_prefix(7);
    const auto end = hash.find('$');
    if (end == std::string_view::npos) return false;
    const auto rounds = parse_decimal<uint32_t>(hash.substr(0, end));
    if (!rounds || *rounds < 1000 || *rounds > kMaxShaCryptRounds) return false;
    hash.remove_prefix(end + 1);
  }
  const auto dollar = hash.find('$');
  return dollar != std::string_view::npos && dollar <= 16 && hash.size() - dollar - 1 == digest_size;
}

// "$2y$10$" and 22 + 31 characters; each step of the cost doubles the time, 14 is about a second.
bool is_bcrypt(std::string_view hash) {
  if (hash.size() != 60 || !hash.starts_with("$2") || hash[3] != '$' || hash[6] != '$') return false;
  if (hash[2] != 'a' && hash[2] != 'b' && hash[2] != 'y') return false;
  const auto cost = parse_decimal<uint32_t>(hash.substr(4, 2));
  if (!cost || *cost < 4 || *cost > 14) return false;
  constexpr std::string_view kAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  return hash.find_first_not_of(kAlphabet, 7) == std::string_view::npos;
}

PasswordResult result_of(bool match) { return match ? PasswordResult::kMatch : PasswordResult::kMismatch; }

// Null: the text is too short to hold a digest.
std::optional<std::string> salted_sha1_bytes(std::string_view hash) {
  auto bytes = base64_decode(hash.substr(6));
  if (!bytes || bytes->size() < sizeof(Sha1Digest)) return std::nullopt;
  return bytes;
}

PasswordResult check_by_crypt(std::string_view password, std::string_view hash) {
  // A NUL would end the password early for crypt(3), and so accept a shorter one.
  if (password.find('\0') != std::string_view::npos || password.size() > 512) return PasswordResult::kMismatch;
  auto work = std::make_unique<crypt_data>();  // 32 KiB: too large for the stack
  std::string password_text(password);
  const char* made = crypt_r(password_text.c_str(), std::string(hash).c_str(), work.get());
  const bool match = made != nullptr && equal_in_constant_time(made, hash);
  wipe(password_text);
  OPENSSL_cleanse(work.get(), sizeof(*work));
  return result_of(match);
}

}  // namespace

std::optional<Md5Digest> md5(std::string_view text) {
  if (digests().md5 == nullptr) return std::nullopt;
  return digest_of<Md5Digest>(digests().md5, text);
}

Sha1Digest sha1(std::string_view text) { return digest_of<Sha1Digest>(digests().sha1, text); }
Sha256Digest sha256(std::string_view text) { return digest_of<Sha256Digest>(digests().sha256, text); }
Sha256Digest hmac_sha256(std::string_view key, std::string_view text) {
  return hmac_of<Sha256Digest>(digests().sha256, key, text);
}
Sha1Digest hmac_sha1(std::string_view key, std::string_view text) {
  return hmac_of<Sha1Digest>(digests().sha1, key, text);
}

std::string hex_text(Bytes bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string base64_encode(Bytes bytes, Base64 alphabet) {
  const std::string_view digits = alphabet_of(alphabet);
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t have = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = static_cast<uint32_t>(bytes[i]) << 16;
    if (have > 1) group |= static_cast<uint32_t>(bytes[i + 1]) << 8;
    if (have > 2) group |= bytes[i + 2];
    for (size_t k = 0; k < 4; ++k) {
      if (k <= have) {
        text += digits[(group >> (18 - 6 * k)) & 63];
      } else if (alphabet == Base64::kStandard) {
        text += '=';
      }
    }
  }
  return text;
}

std::optional<std::string> base64_decode(std::string_view text, Base64 alphabet) {
  if (alphabet == Base64::kStandard) {
    if (text.size() % 4 != 0) return std::nullopt;
    if (text.ends_with("==")) {
      text.remove_suffix(2);
    } else if (text.ends_with('=')) {
      text.remove_suffix(1);
    }
  }
  if (text.size() % 4 == 1) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  uint32_t group = 0;
  unsigned bits = 0;
  for (const char c : text) {
    const int value = sextet(c, alphabet);
    if (value < 0) return std::nullopt;
    group = (group << 6) | static_cast<uint32_t>(value);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes += static_cast<char>((group >> bits) & 0xff);
    }
  }
  // Left-over bits must be zero: one value, one text.
  if ((group & ((1U << bits) - 1)) != 0) return std::nullopt;
  return bytes;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void wipe(std::string& secret) {
  // Up to the capacity: a longer value may have stood here before.
  secret.resize(secret.capacity());
  OPENSSL_cleanse(secret.data(), secret.size());
  secret.clear();
}

void wipe(std::span<uint8_t> secret) { OPENSSL_cleanse(secret.data(), secret.size()); }

bool is_supported_password_hash(std::string_view hash) {
  if (hash.starts_with("{SHA}")) {
    const auto bytes = base64_decode(hash.substr(5));
    return bytes && bytes->size() == sizeof(Sha1Digest);
  }
  if (hash.starts_with("{SSHA}")) return salted_sha1_bytes(hash).has_value();
  if (split_md5_crypt(hash)) return digests().md5 != nullptr;
  return is_sha_crypt(hash) || is_bcrypt(hash);
}

bool is_slow_password_hash(std::string_view hash) { return !hash.starts_with('{'); }

PasswordResult check_password(std::string_view password, std::string_view hash) {
  if (!is_supported_password_hash(hash)) return PasswordResult::kUnsupported;
  if (hash.starts_with("{SHA}")) {
    return result_of(equal_in_constant_time(as_text(sha1(password)), *base64_decode(hash.substr(5))));
  }
  if (hash.starts_with("{SSHA}")) {
    const std::string bytes = *salted_sha1_bytes(hash);
    const std::string_view view = bytes;
    std::string salted(password);
    salted += view.substr(sizeof(Sha1Digest));
    const Sha1Digest digest = sha1(salted);
    wipe(salted);
    return result_of(equal_in_constant_time(as_text(digest), view.substr(0, sizeof(Sha1Digest))));
  }
  if (const auto parts = split_md5_crypt(hash)) {
    if (password.size() > 512) return PasswordResult::kMismatch;
    return result_of(equal_in_constant_time(md5_crypt(password, parts->marker, parts->salt), parts->digest));
  }
  return check_by_crypt(password, hash);
}

}  // namespace headgate::tls
