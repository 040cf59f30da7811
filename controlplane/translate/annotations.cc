#include "controlplane/translate/annotations.h"

#include <algorithm>
#include <array>
#include <map>

#include "controlplane/translate/values.h"

namespace headgate::translate {

namespace {

using enum Treatment;

constexpr std::string_view kStreamed = "bodies are streamed, no buffer of this kind exists";
constexpr std::string_view kAlwaysAsked = "the service is asked about every request";
constexpr std::string_view kNoFirewall = "there is no ModSecurity; put a web application firewall in front or behind";
constexpr std::string_view kNoTemplate =
    "configuration text is never taken over; use set-request-headers, set-response-headers, remove-response-headers, "
    "permanent-redirect, denylist-source-range and the like under headgate.dev/";

// In the order of the reference of ingress-nginx, then our own.
constexpr auto kRows = std::to_array<AnnotationRow>({
    {"rewrite-target", kUsed},
    {"use-regex", kUsed},
    {"x-forwarded-prefix", kUsed},
    {"app-root", kUsed},
    {"ssl-redirect", kUsed},
    {"force-ssl-redirect", kUsed},
    {"preserve-trailing-slash", kNoEffect, "redirects to https keep the path as it is"},
    {"use-port-in-redirects", kNotYet, "redirects to https name the port of the controller's settings"},
    {"from-to-www-redirect", kUsed},
    {"permanent-redirect", kUsed},
    {"permanent-redirect-code", kUsed},
    {"temporal-redirect", kUsed},
    {"temporal-redirect-code", kUsed},
    {"relative-redirects", kNotYet, "redirects are absolute"},
    {"proxy-redirect-from", kNotYet, "Location and Refresh of answers pass unchanged"},
    {"proxy-redirect-to", kNotYet, "Location and Refresh of answers pass unchanged"},
    {"server-alias", kUsed},
    {"backend-protocol", kUsed},
    {"upstream-vhost", kUsed},
    {"service-upstream", kUsed},
    {"proxy-body-size", kUsed},
    {"client-body-buffer-size", kNoEffect, kStreamed},
    {"proxy-request-buffering", kUsed},
    {"proxy-buffering", kNoEffect, "answers are streamed, and a slow client holds no memory"},
    {"proxy-buffer-size", kUsed},
    {"proxy-buffers-number", kNoEffect, kStreamed},
    {"proxy-busy-buffers-size", kNoEffect, kStreamed},
    {"proxy-max-temp-file-size", kNoEffect, kStreamed},
    {"proxy-connect-timeout", kUsed},
    {"proxy-send-timeout", kUsed},
    {"proxy-read-timeout", kUsed},
    {"proxy-http-version", kNoEffect, "upstreams are spoken to with HTTP/1.1, or HTTP/2 as backend-protocol says"},
    {"proxy-next-upstream", kUsed},
    {"proxy-next-upstream-tries", kUsed},
    {"proxy-next-upstream-timeout", kUsed},
    {"connection-proxy-header", kNoEffect,
     "Connection is managed per connection; WebSockets are tunnelled by themselves"},
    {"proxy-cookie-domain", kNotYet, "Set-Cookie passes unchanged"},
    {"proxy-cookie-path", kNotYet, "Set-Cookie passes unchanged"},
    {"load-balance", kUsed},
    {"upstream-hash-by", kUsed},
    {"upstream-hash-by-subset", kUsed},
    {"upstream-hash-by-subset-size", kUsed},
    {"custom-headers", kUsed},
    {"http2-push-preload", kNoEffect, "server push is gone from browsers"},
    {"fastcgi-index", kNotYet, "FastCGI is not spoken"},
    {"fastcgi-params-configmap", kNotYet, "FastCGI is not spoken"},
    {"auth-tls-secret", kUsed},
    {"auth-tls-verify-client", kUsed},
    {"auth-tls-verify-depth", kUsed},
    {"auth-tls-error-page", kUsed},
    {"auth-tls-pass-certificate-to-upstream", kUsed},
    {"auth-tls-match-cn", kUsed},
    {"proxy-ssl-secret", kUsed},
    {"proxy-ssl-verify", kUsed},
    {"proxy-ssl-verify-depth", kUsed},
    {"proxy-ssl-name", kUsed},
    {"proxy-ssl-server-name", kUsed},
    {"proxy-ssl-protocols", kUsed},
    {"proxy-ssl-ciphers", kUsed},
    {"ssl-ciphers", kNotYet, "ciphers are the same for all hosts of a listener: set ssl-ciphers in the ConfigMap"},
    {"ssl-prefer-server-ciphers", kNoEffect, "only ciphers of equal strength are offered"},
    {"ssl-passthrough", kUnservedIfOn, "TLS always ends here; use a TCP service on a port of its own"},
    {"auth-type", kUsed},
    {"auth-secret", kUsed},
    {"auth-secret-type", kUsed},
    {"auth-realm", kUsed},
    {"auth-url", kUsed},
    {"auth-method", kUsed},
    {"auth-signin", kUsed},
    {"auth-signin-redirect-param", kUsed},
    {"auth-response-headers", kUsed},
    {"auth-request-redirect", kUsed},
    {"auth-proxy-set-headers", kUsed},
    {"auth-cache-key", kNoEffect, kAlwaysAsked},
    {"auth-cache-duration", kNoEffect, kAlwaysAsked},
    {"auth-keepalive", kNoEffect, "connections to the service are kept open by themselves"},
    {"auth-keepalive-requests", kNoEffect, "connections to the service are kept open by themselves"},
    {"auth-keepalive-timeout", kNoEffect, "connections to the service are kept open by themselves"},
    {"auth-keepalive-share-vars", kNoEffect, "connections to the service are kept open by themselves"},
    {"auth-always-set-cookie", kUsed},
    {"enable-global-auth", kUsed},
    {"auth-snippet", kUnserved, kNoTemplate},
    {"satisfy", kUsed},
    {"whitelist-source-range", kUsed},
    {"allowlist-source-range", kUsed},
    {"denylist-source-range", kUsed},
    {"limit-rps", kUsed},
    {"limit-rpm", kUsed},
    {"limit-connections", kUsed},
    {"limit-burst-multiplier", kUsed},
    {"limit-rate", kUsed},
    {"limit-rate-after", kUsed},
    {"limit-whitelist", kUsed},
    {"limit-allowlist", kUsed},
    {"enable-modsecurity", kUnservedIfOn, kNoFirewall},
    {"enable-owasp-core-rules", kUnservedIfOn, kNoFirewall},
    {"modsecurity-transaction-id", kNoEffect, "there is no ModSecurity"},
    {"modsecurity-snippet", kUnserved, kNoFirewall},
    {"enable-cors", kUsed},
    {"cors-allow-origin", kUsed},
    {"cors-allow-methods", kUsed},
    {"cors-allow-headers", kUsed},
    {"cors-expose-headers", kUsed},
    {"cors-allow-credentials", kUsed},
    {"cors-max-age", kUsed},
    {"affinity", kUsed},
    {"affinity-mode", kUsed},
    {"affinity-canary-behavior", kUsed},
    {"session-cookie-name", kUsed},
    {"session-cookie-path", kUsed},
    {"session-cookie-expires", kUsed},
    {"session-cookie-max-age", kUsed},
    {"session-cookie-domain", kUsed},
    {"session-cookie-samesite", kUsed},
    {"session-cookie-conditional-samesite-none", kUsed},
    {"session-cookie-secure", kUsed},
    {"session-cookie-change-on-failure", kUsed},
    {"canary", kUsed},
    {"canary-by-header", kUsed},
    {"canary-by-header-value", kUsed},
    {"canary-by-header-pattern", kUsed},
    {"canary-by-cookie", kUsed},
    {"canary-weight", kUsed},
    {"canary-weight-total", kUsed},
    {"custom-http-errors", kUsed},
    {"default-backend", kUsed},
    {"disable-proxy-intercept-errors", kUsed},
    {"mirror-target", kUsed},
    {"mirror-host", kUsed},
    {"mirror-request-body", kUsed},
    {"enable-access-log", kUsed},
    {"enable-rewrite-log", kNoEffect, "there is no rewrite log"},
    {"enable-opentelemetry", kNotYet, "trace context passes through, no spans are sent"},
    {"opentelemetry-trust-incoming-span", kNotYet, "trace context passes through, no spans are sent"},
    {"opentelemetry-operation-name", kNotYet, "trace context passes through, no spans are sent"},
    {"configuration-snippet", kUnserved, kNoTemplate},
    {"server-snippet", kUnserved, kNoTemplate},
    {"stream-snippet", kUnserved, kNoTemplate},

    // Gone from ingress-nginx, but still in manifests.
    {"secure-backends", kNotYet, "use backend-protocol: HTTPS"},
    {"grpc-backend", kNotYet, "use backend-protocol: GRPC"},
    {"add-base-url", kNotYet, "no answer is rewritten"},
    {"session-cookie-hash", kNoEffect, "the hash is headgate's own"},
    {"influxdb-enabled", kNotYet, "metrics are scraped from /metrics"},
    {"enable-opentracing", kNotYet, "trace context passes through, no spans are sent"},
    {"opentracing-trust-incoming-span", kNotYet, "trace context passes through, no spans are sent"},
    {"global-rate-limit", kUnserved, "no limit is shared by several proxies; use limit-rps or limit-rpm"},
    {"global-rate-limit-window", kNoEffect, "see global-rate-limit"},
    {"global-rate-limit-key", kNoEffect, "see global-rate-limit"},
    {"global-rate-limit-ignored-cidrs", kNoEffect, "see global-rate-limit"},

    {"set-request-headers", kUsed},
    {"remove-request-headers", kUsed},
    {"set-response-headers", kUsed},
    {"remove-response-headers", kUsed},
});

}  // namespace

bool asks_for_nothing(std::string_view value) {
  const auto truth = parse_bool(value);
  return value == "off" || (truth.has_value() && !*truth);
}

std::span<const AnnotationRow> annotation_rows() { return kRows; }

const AnnotationRow* annotation_row(std::string_view name) {
  static const std::map<std::string_view, const AnnotationRow*> index = [] {
    std::map<std::string_view, const AnnotationRow*> rows;
    for (const AnnotationRow& row : kRows) rows.emplace(row.name, &row);
    return rows;
  }();
  const auto at = index.find(name);
  return at == index.end() ? nullptr : at->second;
}

const std::string* Annotations::find(std::string_view name) const {
  if (metadata_.annotations().empty()) return nullptr;
  for (const std::string& prefix : settings_.annotation_prefixes) {
    const auto at = metadata_.annotations().find(prefix + "/" + std::string(name));
    if (at != metadata_.annotations().end()) return &at->second;
  }
  return nullptr;
}

std::optional<std::string> Annotations::value(std::string_view name, std::string_view alias) const {
  const std::string* found = find(name);
  if ((found == nullptr || found->empty()) && !alias.empty()) found = find(alias);
  return found == nullptr || found->empty() ? std::nullopt : std::optional(*found);
}

bool Annotations::is_present(std::string_view name) const { return find(name) != nullptr; }

bool Annotations::judge(Notes& notes) const {
  bool served = true;
  const std::map<std::string, std::string> sorted(metadata_.annotations().begin(), metadata_.annotations().end());
  for (const auto& [key, value] : sorted) {
    const size_t slash = key.find('/');
    if (slash == std::string::npos) continue;
    const std::string prefix = key.substr(0, slash);
    const auto& ours = settings_.annotation_prefixes;
    if (std::find(ours.begin(), ours.end(), prefix) == ours.end()) continue;
    const AnnotationRow* row = annotation_row(std::string_view(key).substr(slash + 1));
    if (row == nullptr) {
      notes.warn("UnknownAnnotation", key + ": there is no such annotation; it does nothing");
      continue;
    }
    if (value.empty() || (asks_for_nothing(value) && row->treatment != kUnserved)) continue;
    const std::string text(row->text);
    switch (row->treatment) {
      case kUsed: break;
      case kNoEffect: notes.inform("AnnotationWithoutEffect", key + ": no effect here: " + text); break;
      case kNotYet: notes.warn("AnnotationNotSupported", key + ": not supported yet: " + text); break;
      case kUnserved:
      case kUnservedIfOn:
        notes.warn("AnnotationRefused", key + ": refused, and the Ingress is not served: " + text);
        served = false;
        break;
    }
  }
  return served;
}

}  // namespace headgate::translate
