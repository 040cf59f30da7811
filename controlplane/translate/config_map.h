// config_map.h -- the controller's ConfigMap, in the keys of ingress-nginx: what holds where no annotation says more.
// Thread: any (pure).   Owner: Translator.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/translate/notes.h"
#include "headgate/config/v1/http_filter.pb.h"
#include "headgate/config/v1/upstream.pb.h"
#include "kubernetes/core.pb.h"

namespace headgate::translate {

// The values are those of ingress-nginx 1.15; what is optional or empty leaves the dataplane's own default.
struct Defaults {
  uint64_t body_bytes = uint64_t{1} << 20;
  uint32_t connect_timeout_s = 5;
  uint32_t read_timeout_s = 60;
  uint32_t send_timeout_s = 60;
  std::string next_upstream = "error timeout";
  uint32_t next_upstream_tries = 3;
  uint32_t next_upstream_timeout_s = 0;
  bool retry_non_idempotent = false;
  std::string load_balance = "round_robin";
  config::v1::ConnectionSettings connection;  // upstream-keepalive-*
  bool service_upstream = false;
  bool request_buffering = false;  // ingress-nginx: true; bodies are streamed here unless somebody asks
  uint32_t limit_rate_kb = 0;      // per second and answer; 0: no limit
  uint32_t limit_rate_after_kb = 0;

  bool ssl_redirect = true;
  bool force_ssl_redirect = false;
  uint32_t redirect_code = 308;
  std::vector<std::string> no_tls_redirect_locations{"/.well-known/acme-challenge"};
  std::vector<std::string> no_auth_locations{"/.well-known/acme-challenge"};
  bool hsts = true;
  uint64_t hsts_max_age = 31536000;
  bool hsts_subdomains = true;
  bool hsts_preload = false;

  bool use_forwarded_headers = false;
  bool append_forwarded_for = false;
  std::vector<std::string> real_ip_ranges{};
  bool use_proxy_protocol = false;
  bool generate_request_id = true;
  bool original_uri_header = false;

  std::vector<std::string> allow_ranges{};
  std::vector<std::string> deny_ranges{};
  std::vector<std::string> block_ranges{};
  uint32_t limit_requests_status = 503;
  uint32_t limit_connections_status = 503;
  std::vector<uint32_t> error_codes{};
  bool own_errors_only = false;  // answers of upstreams keep their errors
  std::vector<std::string> allowed_response_headers{};
  std::vector<std::string> hide_headers{};
  bool pass_server_header = false;  // that of an answer
  std::string add_headers{};        // "NAMESPACE/NAME" of a ConfigMap
  std::string proxy_set_headers{};
  bool strict_paths = true;
  bool access_log = true;

  // global-auth-*: values as the annotations of the same meaning would have them.
  std::string auth_url{};
  std::string auth_method{};
  std::string auth_signin{};
  std::string auth_signin_param{};
  std::string auth_response_headers{};
  std::string auth_request_redirect{};
  bool auth_always_set_cookie = false;

  std::optional<config::v1::Compress> compress{};

  // Of the listeners.
  bool http2 = true;
  std::optional<uint32_t> streams_per_connection{};
  std::optional<uint32_t> requests_per_connection{};
  uint32_t keep_alive_s = 75;
  std::optional<uint32_t> proxy_header_s{};
  std::optional<uint32_t> header_timeout_s{};
  std::optional<uint32_t> body_timeout_s{};
  std::optional<uint32_t> drain_s{};
  uint32_t stream_timeout_s = 600;
  std::string tls_protocols{};  // "", "TLSv1.3", "TLSv1.2 TLSv1.3"
  std::string tls_ciphers{};
  bool tls_tickets = true;
  bool reject_unknown_names = false;
};

// `map` null: there is none. What is wrong or without effect becomes a note on the ConfigMap.
Defaults read_defaults(const kubernetes::ConfigMap* map, Notes& notes);

}  // namespace headgate::translate
