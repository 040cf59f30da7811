// identity.h -- the key of this process and the certificate a controller gave it for a token. In memory only.
//
//   auto request = Identity::request(token)  ->  Certify(csr)  ->  identity.accept(chain, not_after)
//
// A key is made for each request and used only when its certificate comes.
// Thread: control.   Owner: ControlClient.   Errors: kTls when OpenSSL cannot, kInvalid for an answer that does not fit.
#pragma once

#include <memory>
#include <string>

#include "dataplane/base/clock.h"
#include "dataplane/base/result.h"
#include "dataplane/tls/certificate.h"

namespace headgate::control {

struct CertificateRequest {
  std::string key_pem;  // PKCS #8, P-256; wiped by whoever is done with it
  std::string csr_der;  // PKCS #10, signed with that key; the subject says nothing
};
Result<CertificateRequest> make_certificate_request();

class Identity {
 public:
  // Checks that the chain fits the key. `renew_after` of zero: half of what is left of its life.
  Result<void> accept(std::string_view chain_pem, std::string key_pem, WallTime not_after, WallTime renew_after,
                      WallTime now);
  // Null: none yet.
  [[nodiscard]] const std::shared_ptr<const tls::Certificate>& certificate() const { return certificate_; }
  [[nodiscard]] bool usable(WallTime now) const { return certificate_ != nullptr && now < not_after_; }
  [[nodiscard]] WallTime renew_at() const { return renew_at_; }

 private:
  std::shared_ptr<const tls::Certificate> certificate_;
  WallTime not_after_{};
  WallTime renew_at_{};
};

}  // namespace headgate::control
