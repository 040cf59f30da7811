// How the upstream is spoken to and chosen, time-outs, retries, affinity, mirroring, error pages.
#include <algorithm>

#include "controlplane/translate/bounds.h"
#include "controlplane/translate/ingress_reader.h"
#include "dataplane/base/host_name.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"

namespace headgate::translate {

namespace v1 = config::v1;

namespace {

void clamp_seconds(uint32_t seconds, google::protobuf::Duration* into) {
  into->set_seconds(std::min(seconds, kLongestSeconds));
}

std::string upper_copy(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return text;
}

}  // namespace

Speech IngressReader::read_speech() {
  Speech speech;
  if (const auto protocol = text("backend-protocol")) {
    const std::string name = upper_copy(*protocol);
    speech.chosen = true;
    const bool tls = name == "HTTPS" || name == "GRPCS";
    if (name == "GRPC" || name == "GRPCS") speech.protocol = v1::UPSTREAM_GRPC;
    if (tls) {
      speech.tls.emplace();
      speech.tls->set_verify(v1::TOGGLE_OFF);
    } else if (name == "FCGI") {
      deny("backend-protocol", "FastCGI is not supported yet");
    } else if (name == "AUTO_HTTP") {
      notes_.warn("AnnotationNotSupported", "backend-protocol: AUTO_HTTP is not supported yet; HTTP is spoken");
    } else if (name != "HTTP" && name != "GRPC") {
      speech.chosen = false;
      ignore("backend-protocol", quote_json(*protocol) + " is none of HTTP, HTTPS, GRPC, GRPCS");
    }
  }
  speech.by_address = flag("service-upstream", defaults_.service_upstream);
  read_upstream_tls(speech);
  return speech;
}

// ingress-nginx lets nothing of this act without proxy-ssl-secret, so that "proxy-ssl-verify: on" alone verifies
// nothing. Here each says what it says, for its own Ingress only.
void IngressReader::read_upstream_tls(Speech& speech) {
  const auto secret = text("proxy-ssl-secret");
  const auto verify_text = text("proxy-ssl-verify");
  const auto name = text("proxy-ssl-name");
  if (!speech.tls) {
    if (secret || verify_text || name) {
      notes_.inform("AnnotationWithoutEffect", "proxy-ssl-*: it counts only with backend-protocol HTTPS or GRPCS");
    }
    return;
  }
  v1::UpstreamTls& tls = *speech.tls;
  bool verify = false;
  if (verify_text) {
    const auto parsed = parse_on_off(*verify_text);
    if (!parsed) {
      notes_.warn("InvalidAnnotation",
                  "proxy-ssl-verify: " + quote_json(*verify_text) + " is not on or off; certificates are verified");
    }
    verify = parsed.value_or(true);
  }
  std::shared_ptr<const SecretContent> material;
  if (secret) {
    const auto key = object_of("proxy-ssl-secret", *secret);
    if (!key) return;
    material = reads_.tls_material(key->name_space, key->name);
    if (material == nullptr) {
      return deny("proxy-ssl-secret", "there is no Secret " + key->name_space + "/" + key->name);
    }
    if (material->resource != nullptr) model_->secrets.push_back(material);
    if (material->has_certificate) tls.set_certificate(material->message.name());
    if (!material->has_certificate && !material->has_authorities) {
      return deny("proxy-ssl-secret", material->certificate_problem);
    }
  }
  tls.set_verify(verify ? v1::TOGGLE_ON : v1::TOGGLE_OFF);
  if (verify && material != nullptr) {
    if (!material->has_authorities) return deny("proxy-ssl-verify", material->authorities_problem);
    tls.set_ca(material->message.name());
  }
  if (name) {
    const std::string host = normalize_host(*name);
    if (host_pattern_kind(host) != HostPatternKind::kExact) {
      ignore("proxy-ssl-name", quote_json(*name) + " is no host name");
    } else {
      tls.set_sni(host);
    }
  } else if (verify) {
    deny("proxy-ssl-verify", "endpoints are addresses: proxy-ssl-name must say which name their certificates have");
  }
  // ingress-nginx sends the name only when this is on; a name that is given is sent here unless it is off.
  if (const auto send = on_off("proxy-ssl-server-name"); send && !*send) tls.set_send_sni(v1::TOGGLE_OFF);
  if (const auto depth = number("proxy-ssl-verify-depth"); depth && verify) tls.set_depth(std::max(*depth, 1U));
  if (const auto protocols = text("proxy-ssl-protocols")) {
    const std::vector<std::string> words = list_of(*protocols, " ,");
    const bool two = std::find(words.begin(), words.end(), "TLSv1.2") != words.end();
    const bool three = std::find(words.begin(), words.end(), "TLSv1.3") != words.end();
    if (!two && !three) {
      ignore("proxy-ssl-protocols", "only TLSv1.2 and TLSv1.3 are spoken");
    } else {
      if (!two) tls.set_min_version(v1::TLS_1_3);
      if (!three) tls.set_max_version(v1::TLS_1_2);
    }
  }
  if (const auto ciphers = text("proxy-ssl-ciphers")) {
    const bool plain = std::all_of(ciphers->begin(), ciphers->end(), [](char c) {
      return is_alpha(c) || is_digit(c) || std::string_view(":!@+-_=").find(c) != std::string_view::npos;
    });
    if (plain) {
      if (*ciphers != "DEFAULT") tls.set_ciphers(*ciphers);
    } else {
      ignore("proxy-ssl-ciphers", "expected a list in OpenSSL's notation");
    }
  }
}

void IngressReader::read_sizes_and_times() {
  uint64_t body = defaults_.body_bytes;
  if (const auto value = text("proxy-body-size")) {
    const auto size = parse_size(*value);
    if (size) {
      body = *size;
    } else {
      ignore("proxy-body-size", quote_json(*value) + " is no size such as 8m");
    }
  }
  if (body != 0) add_filter().mutable_body_limit()->set_bytes(body);
  const struct {
    const char* name;
    google::protobuf::Duration* (v1::RouteTimeouts::*into)();
    uint32_t otherwise;
  } times[] = {{"proxy-connect-timeout", &v1::RouteTimeouts::mutable_connect, defaults_.connect_timeout_s},
               {"proxy-read-timeout", &v1::RouteTimeouts::mutable_response, defaults_.read_timeout_s},
               {"proxy-send-timeout", &v1::RouteTimeouts::mutable_send, defaults_.send_timeout_s}};
  for (const auto& time : times) {
    const auto seconds = number(time.name);
    if (!seconds || *seconds == time.otherwise) continue;
    if (*seconds == 0) {
      ignore(time.name, "a time-out of 0 would end every request");
      continue;
    }
    clamp_seconds(*seconds, (model_->proxy.mutable_timeouts()->*time.into)());
  }
  if (on_off("proxy-request-buffering").value_or(defaults_.request_buffering)) {
    model_->proxy.set_request_buffering(v1::TOGGLE_ON);
  }
  const uint32_t rate = number("limit-rate").value_or(defaults_.limit_rate_kb);
  const uint32_t after = number("limit-rate-after").value_or(defaults_.limit_rate_after_kb);
  if (rate != 0) {
    v1::Bandwidth* bandwidth = add_filter().mutable_bandwidth();
    bandwidth->set_bytes_per_second(uint64_t{rate} * 1024);
    bandwidth->set_after_bytes(uint64_t{after} * 1024);
  }
  if (const auto value = text("proxy-buffer-size")) {
    const auto size = parse_size(*value);
    if (!size) {
      ignore("proxy-buffer-size", quote_json(*value) + " is no size such as 16k");
    } else if (*size > kResponseHeadBytes) {
      notes_.warn("AnnotationNotSupported", "proxy-buffer-size: response heads may have 64 KiB, not more");
    }
  }
  model_->access_log = flag("enable-access-log", defaults_.access_log);
  v1::ForwardedHeaders* forwarded = model_->proxy.mutable_forwarded();
  forwarded->set_nginx_set(v1::TOGGLE_ON);
  if (!defaults_.append_forwarded_for) forwarded->set_x_forwarded(v1::FORWARDED_REPLACE);
  if (defaults_.original_uri_header) forwarded->set_original_uri(v1::TOGGLE_ON);
  if (const auto host = text("upstream-vhost")) {
    const std::string wrong = is_field_value(*host) && host->find(' ') == std::string::npos ? "" : "it is no host";
    if (!wrong.empty()) {
      reject("upstream-vhost", wrong);
    } else if (const auto ours = variables("upstream-vhost", *host)) {
      model_->proxy.set_host_rewrite(*ours);
    } else {
      model_->served = false;
    }
  }
}

void IngressReader::read_retry() {
  const auto words = text("proxy-next-upstream");
  const auto tries = number("proxy-next-upstream-tries");
  const auto timeout = number("proxy-next-upstream-timeout");
  if (!words && !tries && !timeout) return;
  auto retry = parse_next_upstream(words.value_or(defaults_.next_upstream));
  if (!retry) {
    ignore("proxy-next-upstream", quote_json(*words) + " has a word that is none of error, timeout, http_502 ...");
    retry = parse_next_upstream(defaults_.next_upstream);
  }
  if (!retry->has_attempts()) {
    const uint32_t wanted = tries.value_or(defaults_.next_upstream_tries);
    if (wanted > kMostAttempts) ignore("proxy-next-upstream-tries", "there are at most 10 attempts");
    retry->set_attempts(wanted == 0 ? kMostAttempts : std::min(wanted, kMostAttempts));
    const uint32_t limit = timeout.value_or(defaults_.next_upstream_timeout_s);
    if (limit != 0) clamp_seconds(limit, retry->mutable_timeout());
    if (defaults_.retry_non_idempotent) retry->set_non_idempotent(true);
  }
  *model_->proxy.mutable_retry() = *retry;
}

void IngressReader::read_balance() {
  std::string policy = defaults_.load_balance;
  if (const auto value = text("load-balance")) {
    if (*value == "round_robin" || *value == "ewma") {
      policy = *value;
    } else {
      reject("load-balance", quote_json(*value) + " is neither round_robin nor ewma");
    }
  }
  v1::LoadBalancing balance;
  if (policy == "ewma") balance.set_policy(v1::BALANCE_PEAK_EWMA);
  const auto key = text("upstream-hash-by");
  const bool subset = flag("upstream-hash-by-subset", false);
  if (key) {
    const bool plain = std::all_of(key->begin(), key->end(), [](char c) {
      return is_alpha(c) || is_digit(c) || std::string_view("_${}-").find(c) != std::string_view::npos;
    });
    if (!plain) {
      reject("upstream-hash-by", quote_json(*key) + " may hold only letters, digits and _ $ { } -");
    } else if (const auto ours = variables("upstream-hash-by", *key)) {
      balance.set_policy(v1::BALANCE_RING_HASH);
      balance.set_hash_key(*ours);
      if (subset) balance.set_subset(std::max(number("upstream-hash-by-subset-size").value_or(3), 1U));
    } else {
      model_->served = false;
    }
  }
  if (balance.ByteSizeLong() != 0) model_->balance = balance;
}

void IngressReader::read_affinity() {
  const auto kind = text("affinity");
  if (text("affinity-canary-behavior") && !model_->canary) {
    ignore("affinity-canary-behavior", "it counts on a canary only");
  }
  if (!kind) return;
  if (*kind != "cookie") return ignore("affinity", quote_json(*kind) + " is not cookie");
  v1::SessionAffinity affinity;
  affinity.set_cookie(text("session-cookie-name").value_or("INGRESSCOOKIE"));
  if (!is_token(affinity.cookie())) {
    ignore("session-cookie-name", quote_json(affinity.cookie()) + " is no cookie name");
    affinity.set_cookie("INGRESSCOOKIE");
  }
  if (const auto mode = text("affinity-mode")) {
    affinity.set_persistent(*mode == "persistent");
    if (*mode != "persistent" && *mode != "balanced") {
      ignore("affinity-mode", quote_json(*mode) + " is neither balanced nor persistent");
    }
  }
  if (const auto path = text("session-cookie-path")) {
    if (!path->starts_with('/') || !is_field_value(*path) || path->find(';') != std::string::npos) {
      ignore("session-cookie-path", quote_json(*path) + " is no path");
    } else {
      model_->cookie_path = *path;
    }
  }
  if (const auto domain = text("session-cookie-domain")) {
    if (host_pattern_kind(normalize_host(*domain)) == HostPatternKind::kExact) {
      affinity.set_domain(normalize_host(*domain));
    } else {
      ignore("session-cookie-domain", quote_json(*domain) + " is no host name");
    }
  }
  if (const auto age = number("session-cookie-max-age")) clamp_seconds(*age, affinity.mutable_max_age());
  if (const auto expires = number("session-cookie-expires")) clamp_seconds(*expires, affinity.mutable_expires());
  if (const auto same_site = text("session-cookie-samesite")) {
    for (const char* name : {"None", "Lax", "Strict"}) {
      if (equals_ignore_case(*same_site, name)) affinity.set_same_site(name);
    }
    if (affinity.same_site().empty()) {
      ignore("session-cookie-samesite", quote_json(*same_site) + " is none of None, Lax, Strict");
    }
  }
  if (flag("session-cookie-secure", false)) affinity.set_secure(v1::TOGGLE_ON);
  affinity.set_conditional_same_site_none(flag("session-cookie-conditional-samesite-none", false));
  affinity.set_change_on_failure(flag("session-cookie-change-on-failure", false));
  *model_->proxy.mutable_affinity() = affinity;
  if (model_->balance) notes_.inform("AnnotationWithoutEffect", "upstream-hash-by, load-balance: affinity goes first");
}

void IngressReader::read_mirror() {
  const auto target = text("mirror-target");
  if (!target) return;
  // A host of its own that holds variables could be any address.
  const auto url = parse_url(our_variables(*target, {{"namespace", name_space_}}));
  if (!url || url->host.find('$') != std::string::npos) {
    return ignore("mirror-target", quote_json(*target) + " is no http:// or https:// URL with a fixed host");
  }
  const std::string wrong = unknown_variable(url->target);
  if (!wrong.empty()) return ignore("mirror-target", wrong);
  const UpstreamPtr upstream = url_upstream(*url, defaults_.connection);
  model_->upstreams.push_back(upstream);
  v1::Mirror* mirror = add_filter().mutable_mirror();
  mirror->set_upstream(upstream->name());
  mirror->set_host(text("mirror-host").value_or(url->host));
  if (!is_field_value(mirror->host()) || mirror->host().find('$') != std::string::npos) {
    ignore("mirror-host", quote_json(mirror->host()) + " is no host name");
    mirror->set_host(url->host);
  }
  const bool same_path = url->target.empty() || url->target == "$request_uri" || url->target == "${request_uri}";
  if (!same_path) mirror->set_path(url->target);
  if (const auto body = on_off("mirror-request-body"); body && !*body) mirror->set_body(v1::TOGGLE_OFF);
}

void IngressReader::read_errors() {
  UpstreamPtr fallback;
  if (const auto service = text("default-backend")) {
    const auto [name_space, name] = object_name(*service, name_space_);
    std::string why;
    if (name.empty() || !is_valid_host_name(name)) {
      reject("default-backend", quote_json(*service) + " is no name of a Service");
      return;
    }
    if (name_space != name_space_) {
      ignore("default-backend", "the Service must be in the namespace of the Ingress");
    } else {
      Speech plain;
      plain.chosen = true;
      fallback = service_upstream(reads_, settings_, defaults_.connection, name_space_, name, PortRef{}, plain, &why);
      if (!why.empty()) {
        ignore("default-backend", why);
        fallback = nullptr;
      }
    }
  }
  if (fallback != nullptr) {
    model_->upstreams.push_back(fallback);
    model_->proxy.set_fallback_upstream(fallback->name());
  }
  std::vector<uint32_t> codes = defaults_.error_codes;
  if (const auto list = text("custom-http-errors")) {
    codes.clear();
    for (const std::string& entry : list_of(*list)) {
      const auto code = parse_decimal<uint32_t>(entry);
      if (!code || *code < 400 || *code > 599) {
        reject("custom-http-errors", quote_json(entry) + " is no error code from 400 to 599");
        return;
      }
      if (std::find(codes.begin(), codes.end(), *code) == codes.end()) codes.push_back(*code);
    }
  }
  const bool own_only = flag("disable-proxy-intercept-errors", defaults_.own_errors_only);
  if (codes.empty()) return;
  if (fallback == nullptr && !settings_.default_backend.empty()) {
    const auto [name_space, name] = object_name(settings_.default_backend, "");
    std::string why;
    Speech plain;
    plain.chosen = true;
    fallback = service_upstream(reads_, settings_, defaults_.connection, name_space, name, PortRef{}, plain, &why);
    if (!why.empty()) fallback = nullptr;
    if (fallback != nullptr) model_->upstreams.push_back(fallback);
  }
  if (fallback == nullptr) {
    return ignore("custom-http-errors", "there is no default-backend that could answer instead");
  }
  v1::ErrorPages* pages = add_filter().mutable_error_pages();
  for (const uint32_t code : codes) pages->add_statuses(code);
  pages->set_upstream(fallback->name());
  if (own_only) pages->set_upstream_errors(v1::TOGGLE_OFF);
}

}  // namespace headgate::translate
