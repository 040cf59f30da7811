// The keys of the ConfigMap: every one that ingress-nginx has is known here, and what nothing acts on is said so.
#include "controlplane/translate/config_map.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace headgate::translate {
namespace {

std::vector<Note> notes_on(const std::string& key, const std::string& value) {
  kubernetes::ConfigMap map;
  (*map.mutable_data())[key] = value;
  Notes notes;
  (void)read_defaults(&map, notes);
  return notes.take();
}

TEST(ConfigMap, KnowsTheKeysOfIngressNginx) {
  const char* const kNames[] = {
      "access-log-params", "access-log-path", "add-headers", "allow-backend-server-header",
      "allow-cross-namespace-resources", "allow-snippet-annotations", "annotation-value-word-blocklist",
      "annotations-risk-level", "app-root", "bind-address", "block-cidrs", "block-referers", "block-user-agents",
      "brotli-level", "brotli-min-length", "brotli-types", "client-body-buffer-size", "client-body-timeout",
      "client-header-buffer-size", "client-header-timeout", "compute-full-forwarded-for", "custom-http-errors",
      "datadog-collector-host", "debug-connections", "default-type", "denylist-source-range", "disable-access-log",
      "disable-http-access-log", "disable-ipv6", "disable-ipv6-dns", "disable-proxy-intercept-errors",
      "disable-stream-access-log", "enable-access-log-for-default-backend", "enable-aio-write",
      "enable-auth-access-log", "enable-brotli", "enable-modsecurity", "enable-multi-accept", "enable-ocsp",
      "enable-opentelemetry", "enable-opentracing", "enable-owasp-modsecurity-crs", "enable-real-ip",
      "enable-serial-reloads", "enable-syslog", "enable-underscores-in-headers", "error-log-level", "error-log-path",
      "force-ssl-redirect", "forwarded-for-header", "forwarded-for-proxy-protocol-header", "forwarded-host-header",
      "generate-request-id", "geoip2-autoreload-in-minutes", "global-allowed-response-headers",
      "global-auth-always-set-cookie", "global-auth-cache-duration", "global-auth-cache-key", "global-auth-method",
      "global-auth-request-redirect", "global-auth-response-headers", "global-auth-signin",
      "global-auth-signin-redirect-param", "global-auth-snippet", "global-auth-url",
      "global-rate-limit-memcached-host", "grpc-buffer-size-kb", "gzip-disable", "gzip-level", "gzip-min-length",
      "gzip-types", "hide-headers", "hsts", "hsts-include-subdomains", "hsts-max-age", "hsts-preload",
      "http-access-log-path", "http-redirect-code", "http-snippet", "http2-max-concurrent-streams",
      "http2-max-field-size", "http2-max-header-size", "http2-max-requests", "ignore-invalid-headers",
      "jaeger-collector-host", "keep-alive", "keep-alive-requests", "large-client-header-buffers",
      "limit-conn-status-code", "limit-conn-zone-variable", "limit-rate", "limit-rate-after",
      "limit-req-status-code", "load-balance", "location-snippet", "log-format-escape-json",
      "log-format-escape-none", "log-format-stream", "log-format-upstream", "lua-shared-dicts", "main-snippet",
      "map-hash-bucket-size", "max-worker-connections", "max-worker-open-files", "modsecurity-snippet",
      "nginx-status-ipv4-whitelist", "nginx-status-ipv6-whitelist", "no-auth-locations", "no-tls-redirect-locations",
      "opentelemetry-config", "opentelemetry-operation-name", "opentelemetry-trust-incoming-span",
      "opentracing-operation-name", "otel-max-export-batch-size", "otel-max-queuesize", "otel-sampler",
      "otel-sampler-parent-based", "otel-sampler-ratio", "otel-schedule-delay-millis", "otel-service-name",
      "otlp-collector-host", "otlp-collector-port", "plugins", "preserve-trailing-slash",
      "proxy-add-original-uri-header", "proxy-body-size", "proxy-buffer-size", "proxy-buffering",
      "proxy-buffers-number", "proxy-busy-buffers-size", "proxy-connect-timeout", "proxy-cookie-domain",
      "proxy-cookie-path", "proxy-headers-hash-bucket-size", "proxy-headers-hash-max-size", "proxy-http-version",
      "proxy-max-temp-file-size", "proxy-next-upstream", "proxy-next-upstream-timeout", "proxy-next-upstream-tries",
      "proxy-protocol-header-timeout", "proxy-read-timeout", "proxy-real-ip-cidr", "proxy-redirect-from",
      "proxy-redirect-to", "proxy-request-buffering", "proxy-send-timeout", "proxy-set-headers",
      "proxy-ssl-location-only", "proxy-stream-next-upstream", "proxy-stream-next-upstream-timeout",
      "proxy-stream-next-upstream-tries", "proxy-stream-responses", "proxy-stream-timeout", "relative-redirects",
      "retry-non-idempotent", "reuse-port", "server-name-hash-bucket-size", "server-name-hash-max-size",
      "server-snippet", "server-tokens", "service-upstream", "skip-access-log-urls", "ssl-buffer-size",
      "ssl-ciphers", "ssl-dh-param", "ssl-early-data", "ssl-ecdh-curve", "ssl-protocols", "ssl-redirect",
      "ssl-reject-handshake", "ssl-session-cache", "ssl-session-cache-size", "ssl-session-ticket-key",
      "ssl-session-tickets", "ssl-session-timeout", "stream-access-log-path", "stream-snippet",
      "strict-validate-path-type", "syslog-host", "syslog-port", "upstream-hash-by", "upstream-hash-by-subset",
      "upstream-hash-by-subset-size", "upstream-keepalive-connections", "upstream-keepalive-requests",
      "upstream-keepalive-time", "upstream-keepalive-timeout", "use-forwarded-headers", "use-geoip", "use-geoip2",
      "use-gzip", "use-http2", "use-port-in-redirects", "use-proxy-protocol", "variables-hash-bucket-size",
      "variables-hash-max-size", "whitelist-source-range", "worker-cpu-affinity", "worker-processes",
      "worker-shutdown-timeout", "zipkin-collector-host"};
  for (const char* name : kNames) {
    for (const Note& note : notes_on(name, "1")) EXPECT_NE(note.reason, "UnknownKey") << name;
  }
  EXPECT_EQ(notes_on("no-such-key", "1").at(0).reason, "UnknownKey");
}

TEST(ConfigMap, AnswersWhatNothingActsOn) {
  const struct {
    const char* key;
    const char* value;
    const char* reason;
    bool warning;
  } kRows[] = {
      {"proxy-buffering", "on", "KeyWithoutEffect", false},
      {"nginx-status-ipv4-whitelist", "::1", "KeyWithoutEffect", false},
      {"skip-access-log-urls", "/x", "KeyNotSupported", true},
      {"jaeger-service-name", "a", "KeyNotSupported", true},
      {"enable-modsecurity", "true", "KeyRefused", true},
      {"http-snippet", "more;", "KeyRefused", true},
      {"proxy-buffer-size", "128k", "InvalidKey", true},
  };
  for (const auto& row : kRows) {
    const std::vector<Note> notes = notes_on(row.key, row.value);
    ASSERT_EQ(notes.size(), 1U) << row.key;
    EXPECT_EQ(notes[0].reason, row.reason) << row.key;
    EXPECT_EQ(notes[0].warning, row.warning) << row.key;
  }
}

TEST(ConfigMap, WhatAsksForNothingIsNoNews) {
  for (const char* key :
       {"proxy-buffering", "proxy-redirect-from", "enable-modsecurity", "allow-snippet-annotations"}) {
    EXPECT_TRUE(notes_on(key, "off").empty()) << key;
    EXPECT_TRUE(notes_on(key, "false").empty()) << key;
  }
  EXPECT_TRUE(notes_on("proxy-buffer-size", "64k").empty());
}

TEST(ConfigMap, AFieldOfAnAnswerThatNamesTheServerIsHiddenUnlessAllowed) {
  kubernetes::ConfigMap map;
  Notes notes;
  EXPECT_FALSE(read_defaults(&map, notes).pass_server_header);
  (*map.mutable_data())["allow-backend-server-header"] = "true";
  EXPECT_TRUE(read_defaults(&map, notes).pass_server_header);
}

}  // namespace
}  // namespace headgate::translate
