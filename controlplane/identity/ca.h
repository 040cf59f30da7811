// ca.h -- the authority that names dataplanes and controllers: its keys, their rotation, and the roots to trust.
//
// Rotation, without a moment in which somebody meets a root he does not know yet:
//
//   current                 signs; its certificate is a root
//   current + next          from 4/5 of current's life: next's certificate is a root, current still signs
//                           kOverlap after mark_published(): next signs
//   next becomes current    the old certificate stays a root until all that it signed has expired
//
// An authority of somebody else's (cert-manager, a company) signs too, and is never rotated by us.
// Thread: any; values, each state is immutable and rotate() gives another.   Owner: Authority.
#pragma once

#include <optional>
#include <string>

#include "controlplane/identity/certificate.h"
#include "controlplane/identity/secret_store.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/result.h"

namespace headgate::identity {

class CertificateAuthority {
 public:
  static constexpr Duration kRootLife = std::chrono::hours(24 * 3652);
  static constexpr Duration kOverlap = std::chrono::hours(24);     // a root is known that long before it signs
  static constexpr Duration kLongestLeaf = std::chrono::hours(24 * 90);
  static constexpr Duration kClockSkew = std::chrono::minutes(5);  // certificates begin that long ago

  static Result<CertificateAuthority> make(WallTime now);
  // What serialize() gave, or a Secret of the type kubernetes.io/tls ("tls.crt", "tls.key", and "ca.crt" unless the
  // chain ends in its root). kInvalid: something is missing; kTls: unreadable, or the key is of another certificate.
  static Result<CertificateAuthority> parse(const SecretData& data);
  [[nodiscard]] SecretData serialize() const;

  // The state that should replace this one, if it is time; `force` begins a rotation now (a key was seen by somebody).
  [[nodiscard]] Result<std::optional<CertificateAuthority>> rotate(WallTime now, bool force = false) const;
  // The roots were given out at `now`, the next one among them. Nothing when that was known.
  [[nodiscard]] std::optional<CertificateAuthority> mark_published(WallTime now) const;

  // What signs at `now`, with its intermediates.
  [[nodiscard]] const KeyPair& signer(WallTime now) const;
  // Every certificate that should be trusted, PEM.
  [[nodiscard]] std::string roots_pem() const;
  [[nodiscard]] bool is_external() const { return external_; }
  [[nodiscard]] bool has_next() const { return next_.has_value(); }

 private:
  CertificateAuthority() = default;
  static Result<CertificateAuthority> parse_external(const SecretData& data);

  bool external_ = false;
  KeyPair current_;
  CertificateFacts current_facts_;
  std::optional<KeyPair> next_;
  std::optional<WallTime> next_published_;
  std::string previous_pem_;  // roots that sign no more
  WallTime previous_until_{};
  std::string external_roots_pem_;
};

}  // namespace headgate::identity
