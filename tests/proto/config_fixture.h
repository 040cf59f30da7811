// config_fixture.h -- files, certificates made on the spot, and golden texts for the tests of proto/.
// Thread: test.
#pragma once

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "proto/json/config_file.h"

namespace headgate::json {

inline constexpr std::time_t kNow = 1'800'000'000;  // 2027

inline Result<std::string> read_disk(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in || std::filesystem::is_directory(path)) return Error{.code = Errc::kNotFound, .detail = "no such file"};
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

struct Material {
  std::string chain;
  std::string key;
};

inline std::string bio_text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string out(data, static_cast<size_t>(size));
  BIO_free(bio);
  return out;
}

// Self-signed, valid from `from` to `to`; rsa_bits 0: P-256.
inline Material make_material(const char* common_name, std::time_t from, std::time_t to, int rsa_bits) {
  EVP_PKEY* key = rsa_bits > 0 ? EVP_RSA_gen(static_cast<unsigned>(rsa_bits)) : EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  ASN1_TIME_set(X509_getm_notBefore(certificate), from);
  ASN1_TIME_set(X509_getm_notAfter(certificate), to);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(common_name), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_sign(certificate, key, EVP_sha256());
  Material out;
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate);
  out.chain = bio_text(bio);
  bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  out.key = bio_text(bio);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return out;
}

inline const Material& material(const std::string& kind) {
  static const std::map<std::string, Material> all = [] {
    std::map<std::string, Material> made;
    made["good"] = make_material("good", kNow - 1000, kNow + 1'000'000'000, 0);
    made["other"] = make_material("other", kNow - 1000, kNow + 1'000'000'000, 0);
    made["expired"] = make_material("expired", kNow - 2000, kNow - 1000, 0);
    made["future"] = make_material("future", kNow + 1000, kNow + 2000, 0);
    made["weak"] = make_material("weak", kNow - 1000, kNow + 1000, 1024);
    return made;
  }();
  const auto found = all.find(kind);
  return found == all.end() ? all.at("good") : found->second;
}

// "x.pem" and "x.key" are made up (of the kind x, or a good one for any other name); other files come from the disk.
// Names with "missing" do not exist.
inline Result<std::string> read_fixture(const std::string& path) {
  const std::filesystem::path file(path);
  if (file.stem() == "missing") return Error{.code = Errc::kNotFound, .detail = "no such file"};
  if (file.stem() == "garbage") return std::string("not PEM\n");
  if (file.stem() == "empty") return std::string();
  if (file.extension() == ".pem") return material(file.stem().string()).chain;
  if (file.extension() == ".key") return material(file.stem().string()).key;
  if (file.extension() == ".zone") return std::string("@ SOA ns1 admin 1 3600 600 604800 300\n");
  return read_disk(path);
}

inline ConfigFile read_text(std::string text, std::string name = "test.json") {
  ReadOptions options;
  options.file_name = std::move(name);
  options.folder = "/srv/site";
  options.read_file = read_fixture;
  options.now = kNow;
  return read_config(std::move(text), options);
}

inline std::string problems_of(const ConfigFile& file) {
  std::string out;
  for (const Diagnostic& one : file.diagnostics) out += to_string(one) + "\n";
  return out;
}

inline std::string source_path(const std::string& relative) {
  return std::string(HEADGATE_SOURCE_DIR) + "/" + relative;
}

inline std::string disk_text(const std::string& relative) {
  auto text = read_disk(source_path(relative));
  EXPECT_TRUE(text.has_value()) << relative;
  return text.has_value() ? *text : std::string();
}

// Compares with a file of the tree; HG_UPDATE_GOLDEN=1 writes it instead.
inline void expect_golden(const std::string& relative, const std::string& actual) {
  if (const char* update = std::getenv("HG_UPDATE_GOLDEN"); update != nullptr && std::string(update) == "1") {
    std::ofstream(source_path(relative), std::ios::binary) << actual;
    return;
  }
  const auto expected = read_disk(source_path(relative));
  ASSERT_TRUE(expected.has_value()) << relative << " is missing; HG_UPDATE_GOLDEN=1 writes it:\n" << actual;
  EXPECT_EQ(actual, *expected) << relative;
}

}  // namespace headgate::json
