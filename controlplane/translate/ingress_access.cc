// Who may come in, and how often: address lists, limits, basic and external authentication, client certificates, CORS.
#include <algorithm>
#include <map>

#include "controlplane/translate/bounds.h"
#include "controlplane/translate/ingress_reader.h"
#include "dataplane/base/address.h"
#include "dataplane/base/number.h"
#include "dataplane/base/regex.h"
#include "dataplane/base/text.h"
#include "dataplane/tls/crypto.h"

namespace headgate::translate {

namespace v1 = config::v1;

namespace {

// scheme://[*.]host[:port], "null"
bool is_origin(std::string_view text) {
  if (text == "null") return true;
  const size_t mark = text.find("://");
  if (mark == std::string_view::npos || mark == 0) return false;
  for (const char c : text.substr(0, mark)) {
    if (!is_alpha(c) && !is_digit(c) && c != '+' && c != '-' && c != '.') return false;
  }
  std::string_view host = text.substr(mark + 3);
  if (const size_t colon = host.rfind(':'); colon != std::string_view::npos) {
    if (!parse_decimal<uint16_t>(host.substr(colon + 1))) return false;
    host = host.substr(0, colon);
  }
  if (host.starts_with("*.")) host.remove_prefix(2);
  return !host.empty() && std::all_of(host.begin(), host.end(), [](char c) {
    return is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_';
  });
}

}  // namespace

void IngressReader::read_ranges() {
  const auto ranges_of = [&](std::string_view name, std::string_view alias, const std::vector<std::string>& otherwise) {
    const bool empty = (annotations_.is_present(name) && !text(name)) &&
                       (alias.empty() || !text(alias));
    const auto value = text(name, alias);
    if (empty && !value) {
      deny(name, "the list is empty");
      return std::vector<std::string>();
    }
    if (!value) return otherwise;
    std::vector<std::string> ranges = list_of(*value);
    for (const std::string& range : ranges) {
      if (!Cidr::parse(range)) deny(name, quote_json(range) + " is no address range");
    }
    if (ranges.empty()) deny(name, "the list is empty");
    return ranges;
  };
  const auto allow = ranges_of("whitelist-source-range", "allowlist-source-range", defaults_.allow_ranges);
  const auto forbid = ranges_of("denylist-source-range", "", defaults_.deny_ranges);
  if (model_->denied || (allow.empty() && forbid.empty())) return;
  v1::IpAccess* access = add_filter().mutable_ip_access();
  for (const std::string& range : allow) access->add_allow(range);
  for (const std::string& range : forbid) access->add_deny(range);
}

void IngressReader::read_limits() {
  std::vector<std::string> exempt;
  if (const auto list = text("limit-whitelist", "limit-allowlist")) {
    exempt = list_of(*list);
    for (const std::string& range : exempt) {
      if (!Cidr::parse(range)) return reject("limit-allowlist", quote_json(range) + " is no address range");
    }
  }
  const uint32_t multiplier = std::clamp(number("limit-burst-multiplier").value_or(5), 1U, 1000U);
  const std::string owner = name_space_ + "/" + ingress_.metadata().name();
  const auto limit_of = [&](const char* name) -> uint32_t {
    const auto value = text(name);
    if (!value) return 0;
    const auto parsed = parse_decimal<uint32_t>(*value);
    if (!parsed || *parsed > 1000000) {
      reject(name, quote_json(*value) + " is no number up to 1000000");
      return 0;
    }
    return *parsed;
  };
  if (const uint32_t connections = limit_of("limit-connections"); connections != 0) {
    v1::ConnectionLimit* limit = add_filter().mutable_connection_limit();
    limit->set_connections(connections);
    limit->set_status(defaults_.limit_connections_status);
    for (const std::string& range : exempt) limit->add_exempt(range);
  }
  for (const auto& [name, period] : {std::pair("limit-rps", 1), std::pair("limit-rpm", 60)}) {
    const uint32_t requests = limit_of(name);
    if (requests == 0) continue;
    v1::RateLimit* limit = add_filter().mutable_rate_limit();
    limit->set_name(owner + ":" + name);  // shared by the paths of this Ingress, and by nobody else
    limit->set_requests(requests);
    limit->mutable_period()->set_seconds(period);
    limit->set_burst(requests * multiplier);
    limit->set_status(defaults_.limit_requests_status);
    for (const std::string& range : exempt) limit->add_exempt(range);
  }
}

void IngressReader::read_basic_auth() {
  const auto type = text("auth-type");
  const auto secret_name = text("auth-secret");
  if (const auto satisfy = text("satisfy")) {
    if (*satisfy == "any") {
      add_filter().mutable_satisfy()->set_any(true);
    } else if (*satisfy != "all") {
      ignore("satisfy", quote_json(*satisfy) + " is neither any nor all");
    }
  }
  if (!type && !secret_name && !annotations_.is_present("auth-secret")) return;
  if (type && *type == "digest") return deny("auth-type", "digest authentication is not supported; use basic");
  if (type && *type != "basic") return reject("auth-type", quote_json(*type) + " is not basic");
  if (!secret_name) return deny("auth-secret", "it names no Secret");
  if (!type) notes_.inform("AuthTypeAssumed", "auth-type: it is missing beside auth-secret; basic is assumed");
  const auto realm = text("auth-realm");
  if (realm && (!is_field_value(*realm) || realm->find('"') != std::string::npos)) {
    return reject("auth-realm", "it holds quotes or control characters");
  }
  const auto form = text("auth-secret-type").value_or("auth-file");
  if (form != "auth-file" && form != "auth-map") {
    return reject("auth-secret-type", quote_json(form) + " is neither auth-file nor auth-map");
  }
  const auto key = object_of("auth-secret", *secret_name);
  if (!key) return;
  const auto secret = reads_.find<kubernetes::Secret>(key->name_space, key->name);
  if (secret == nullptr) return deny("auth-secret", "there is no Secret " + key->name_space + "/" + key->name);
  std::map<std::string, std::string> users;
  if (form == "auth-map") {
    for (const auto& [user, value] : secret->data()) {
      for (const std::string& hash : list_of(value, "\n\r")) users.emplace(user, hash);  // the first line
    }
  } else {
    const auto file = secret->data().find("auth");
    if (file == secret->data().end()) return deny("auth-secret", "the Secret lacks the key auth");
    for (const std::string& line : list_of(file->second, "\n\r")) {
      const size_t colon = line.find(':');
      if (line.starts_with('#') || colon == std::string::npos || colon == 0) continue;
      users.emplace(line.substr(0, colon), line.substr(colon + 1));
    }
  }
  v1::BasicAuth auth;
  if (realm) auth.set_realm(*realm);
  for (const auto& [user, hash] : users) {
    if (user.find(':') != std::string::npos || !tls::is_supported_password_hash(hash)) {
      notes_.warn(
          "UserRefused",
          "auth-secret: the password of " + quote_json(user) +
              " is no whole hash of bcrypt (cost 4 to 14), MD5, SHA-1, SHA-256 or SHA-512; the user cannot log in");
      continue;
    }
    v1::NameValue* entry = auth.add_users();
    entry->set_name(user);
    entry->set_value(hash);
  }
  if (auth.users().empty()) return deny("auth-secret", "no user in it can log in");
  *add_filter().mutable_basic_auth() = std::move(auth);
}

void IngressReader::read_external_auth() {
  auto url_text = text("auth-url");
  const bool global = !url_text && !defaults_.auth_url.empty() && flag("enable-global-auth", true);
  if (global) url_text = defaults_.auth_url;
  if (!url_text) return;
  const auto part = [&](const char* name, const std::string& everywhere) {
    return global ? (everywhere.empty() ? std::nullopt : std::optional(everywhere)) : text(name);
  };
  AuthRequest auth;
  v1::ExternalAuth& message = auth.message;
  const auto url = parse_url(our_variables(*url_text, {{"namespace", name_space_}}));
  if (!url) return reject("auth-url", quote_json(*url_text) + " is no http:// or https:// URL");
  auth.url = *url;
  if (const std::string wrong = unknown_variable(url->target); !wrong.empty()) return reject("auth-url", wrong);
  if (const auto method = part("auth-method", defaults_.auth_method)) {
    if (!is_token(*method)) return deny("auth-method", quote_json(*method) + " is no method");
    message.set_method(*method);
  }
  if (const auto signin = part("auth-signin", defaults_.auth_signin)) {
    const bool url_like = is_field_value(*signin) && signin->find_first_of(" {}") == std::string::npos;
    const auto ours = url_like ? variables("auth-signin", *signin) : std::nullopt;
    if (!url_like) ignore("auth-signin", quote_json(*signin) + " is no URL; a plain 401 is answered");
    if (ours) auth.signin = *ours;
  }
  if (const auto param = part("auth-signin-redirect-param", defaults_.auth_signin_param)) {
    if (is_token(*param)) {
      message.set_signin_redirect_param(*param);
    } else {
      ignore("auth-signin-redirect-param", quote_json(*param) + " is no name");
    }
  }
  for (const std::string& name : list_of(part("auth-response-headers", defaults_.auth_response_headers).value_or(""))) {
    if (!is_token(name)) return deny("auth-response-headers", quote_json(name) + " is no field name");
    message.add_response_headers(name);
  }
  if (const auto redirect = part("auth-request-redirect", defaults_.auth_request_redirect)) {
    const std::string ours = our_variables(*redirect, {});
    if (const std::string wrong = unknown_variable(ours); !wrong.empty()) return reject("auth-request-redirect", wrong);
    message.set_redirect_value(ours);
  }
  if (const auto name = text("auth-proxy-set-headers"); name && !global) {
    const auto key = object_of("auth-proxy-set-headers", *name);
    if (!key) return;
    const auto map = reads_.find<kubernetes::ConfigMap>(key->name_space, key->name);
    if (map == nullptr) {
      return deny("auth-proxy-set-headers", "there is no ConfigMap " + key->name_space + "/" + key->name);
    }
    const std::map<std::string, std::string> sorted(map->data().begin(), map->data().end());
    for (const auto& [field, value] : sorted) {
      const std::string ours = our_variables(value, {{"namespace", name_space_}});
      const std::string wrong = unknown_variable(ours);
      if (!is_token(field) || !is_field_value(value) || !wrong.empty()) {
        return deny("auth-proxy-set-headers",
                    quote_json(field) + (wrong.empty() ? " is no header field" : ": " + wrong));
      }
      v1::NameValue* header = message.add_request_headers();
      header->set_name(field);
      header->set_value(ours);
    }
  }
  // In ingress-nginx a malformed value here takes the whole authentication away.
  message.set_always_set_cookie(global && defaults_.auth_always_set_cookie);
  if (const auto always = text("auth-always-set-cookie")) {
    const auto parsed = parse_bool(*always);
    if (!parsed) return reject("auth-always-set-cookie", quote_json(*always) + " is not true or false");
    message.set_always_set_cookie(*parsed);
  }
  if (url->tls) {
    notes_.inform("CertificateVerified",
                  "auth-url: the certificate of " + url->host +
                      " is verified against the system's authorities; ingress-nginx did not verify it");
  }
  model_->auth = std::move(auth);
}

void IngressReader::read_client_certificate() {
  const auto name = text("auth-tls-secret");
  if (!name) {
    if (text("auth-tls-verify-client") || text("auth-tls-match-cn")) {
      ignore("auth-tls-verify-client", "it needs auth-tls-secret");
    }
    return;
  }
  v1::ClientCertificateAccess access;
  const std::string mode = text("auth-tls-verify-client").value_or("on");
  if (mode == "off") return;
  if (mode == "optional" || mode == "optional_no_ca") {
    access.set_required(v1::TOGGLE_OFF);
    access.set_accept_unknown(mode == "optional_no_ca");
  } else if (mode != "on") {
    ignore("auth-tls-verify-client", quote_json(mode) + " is none of on, off, optional, optional_no_ca");
  }
  const auto unusable = [&](const std::string& why) {
    model_->client_certificate_unusable = true;
    notes_.warn("AccessDenied", "auth-tls-secret: " + why + "; its hosts answer 403");
  };
  const auto [name_space, object] = object_name(*name, name_space_);
  if (object.empty()) return reject("auth-tls-secret", quote_json(*name) + " is no namespace/name");
  if (name_space != name_space_ && !settings_.allow_cross_namespace) {
    return unusable(quote_json(*name) + " is in another namespace, which the controller does not allow");
  }
  const auto material = reads_.tls_material(name_space, object);
  if (material == nullptr) return unusable("there is no Secret " + name_space + "/" + object);
  if (!material->has_authorities) return unusable(material->authorities_problem);
  model_->secrets.push_back(material);
  access.set_secret(material->message.name());
  if (const auto depth = number("auth-tls-verify-depth")) access.set_depth(std::clamp(*depth, 1U, 100U));
  if (const auto page = text("auth-tls-error-page")) {
    if (!is_field_value(*page) || page->find('$') != std::string::npos ||
        !(page->starts_with('/') || page->starts_with("http"))) {
      return reject("auth-tls-error-page", quote_json(*page) + " is no URL or path");
    }
    access.set_error_page(*page);
  }
  if (const auto match = text("auth-tls-match-cn")) {
    if (!match->starts_with("CN=")) return reject("auth-tls-match-cn", "expected CN= and a regular expression");
    const std::string pattern = "(?s)(?:" + match->substr(3) + ").*";
    std::string why;
    if (!Regex::compile(pattern, Regex::Case::kSensitive, &why)) return reject("auth-tls-match-cn", why);
    access.mutable_common_name()->set_regex(pattern);
  }
  if (const auto pass = text("auth-tls-pass-certificate-to-upstream")) {
    const auto parsed = parse_bool(*pass);
    if (!parsed) return reject("auth-tls-pass-certificate-to-upstream", quote_json(*pass) + " is not true or false");
    access.set_pass_certificate(*parsed);
  }
  model_->client_certificate = std::move(access);
}

void IngressReader::read_cors() {
  if (!flag("enable-cors", false)) return;
  v1::Cors cors;
  bool any = true;
  if (const auto origins = text("cors-allow-origin")) {
    any = false;
    for (const std::string& origin : list_of(*origins)) {
      if (origin == "*") {
        any = true;
      } else if (!is_origin(origin)) {
        return ignore("cors-allow-origin",
                      quote_json(origin) + " is no origin such as https://*.example.com, so CORS stays off");
      }
    }
    if (!any) {
      for (const std::string& origin : list_of(*origins)) {
        v1::TextMatch* match = cors.add_allow_origins();
        match->set_exact(origin);
        match->set_ignore_case(true);
      }
    }
  }
  cors.set_allow_any_literal(any);
  const auto words = [&](const char* name, std::string_view otherwise, bool star, auto add) {
    std::vector<std::string> list = list_of(text(name).value_or(std::string(otherwise)));
    for (const std::string& word : list) {
      if (is_token(word) && (star || word != "*")) continue;
      ignore(name, quote_json(word) + " does not belong there");
      list = list_of(otherwise);
      break;
    }
    for (const std::string& word : list) add(word);
  };
  words("cors-allow-methods", "GET, PUT, POST, DELETE, PATCH, OPTIONS", false,
        [&](const auto& w) { cors.add_allow_methods(w); });
  words("cors-allow-headers",
        "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization",
        true, [&](const auto& w) { cors.add_allow_headers(w); });
  words("cors-expose-headers", "", true, [&](const auto& w) { cors.add_expose_headers(w); });
  cors.set_allow_credentials(flag("cors-allow-credentials", true));
  cors.mutable_max_age()->set_seconds(std::min(number("cors-max-age").value_or(1728000), kLongestSeconds));
  *add_filter().mutable_cors() = std::move(cors);
}

std::optional<v1::ExternalAuth> auth_for_host(const AuthRequest& auth, const std::string& host,
                                              const v1::ConnectionSettings& connection, UpstreamPtr* upstream,
                                              std::string* why) {
  Url url = auth.url;
  if (url.host.find('$') != std::string::npos) {
    if (host.starts_with('*')) {
      *why = "auth-url: " + url.host + " can be told only for rules with a full host name";
      return std::nullopt;
    }
    url.host = our_variables(url.host, {{"host", host}, {"http_host", host}});
    if (url.host.find('$') != std::string::npos) {
      *why = "auth-url: the host may hold no variable but $host";
      return std::nullopt;
    }
  }
  *upstream = url_upstream(url, connection);
  v1::ExternalAuth message = auth.message;
  message.set_upstream((*upstream)->name());
  const bool usual = url.port == (url.tls ? 443 : 80);
  message.set_host(usual ? url.host : url.host + ":" + std::to_string(url.port));
  message.set_path(url.target.empty() ? "/" : url.target);
  message.set_signin(auth.signin);
  return message;
}

}  // namespace headgate::translate
