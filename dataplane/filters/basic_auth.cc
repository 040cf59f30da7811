#include "dataplane/filters/basic_auth.h"

#include "dataplane/base/text.h"
#include "dataplane/filters/password_checker.h"
#include "dataplane/http/error_response.h"
#include "dataplane/tls/crypto.h"

namespace headgate::filters {
namespace {

constexpr size_t kMaxCredentials = 1024;  // decoded

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

}  // namespace

class BasicAuth::BasicAuthRun final : public AccessRun, private PasswordSink {
 public:
  explicit BasicAuthRun(const BasicAuth& check) : check_(check) {}

  Access check(http::Exchange& exchange, AccessSink& later) override {
    constexpr std::string_view kScheme = "Basic ";
    const http::HeaderMap& headers = exchange.request().headers;
    const std::string_view value = headers.get(http::FieldId::kAuthorization);
    // Two of them: which one the upstream would believe is not known.
    if (headers.has_several(http::FieldId::kAuthorization) || !starts_with_ignore_case(value, kScheme)) {
      return Access::kDenied;
    }
    const std::string_view coded = trim(value.substr(kScheme.size()));
    if (coded.size() > kMaxCredentials / 3 * 4) return Access::kDenied;
    auto plain = tls::base64_decode(coded);
    if (!plain) return Access::kDenied;
    const size_t colon = plain->find(':');
    if (colon == std::string::npos) return Access::kDenied;
    const std::string_view user = std::string_view(*plain).substr(0, colon);
    const std::string_view hash = check_.hash_of(user);
    known_ = !hash.empty();
    sink_ = &later;
    const auto answer = question_.ask(exchange.worker().loop, user, std::string_view(*plain).substr(colon + 1),
                                      known_ ? hash : std::string_view(check_.decoy_), *this);
    tls::wipe(*plain);
    switch (answer) {
      case PasswordQuestion::Answer::kMatch: return known_ ? Access::kGranted : Access::kDenied;
      case PasswordQuestion::Answer::kMismatch: return Access::kDenied;
      case PasswordQuestion::Answer::kLater: return Access::kPending;
      case PasswordQuestion::Answer::kTooMany: status_ = 503; return Access::kDenied;
    }
    return Access::kDenied;
  }

  [[nodiscard]] uint16_t denial() const override { return status_; }

  void deny(http::Exchange& exchange) override { http::write_status_response(exchange, status_); }

  void on_response(http::Exchange& exchange, http::ResponseHead& head) override {
    if (head.status != 401 || exchange.upstream_status != 0 || head.headers.has(http::FieldId::kWwwAuthenticate)) return;
    head.headers.add(http::FieldId::kWwwAuthenticate, exchange.arena().copy(check_.challenge_));
  }

 private:
  void on_password(bool match) override { sink_->on_access(match && known_ ? Access::kGranted : Access::kDenied); }

  const BasicAuth& check_;
  AccessSink* sink_ = nullptr;
  PasswordQuestion question_;
  uint16_t status_ = 401;
  bool known_ = false;
};

BasicAuth::BasicAuth(BasicAuthOptions options) : challenge_("Basic realm=" + quoted(options.realm) + ", charset=\"UTF-8\"") {
  for (auto& [name, hash] : options.users) {
    if (decoy_.empty()) decoy_ = hash;
    users_.emplace(std::move(name), std::move(hash));
  }
}

std::string_view BasicAuth::hash_of(std::string_view user) const {
  const auto found = users_.find(user);
  return found == users_.end() ? std::string_view() : std::string_view(found->second);
}

AccessRun* BasicAuth::start(http::Exchange& exchange) const {
  return exchange.arena().make<BasicAuthRun>(*this);
}

}  // namespace headgate::filters
