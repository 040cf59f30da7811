#include "dataplane/tls/sha256.h"

#include <openssl/evp.h>

#include "dataplane/base/check.h"

namespace headgate::tls {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  HG_CHECK(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}
Sha256::~Sha256() = default;

void Sha256::add(std::string_view part) { HG_CHECK(EVP_DigestUpdate(state_->context, part.data(), part.size()) == 1); }

Sha256Digest Sha256::take() {
  Sha256Digest digest{};
  HG_CHECK(EVP_DigestFinal_ex(state_->context, digest.data(), nullptr) == 1);
  return digest;
}

}  // namespace headgate::tls
