#include "controlplane/translate/config_map.h"

#include <array>
#include <functional>
#include <limits>
#include <map>

#include "controlplane/translate/annotations.h"
#include "controlplane/translate/bounds.h"
#include "controlplane/translate/values.h"
#include "dataplane/base/address.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"

namespace headgate::translate {

namespace v1 = config::v1;

namespace {

// What is wrong with a value; empty: nothing.
using Setter = std::string (*)(Defaults& defaults, const std::string& value);

template <auto Member>
std::string set_bool(Defaults& defaults, const std::string& value) {
  const auto parsed = parse_bool(value);
  if (!parsed) return "expected true or false";
  defaults.*Member = *parsed;
  return {};
}

template <auto Member>
std::string set_number(Defaults& defaults, const std::string& value) {
  const auto parsed = parse_decimal<uint32_t>(value);
  if (!parsed || *parsed > 31622400) return "expected a whole number";
  defaults.*Member = *parsed;
  return {};
}

// A number of seconds that cannot be 0.
template <auto Member>
std::string set_seconds(Defaults& defaults, const std::string& value) {
  const auto parsed = parse_time_ms(value);
  if (!parsed || *parsed < 1000) return "expected a number of seconds above 0";
  defaults.*Member = static_cast<uint32_t>(*parsed / 1000);
  return {};
}

template <auto Member>
std::string set_text(Defaults& defaults, const std::string& value) {
  defaults.*Member = value;
  return {};
}

template <auto Member>
std::string set_list(Defaults& defaults, const std::string& value) {
  defaults.*Member = list_of(value);
  return {};
}

template <auto Member>
std::string set_ranges(Defaults& defaults, const std::string& value) {
  std::vector<std::string> ranges = list_of(value);
  for (const std::string& range : ranges) {
    if (!Cidr::parse(range)) return quote_json(range) + " is no address range";
  }
  defaults.*Member = std::move(ranges);
  return {};
}

template <auto Member>
std::string set_status(Defaults& defaults, const std::string& value) {
  const auto parsed = parse_decimal<uint32_t>(value);
  if (!parsed || *parsed < 400 || *parsed > 599) return "expected a status code from 400 to 599";
  defaults.*Member = *parsed;
  return {};
}

std::string set_redirect_code(Defaults& defaults, const std::string& value) {
  for (const uint32_t code : {301U, 302U, 303U, 307U, 308U}) {
    if (value == std::to_string(code)) {
      defaults.redirect_code = code;
      return {};
    }
  }
  return "expected 301, 302, 303, 307 or 308";
}

std::string set_error_codes(Defaults& defaults, const std::string& value) {
  defaults.error_codes.clear();
  for (const std::string& text : list_of(value)) {
    const auto code = parse_decimal<uint32_t>(text);
    if (!code || *code < 400 || *code > 599) return quote_json(text) + " is no error code from 400 to 599";
    defaults.error_codes.push_back(*code);
  }
  return {};
}

std::string set_request_buffering(Defaults& defaults, const std::string& value) {
  const auto parsed = parse_on_off(value);
  if (!parsed) return "expected on or off";
  defaults.request_buffering = *parsed;
  return {};
}

std::string set_size(Defaults& defaults, const std::string& value) {
  const auto size = parse_size(value);
  if (!size) return "expected a size such as 1m";
  defaults.body_bytes = *size;
  return {};
}

std::string set_hsts_age(Defaults& defaults, const std::string& value) {
  const auto age = parse_decimal<uint64_t>(value);
  if (!age || *age > 315576000) return "expected a number of seconds, up to ten years";
  defaults.hsts_max_age = *age;
  return {};
}

std::string set_load_balance(Defaults& defaults, const std::string& value) {
  if (value != "round_robin" && value != "ewma") return "expected round_robin or ewma";
  defaults.load_balance = value;
  return {};
}

std::string set_next_upstream(Defaults& defaults, const std::string& value) {
  if (!parse_next_upstream(value)) return "expected words such as error, timeout, http_502 or off";
  defaults.next_upstream = value;
  return {};
}

std::string set_protocols(Defaults& defaults, const std::string& value) {
  std::string known;
  for (const std::string& word : list_of(value, " ,")) {
    if (word == "TLSv1" || word == "TLSv1.1") return word + " is not offered: it has no safe ciphers";
    if (word != "TLSv1.2" && word != "TLSv1.3") return quote_json(word) + " is no protocol version";
    known += (known.empty() ? "" : " ") + word;
  }
  if (known.empty()) return "expected TLSv1.2 and TLSv1.3, or one of them";
  defaults.tls_protocols = known;
  return {};
}

std::string set_tls_ciphers(Defaults& defaults, const std::string& value) {
  for (const char c : value) {
    if (!is_alpha(c) && !is_digit(c) && std::string_view(":!@+-_=").find(c) == std::string_view::npos) {
      return "expected a list of ciphers in OpenSSL's notation";
    }
  }
  defaults.tls_ciphers = value;
  return {};
}

std::string set_keepalive_connections(Defaults& defaults, const std::string& value) {
  const auto parsed = parse_decimal<uint32_t>(value);
  if (!parsed) return "expected a whole number";
  defaults.connection.set_idle_per_endpoint(*parsed);
  return {};
}

std::string set_keepalive_requests(Defaults& defaults, const std::string& value) {
  const auto parsed = parse_decimal<uint32_t>(value);
  if (!parsed) return "expected a whole number";
  defaults.connection.set_requests_per_connection(*parsed);
  return {};
}

template <auto Mutable>
std::string set_connection_time(Defaults& defaults, const std::string& value) {
  const auto parsed = parse_time_ms(value);
  if (!parsed || *parsed == 0) return "expected a time above 0";
  auto* duration = (defaults.connection.*Mutable)();
  duration->set_seconds(static_cast<int64_t>(*parsed / 1000));
  duration->set_nanos(static_cast<int32_t>(*parsed % 1000 * 1000000));
  return {};
}

v1::Compress& compress_of(Defaults& defaults) {
  if (!defaults.compress) defaults.compress.emplace();
  return *defaults.compress;
}

// The gzip keys count only with use-gzip or enable-brotli; read_defaults() removes what they made without it.
std::string set_gzip_level(Defaults& defaults, const std::string& value) {
  const auto level = parse_decimal<uint32_t>(value);
  if (!level || *level < 1 || *level > 9) return "expected 1 to 9";
  compress_of(defaults).set_level(*level);
  return {};
}
std::string set_gzip_min(Defaults& defaults, const std::string& value) {
  const auto size = parse_decimal<uint32_t>(value);
  if (!size) return "expected a number of bytes";
  compress_of(defaults).set_min_bytes(*size);
  return {};
}
std::string set_gzip_types(Defaults& defaults, const std::string& value) {
  compress_of(defaults).clear_content_types();
  for (const std::string& type : list_of(value, " ,")) {
    if (type.find('/') != std::string::npos) compress_of(defaults).add_content_types(type);
  }
  return {};
}

// Heads of answers may have that much anyway; whoever needs more must hear that it does not go.
std::string check_head_size(Defaults&, const std::string& value) {
  const auto size = parse_size(value);
  if (!size) return "expected a size such as 16k";
  return *size > kResponseHeadBytes ? "heads of answers may have 64 KiB, not more" : "";
}

struct KeyRow {
  std::string_view key;     // "NAME-*": all that begin so
  Setter set;              // null: see `note`
  std::string_view note{};  // why the key does nothing here
};

constexpr std::string_view kOwnWay = "no effect here: headgate decides this by itself";
constexpr std::string_view kHeadSize = "no effect here: the head of a request may have 32 KiB";
constexpr std::string_view kListenerOption = "no effect here: addresses of listeners are options of the controller";
constexpr std::string_view kUnsupported = "not supported yet";
constexpr std::string_view kNoSpans = "not supported yet: trace context passes through, no spans are sent";
constexpr std::string_view kFirewallRefused =
    "refused: there is no ModSecurity; put a web application firewall in front or behind";
constexpr std::string_view kSnippet =
    "refused: configuration text is never taken over; use the typed annotations (headgate.dev/set-response-headers "
    "...)";

constexpr auto kKeys = std::to_array<KeyRow>({
    {"proxy-body-size", set_size},
    {"proxy-connect-timeout", set_seconds<&Defaults::connect_timeout_s>},
    {"proxy-read-timeout", set_seconds<&Defaults::read_timeout_s>},
    {"proxy-send-timeout", set_seconds<&Defaults::send_timeout_s>},
    {"proxy-next-upstream", set_next_upstream},
    {"proxy-next-upstream-tries", set_number<&Defaults::next_upstream_tries>},
    {"proxy-next-upstream-timeout", set_number<&Defaults::next_upstream_timeout_s>},
    {"retry-non-idempotent", set_bool<&Defaults::retry_non_idempotent>},
    {"load-balance", set_load_balance},
    {"service-upstream", set_bool<&Defaults::service_upstream>},
    {"upstream-keepalive-connections", set_keepalive_connections},
    {"upstream-keepalive-requests", set_keepalive_requests},
    {"upstream-keepalive-timeout", set_connection_time<&v1::ConnectionSettings::mutable_idle>},
    {"upstream-keepalive-time", set_connection_time<&v1::ConnectionSettings::mutable_max_age>},
    {"ssl-redirect", set_bool<&Defaults::ssl_redirect>},
    {"force-ssl-redirect", set_bool<&Defaults::force_ssl_redirect>},
    {"http-redirect-code", set_redirect_code},
    {"no-tls-redirect-locations", set_list<&Defaults::no_tls_redirect_locations>},
    {"no-auth-locations", set_list<&Defaults::no_auth_locations>},
    {"hsts", set_bool<&Defaults::hsts>},
    {"hsts-max-age", set_hsts_age},
    {"hsts-include-subdomains", set_bool<&Defaults::hsts_subdomains>},
    {"hsts-preload", set_bool<&Defaults::hsts_preload>},
    {"use-forwarded-headers", set_bool<&Defaults::use_forwarded_headers>},
    {"compute-full-forwarded-for", set_bool<&Defaults::append_forwarded_for>},
    {"proxy-real-ip-cidr", set_ranges<&Defaults::real_ip_ranges>},
    {"use-proxy-protocol", set_bool<&Defaults::use_proxy_protocol>},
    {"generate-request-id", set_bool<&Defaults::generate_request_id>},
    {"proxy-add-original-uri-header", set_bool<&Defaults::original_uri_header>},
    {"whitelist-source-range", set_ranges<&Defaults::allow_ranges>},
    {"allowlist-source-range", set_ranges<&Defaults::allow_ranges>},
    {"denylist-source-range", set_ranges<&Defaults::deny_ranges>},
    {"block-cidrs", set_ranges<&Defaults::block_ranges>},
    {"limit-req-status-code", set_status<&Defaults::limit_requests_status>},
    {"limit-conn-status-code", set_status<&Defaults::limit_connections_status>},
    {"custom-http-errors", set_error_codes},
    {"disable-proxy-intercept-errors", set_bool<&Defaults::own_errors_only>},
    {"global-allowed-response-headers", set_list<&Defaults::allowed_response_headers>},
    {"hide-headers", set_list<&Defaults::hide_headers>},
    {"allow-backend-server-header", set_bool<&Defaults::pass_server_header>},
    {"add-headers", set_text<&Defaults::add_headers>},
    {"proxy-set-headers", set_text<&Defaults::proxy_set_headers>},
    {"strict-validate-path-type", set_bool<&Defaults::strict_paths>},
    {"global-auth-url", set_text<&Defaults::auth_url>},
    {"global-auth-method", set_text<&Defaults::auth_method>},
    {"global-auth-signin", set_text<&Defaults::auth_signin>},
    {"global-auth-signin-redirect-param", set_text<&Defaults::auth_signin_param>},
    {"global-auth-response-headers", set_text<&Defaults::auth_response_headers>},
    {"global-auth-request-redirect", set_text<&Defaults::auth_request_redirect>},
    {"global-auth-always-set-cookie", set_bool<&Defaults::auth_always_set_cookie>},
    {"gzip-level", set_gzip_level},
    {"gzip-min-length", set_gzip_min},
    {"gzip-types", set_gzip_types},
    {"use-http2", set_bool<&Defaults::http2>},
    {"http2-max-concurrent-streams", set_number<&Defaults::streams_per_connection>},
    {"keep-alive", set_seconds<&Defaults::keep_alive_s>},
    {"keep-alive-requests", set_number<&Defaults::requests_per_connection>},
    {"proxy-protocol-header-timeout", set_seconds<&Defaults::proxy_header_s>},
    {"client-header-timeout", set_seconds<&Defaults::header_timeout_s>},
    {"client-body-timeout", set_seconds<&Defaults::body_timeout_s>},
    {"worker-shutdown-timeout", set_seconds<&Defaults::drain_s>},
    {"proxy-stream-timeout", set_seconds<&Defaults::stream_timeout_s>},
    {"ssl-protocols", set_protocols},
    {"ssl-ciphers", set_tls_ciphers},
    {"ssl-session-tickets", set_bool<&Defaults::tls_tickets>},
    {"ssl-reject-handshake", set_bool<&Defaults::reject_unknown_names>},
    {"proxy-buffer-size", check_head_size},
    {"proxy-request-buffering", set_request_buffering},
    {"limit-rate", set_number<&Defaults::limit_rate_kb>},
    {"limit-rate-after", set_number<&Defaults::limit_rate_after_kb>},
    {"use-gzip", nullptr},                 // read first, below
    {"enable-brotli", nullptr},            // likewise
    {"disable-access-log", nullptr},       // likewise
    {"disable-http-access-log", nullptr},  // likewise

    // Done otherwise.
    {"proxy-buffering", nullptr, "no effect here: answers are streamed, and a slow client holds no memory"},
    {"client-body-buffer-size", nullptr, "no effect here: request bodies are streamed"},
    {"proxy-buffers-number", nullptr, kOwnWay},
    {"proxy-busy-buffers-size", nullptr, kOwnWay},
    {"proxy-max-temp-file-size", nullptr, kOwnWay},
    {"preserve-trailing-slash", nullptr, "no effect here: redirects to https keep the path as it is"},
    {"proxy-http-version", nullptr, "no effect here: upstreams are spoken to as backend-protocol says"},
    {"grpc-buffer-size-kb", nullptr, kOwnWay},
    {"client-header-buffer-size", nullptr, kOwnWay},
    {"large-client-header-buffers", nullptr, kHeadSize},
    {"http2-max-field-size", nullptr, kHeadSize},
    {"http2-max-header-size", nullptr, kHeadSize},
    {"http2-max-requests", nullptr, "no effect here: keep-alive-requests counts for HTTP/2, too"},
    {"ignore-invalid-headers", nullptr, "no effect here: a request with a malformed field is answered 400"},
    {"max-worker-connections", nullptr, kOwnWay},
    {"max-worker-open-files", nullptr, kOwnWay},
    {"worker-processes", nullptr, "no effect here: one worker per CPU of the container"},
    {"worker-cpu-affinity", nullptr, kOwnWay},
    {"enable-multi-accept", nullptr, kOwnWay},
    {"enable-aio-write", nullptr, kOwnWay},
    {"enable-serial-reloads", nullptr, "no effect here: there are no reloads"},
    {"server-name-hash-max-size", nullptr, kOwnWay},
    {"server-name-hash-bucket-size", nullptr, kOwnWay},
    {"map-hash-bucket-size", nullptr, kOwnWay},
    {"variables-hash-max-size", nullptr, kOwnWay},
    {"variables-hash-bucket-size", nullptr, kOwnWay},
    {"proxy-headers-hash-max-size", nullptr, kOwnWay},
    {"proxy-headers-hash-bucket-size", nullptr, kOwnWay},
    {"lua-shared-dicts", nullptr, kOwnWay},
    {"reuse-port", nullptr, kOwnWay},
    {"bind-address", nullptr, kListenerOption},
    {"disable-ipv6", nullptr, kListenerOption},
    {"disable-ipv6-dns", nullptr, "no effect here: names are resolved to addresses of both families"},
    {"error-log-level", nullptr, "no effect here: HEADGATE_LOG_LEVEL sets the level"},
    {"error-log-path", nullptr, "no effect here: errors are logged to the standard error of the container"},
    {"enable-access-log-for-default-backend", nullptr,
     "no effect here: what the default backend answers is logged, too"},
    {"nginx-status-*", nullptr, "no effect here: there is no status page of nginx"},
    {"ssl-session-cache", nullptr, "no effect here: sessions are resumed by tickets"},
    {"ssl-session-cache-size", nullptr, "no effect here: sessions are resumed by tickets"},
    {"ssl-session-timeout", nullptr, "no effect here: keys of tickets are replaced every hour"},
    {"ssl-session-ticket-key", nullptr, "no effect here: keys of tickets are replaced every hour"},
    {"ssl-buffer-size", nullptr, kOwnWay},
    {"ssl-prefer-server-ciphers", nullptr, "no effect here: only ciphers of equal strength are offered"},
    {"ssl-dh-param", nullptr, "no effect here: key exchange by finite-field groups is not offered"},
    {"server-tokens", nullptr, "no effect here: no answer names the server"},
    {"brotli-level", nullptr, "no effect here: gzip and brotli share a level"},
    {"brotli-types", nullptr, "no effect here: gzip-types counts for brotli, too"},
    {"brotli-min-length", nullptr, "no effect here: gzip-min-length counts for brotli, too"},
    {"enable-real-ip", nullptr, "no effect here: use-forwarded-headers with proxy-real-ip-cidr says whom to believe"},
    {"proxy-ssl-location-only", nullptr, "no effect here: proxy-ssl-* always counts for its own Ingress only"},
    {"global-auth-cache-key", nullptr, "no effect here: the service is asked about every request"},
    {"global-auth-cache-duration", nullptr, "no effect here: the service is asked about every request"},
    {"allow-cross-namespace-resources", nullptr, "no effect here: -allow-cross-namespace of the controller decides"},
    {"annotation-value-word-blocklist", nullptr, "no effect here: annotations never become configuration text"},
    {"default-type", nullptr, "no effect here: an answer without Content-Type stays so"},

    {"ssl-early-data", nullptr, "refused: early data can be replayed"},
    {"allow-snippet-annotations", nullptr, kSnippet},
    {"annotations-risk-level", nullptr, kSnippet},
    {"main-snippet", nullptr, kSnippet},
    {"http-snippet", nullptr, kSnippet},
    {"server-snippet", nullptr, kSnippet},
    {"location-snippet", nullptr, kSnippet},
    {"stream-snippet", nullptr, kSnippet},
    {"global-auth-snippet", nullptr, kSnippet},
    {"modsecurity-snippet", nullptr, kFirewallRefused},
    {"enable-modsecurity", nullptr, kFirewallRefused},
    {"enable-owasp-modsecurity-crs", nullptr, kFirewallRefused},

    {"ssl-ecdh-curve", nullptr, kUnsupported},
    {"log-format-*", nullptr, kUnsupported},
    {"access-log-path", nullptr, kUnsupported},
    {"access-log-params", nullptr, kUnsupported},
    {"http-access-log-path", nullptr, kUnsupported},
    {"stream-access-log-path", nullptr, kUnsupported},
    {"disable-stream-access-log", nullptr, kUnsupported},
    {"enable-auth-access-log", nullptr, kUnsupported},
    {"skip-access-log-urls", nullptr, kUnsupported},
    {"enable-syslog", nullptr, kUnsupported},
    {"syslog-*", nullptr, kUnsupported},
    {"debug-connections", nullptr, kUnsupported},
    {"enable-ocsp", nullptr, kUnsupported},
    {"block-user-agents", nullptr, kUnsupported},
    {"block-referers", nullptr, kUnsupported},
    {"forwarded-for-header", nullptr, kUnsupported},
    {"forwarded-host-header", nullptr, kUnsupported},
    {"forwarded-for-proxy-protocol-header", nullptr, kUnsupported},
    {"enable-underscores-in-headers", nullptr, kUnsupported},
    {"proxy-cookie-domain", nullptr, kUnsupported},
    {"proxy-cookie-path", nullptr, kUnsupported},
    {"proxy-redirect-from", nullptr, kUnsupported},
    {"proxy-redirect-to", nullptr, kUnsupported},
    {"relative-redirects", nullptr, kUnsupported},
    {"use-port-in-redirects", nullptr, kUnsupported},
    {"app-root", nullptr, kUnsupported},
    {"upstream-hash-by", nullptr, kUnsupported},
    {"upstream-hash-by-*", nullptr, kUnsupported},
    {"limit-conn-zone-variable", nullptr, kUnsupported},
    {"gzip-disable", nullptr, kUnsupported},
    {"proxy-stream-next-upstream", nullptr, kUnsupported},
    {"proxy-stream-next-upstream-*", nullptr, kUnsupported},
    {"proxy-stream-responses", nullptr, kUnsupported},
    {"use-geoip", nullptr, kUnsupported},
    {"use-geoip2", nullptr, kUnsupported},
    {"geoip2-autoreload-in-minutes", nullptr, kUnsupported},
    {"plugins", nullptr, kUnsupported},
    {"global-rate-limit-*", nullptr, kUnsupported},
    {"enable-opentelemetry", nullptr, kNoSpans},
    {"enable-opentracing", nullptr, kNoSpans},
    {"opentelemetry-*", nullptr, kNoSpans},
    {"opentracing-*", nullptr, kNoSpans},
    {"otel-*", nullptr, kNoSpans},
    {"otlp-*", nullptr, kNoSpans},
    {"jaeger-*", nullptr, kNoSpans},
    {"zipkin-*", nullptr, kNoSpans},
    {"datadog-*", nullptr, kNoSpans},
});

const KeyRow* row_of(std::string_view key) {
  for (const KeyRow& row : kKeys) {
    if (row.key == key) return &row;
    if (row.key.ends_with("-*") && key.starts_with(row.key.substr(0, row.key.size() - 1))) return &row;
  }
  return nullptr;
}

// What a key that nothing acts on is answered.
void answer(const std::string& key, const std::string& value, std::string_view note, Notes& notes) {
  const std::string text = key + ": " + std::string(note);
  if (value.empty() || asks_for_nothing(value)) return;
  if (note.starts_with("no effect")) return notes.inform("KeyWithoutEffect", text);
  notes.warn(note.starts_with("refused") ? "KeyRefused" : "KeyNotSupported", text);
}

}  // namespace

Defaults read_defaults(const kubernetes::ConfigMap* map, Notes& notes) {
  Defaults defaults;
  if (map == nullptr) return defaults;
  const std::map<std::string, std::string> sorted(map->data().begin(), map->data().end());
  for (const auto& [key, value] : sorted) {
    const KeyRow* row = row_of(key);
    if (row == nullptr) {
      notes.warn("UnknownKey", key + ": there is no such key; it does nothing");
    } else if (row->set == nullptr && !row->note.empty()) {
      answer(key, value, row->note, notes);
    } else if (row->set != nullptr) {
      const std::string wrong = row->set(defaults, value);
      if (!wrong.empty()) notes.warn("InvalidKey", key + ": " + wrong + "; the default stays");
    }
  }
  const auto flag = [&](const char* key, bool otherwise) {
    const auto at = sorted.find(key);
    if (at == sorted.end()) return otherwise;
    const auto value = parse_bool(at->second);
    if (!value) notes.warn("InvalidKey", std::string(key) + ": expected true or false; the default stays");
    return value.value_or(otherwise);
  };
  const bool gzip = flag("use-gzip", false);
  const bool brotli = flag("enable-brotli", false);
  if (gzip || brotli) {
    v1::Compress& compress = compress_of(defaults);
    if (brotli) compress.add_encodings("br");
    if (gzip) compress.add_encodings("gzip");
  } else {
    defaults.compress.reset();
  }
  const bool log_nothing = flag("disable-access-log", false);
  defaults.access_log = !flag("disable-http-access-log", false) && !log_nothing;
  if (defaults.real_ip_ranges.empty() && (defaults.use_forwarded_headers || defaults.use_proxy_protocol)) {
    notes.warn("TrustNeedsRanges",
               "use-forwarded-headers and use-proxy-protocol believe nobody until proxy-real-ip-cidr names the ranges "
               "of the balancers: believing everybody would let clients forge their address");
    defaults.use_forwarded_headers = false;
    defaults.use_proxy_protocol = false;
  }
  return defaults;
}

}  // namespace headgate::translate
