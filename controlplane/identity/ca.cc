#include "controlplane/identity/ca.h"

#include <vector>

#include "dataplane/base/number.h"

namespace headgate::identity {
namespace {

// Of our own Secret. Times are seconds since 1970.
constexpr const char* kCurrentCertificate = "ca.crt";
constexpr const char* kCurrentKey = "ca.key";
constexpr const char* kNextCertificate = "next.crt";
constexpr const char* kNextKey = "next.key";
constexpr const char* kNextPublished = "next-published";
constexpr const char* kPreviousCertificates = "previous.crt";
constexpr const char* kPreviousUntil = "previous-until";
// Of a Secret of the type kubernetes.io/tls.
constexpr const char* kTlsCertificate = "tls.crt";
constexpr const char* kTlsKey = "tls.key";

std::string find(const SecretData& data, const char* key) {
  const auto found = data.find(key);
  return found == data.end() ? std::string() : found->second;
}

std::string to_seconds_text(WallTime time) {
  return std::to_string(std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count());
}

Result<WallTime> parse_seconds(const std::string& text) {
  // Four digits of years are enough for everybody.
  const auto seconds = parse_decimal<uint32_t>(text.size() > 10 ? std::string_view() : std::string_view(text));
  if (!seconds) return Error{.code = Errc::kInvalid, .detail = "a time in the authority's Secret"};
  return WallTime(std::chrono::seconds(*seconds));
}

Result<KeyPair> make_new_root(WallTime now) {
  return make_root({.common_name = "headgate authority " + to_seconds_text(now),
                    .not_before = now - CertificateAuthority::kClockSkew,
                    .not_after = now + CertificateAuthority::kRootLife});
}

Result<CertificateFacts> inspect_authority(const KeyPair& pair) {
  auto facts = inspect(pair.chain_pem);
  if (!facts) return facts.error();
  if (!facts->is_authority) {
    return Error{.code = Errc::kTls, .detail = "the authority's certificate may not sign others"};
  }
  if (!key_matches(pair)) {
    return Error{.code = Errc::kTls, .detail = "the authority's key does not belong to its certificate"};
  }
  return facts;
}

}  // namespace

Result<CertificateAuthority> CertificateAuthority::make(WallTime now) {
  CertificateAuthority made;
  auto root = make_new_root(now);
  if (!root) return root.error();
  made.current_ = *std::move(root);
  const auto facts = inspect_authority(made.current_);
  if (!facts) return facts.error();
  made.current_facts_ = *facts;
  return made;
}

Result<CertificateAuthority> CertificateAuthority::parse(const SecretData& data) {
  if (!data.contains(kCurrentKey) && data.contains(kTlsKey)) return parse_external(data);
  CertificateAuthority read;
  read.current_ = {.chain_pem = find(data, kCurrentCertificate), .key_pem = find(data, kCurrentKey)};
  if (read.current_.chain_pem.empty() || read.current_.key_pem.empty()) {
    return Error{.code = Errc::kInvalid, .detail = "the authority's Secret lacks ca.crt or ca.key"};
  }
  const auto facts = inspect_authority(read.current_);
  if (!facts) return facts.error();
  read.current_facts_ = *facts;
  if (data.contains(kNextCertificate)) {
    read.next_ = KeyPair{.chain_pem = find(data, kNextCertificate), .key_pem = find(data, kNextKey)};
    if (const auto next = inspect_authority(*read.next_); !next) return next.error();
    if (data.contains(kNextPublished)) {
      const auto published = parse_seconds(find(data, kNextPublished));
      if (!published) return published.error();
      read.next_published_ = *published;
    }
  }
  read.previous_pem_ = find(data, kPreviousCertificates);
  if (!read.previous_pem_.empty()) {
    if (const auto previous = split_chain(read.previous_pem_); !previous) return previous.error();
    const auto until = parse_seconds(find(data, kPreviousUntil));
    if (!until) return until.error();
    read.previous_until_ = *until;
  }
  return read;
}

Result<CertificateAuthority> CertificateAuthority::parse_external(const SecretData& data) {
  CertificateAuthority read;
  read.external_ = true;
  read.current_ = {.chain_pem = find(data, kTlsCertificate), .key_pem = find(data, kTlsKey)};
  const auto facts = inspect_authority(read.current_);
  if (!facts) return facts.error();
  read.current_facts_ = *facts;
  read.external_roots_pem_ = find(data, kCurrentCertificate);
  if (read.external_roots_pem_.empty()) {
    const auto chain = split_chain(read.current_.chain_pem);
    if (!chain) return chain.error();
    const auto last = inspect(chain->back());
    if (!last) return last.error();
    if (!last->is_self_signed) {
      return Error{.code = Errc::kInvalid, .detail = "the authority's Secret lacks its root, ca.crt"};
    }
    read.external_roots_pem_ = chain->back();
  } else if (const auto roots = split_chain(read.external_roots_pem_); !roots) {
    return roots.error();
  }
  return read;
}

SecretData CertificateAuthority::serialize() const {
  if (external_) {
    return {
        {kTlsCertificate, current_.chain_pem}, {kTlsKey, current_.key_pem}, {kCurrentCertificate, external_roots_pem_}};
  }
  SecretData data = {{kCurrentCertificate, current_.chain_pem}, {kCurrentKey, current_.key_pem}};
  if (next_) {
    data[kNextCertificate] = next_->chain_pem;
    data[kNextKey] = next_->key_pem;
  }
  if (next_published_) data[kNextPublished] = to_seconds_text(*next_published_);
  if (!previous_pem_.empty()) {
    data[kPreviousCertificates] = previous_pem_;
    data[kPreviousUntil] = to_seconds_text(previous_until_);
  }
  return data;
}

Result<std::optional<CertificateAuthority>> CertificateAuthority::rotate(WallTime now, bool force) const {
  using Changed = std::optional<CertificateAuthority>;
  if (external_) return Changed();
  CertificateAuthority changed = *this;
  bool is_changed = false;
  if (!previous_pem_.empty() && now >= previous_until_) {
    changed.previous_pem_.clear();
    is_changed = true;
  }
  if (next_ && &signer(now) == &*next_) {
    changed.previous_pem_ = current_.chain_pem + changed.previous_pem_;
    // Every replica has the new state a minute after it was written; until then one may still sign with the old key.
    changed.previous_until_ = now + kLongestLeaf + kOverlap;
    changed.current_ = *next_;
    const auto facts = inspect_authority(*next_);
    if (!facts) return facts.error();
    changed.current_facts_ = *facts;
    changed.next_.reset();
    changed.next_published_.reset();
    is_changed = true;
  } else if (!next_) {
    const Duration life = current_facts_.not_after - current_facts_.not_before;
    if (force || now >= current_facts_.not_after - life / 5) {
      auto root = make_new_root(now);
      if (!root) return root.error();
      changed.next_ = *std::move(root);
      is_changed = true;
    }
  }
  return is_changed ? Changed(std::move(changed)) : Changed();
}

std::optional<CertificateAuthority> CertificateAuthority::mark_published(WallTime now) const {
  if (!next_ || next_published_) return std::nullopt;
  CertificateAuthority changed = *this;
  changed.next_published_ = now;
  return changed;
}

const KeyPair& CertificateAuthority::signer(WallTime now) const {
  // An authority that has expired signs nothing useful: better a root that some do not know yet.
  const bool next_is_known = next_published_ && now >= *next_published_ + kOverlap;
  const bool use_next = next_ && (next_is_known || now >= current_facts_.not_after);
  return use_next ? *next_ : current_;
}

std::string CertificateAuthority::roots_pem() const {
  if (external_) return external_roots_pem_;
  return current_.chain_pem + (next_ ? next_->chain_pem : "") + previous_pem_;
}

}  // namespace headgate::identity
