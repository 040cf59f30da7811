#include "controlplane/identity/authority.h"

#include "dataplane/base/log.h"

namespace headgate::identity {
namespace {

constexpr Error kNotReady{.code = Errc::kUnreachable, .detail = "the authority has not been loaded yet"};

}  // namespace

Result<void> Authority::load(std::string& version) {
  auto stored = options_.store->load(options_.secret);
  if (!stored) return stored.error();
  auto parsed = CertificateAuthority::parse(stored->data);
  for (auto& [key, text] : stored->data) wipe(text);
  if (!parsed) return parsed.error();
  if (parsed->is_external() != options_.external) {
    return Error{.code = Errc::kInvalid,
                 .detail = options_.external ? "the authority's Secret lacks tls.crt and tls.key"
                                             : "the authority's Secret is not ours"};
  }
  version = stored->version;
  const std::lock_guard lock(mutex_);
  state_ = *std::move(parsed);
  return {};
}

Result<void> Authority::store(const CertificateAuthority& state, std::string& version) {
  SecretData data = state.serialize();
  auto saved = options_.store->save(options_.secret, data, version);
  for (auto& [key, text] : data) wipe(text);
  if (!saved) return saved.error();
  version = *std::move(saved);
  const std::lock_guard lock(mutex_);
  state_ = state;
  return {};
}

Result<void> Authority::refresh(bool may_write) {
  std::string version;
  const WallTime now = options_.clock->wall();
  if (auto loaded = load(version); !loaded) {
    const bool make = loaded.error().code == Errc::kNotFound && may_write && !options_.external;
    if (!make) return loaded.error();
    const auto made = CertificateAuthority::make(now);
    if (!made) return made.error();
    // Another replica may have been faster: then its authority is the one.
    if (auto saved = store(*made, version); !saved) {
      if (saved.error().code != Errc::kExists) return saved.error();
      HG_TRY(load(version));
    } else {
      HG_LOG(kInfo, kControl, "made a new authority", {"secret", options_.secret});
    }
  }
  if (!may_write) return {};
  bool force = false;
  {
    const std::lock_guard lock(mutex_);
    force = rotation_requested_;
  }
  const auto rotated = state()->rotate(now, force);
  if (!rotated) return rotated.error();
  if (*rotated) {
    HG_TRY(store(**rotated, version));
    HG_LOG(kInfo, kControl, "the authority rotates", {"next_root", (*rotated)->has_next() ? "announced" : "in use"});
  }
  {
    const std::lock_guard lock(mutex_);
    if (state_->has_next()) rotation_requested_ = false;
  }
  return publish_roots(version);
}

// The clock of the overlap starts when the next root was given out, not when it was made.
Result<void> Authority::publish_roots(std::string& version) {
  const std::string roots = roots_pem();
  if (options_.publish != nullptr && roots != published_pem_) {
    HG_TRY(options_.publish(roots));
    published_pem_ = roots;
  }
  const auto marked = state()->mark_published(options_.clock->wall());
  if (!marked) return {};
  return store(*marked, version);
}

void Authority::request_rotation() {
  const std::lock_guard lock(mutex_);
  rotation_requested_ = true;
}

bool Authority::is_ready() const {
  const std::lock_guard lock(mutex_);
  return state_.has_value();
}

std::optional<CertificateAuthority> Authority::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

std::string Authority::roots_pem() const {
  const std::lock_guard lock(mutex_);
  return state_ ? state_->roots_pem() : std::string();
}

Result<Certified> Authority::certify(const WorkloadName& workload, const std::string& pod_uid,
                                     std::string_view request_der) const {
  const auto authority = state();
  if (!authority) return kNotReady;
  const WallTime now = options_.clock->wall();
  LeafSpec spec{.uri = to_uri(workload), .pod_uid = pod_uid, .client = true};
  spec.not_before = now - CertificateAuthority::kClockSkew;
  spec.not_after = now + kDataplaneLife;
  auto chain = identity::certify(authority->signer(now), request_der, spec);
  if (!chain) return chain.error();
  const auto facts = inspect(*chain);
  if (!facts) return facts.error();
  return Certified{.chain_pem = *std::move(chain),
                   .roots_pem = authority->roots_pem(),
                   .not_after = facts->not_after,
                   .renew_after = now + (facts->not_after - now) / 2};
}

Result<KeyPair> Authority::issue_server(const ServerNames& names, Duration life) const {
  const auto authority = state();
  if (!authority) return kNotReady;
  const WallTime now = options_.clock->wall();
  LeafSpec spec{.dns_names = names.dns_names, .addresses = names.addresses, .server = true};
  if (names.workload) {
    spec.uri = to_uri(*names.workload);
    spec.client = true;
  }
  spec.not_before = now - CertificateAuthority::kClockSkew;
  spec.not_after = now + std::min<Duration>(life, CertificateAuthority::kLongestLeaf);
  return issue(authority->signer(now), spec);
}

}  // namespace headgate::identity
