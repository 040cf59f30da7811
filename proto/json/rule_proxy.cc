// rule_proxy.cc -- rules with the handler "proxy": backends and who gets which, sessions, and what a target's URI means.
#include "dataplane/base/text.h"
#include "proto/json/rule.h"

namespace headgate::json {

namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only

std::string indexed(std::string_view field, int index) {
  return std::string(field) + "[" + std::to_string(index) + "]";
}

void set_text_match(std::string_view text, TextMatch& match) {
  if (text.starts_with('~')) {
    match.set_regex(std::string(text.substr(1)));
  } else {
    match.set_exact(std::string(text));
  }
}

// {NAME: VALUE} of `key` as fields that are set on what goes to one backend.
void read_backend_headers(const RuleReading& rule, NodeId node, const std::string& path, Backend& backend) {
  const NodeId headers = rule.reading.member(node, "headers");
  if (!rule.reading.is_object(headers)) return;
  HeaderMods mods;
  for (NodeId one = rule.reading.doc.first(headers); one != kNoNode; one = rule.reading.doc.next(one)) {
    const auto value = rule.reading.text(one);
    if (!value) continue;
    rule.place(path + ".filters[0].request_headers." + indexed("set", mods.set_size()), one);
    NameValue& entry = *mods.add_set();
    entry.set_name(std::string(rule.reading.doc.node(one).key));
    entry.set_value(std::string(*value));
  }
  if (!mods.set().empty()) *backend.add_filters()->mutable_request_headers() = mods;
}

HeaderMatch& add_choice(const RuleReading& rule, ProxyAction& proxy, bool cookie, std::string_view name, NodeId at) {
  const int backend = proxy.backends_size() - 1;
  rule.place("proxy." + indexed("choices", proxy.choices_size()), at);
  BackendChoice& choice = *proxy.add_choices();
  choice.set_backend(static_cast<uint32_t>(backend));
  HeaderMatch& match = cookie ? *choice.mutable_cookie() : *choice.mutable_header();
  match.set_name(std::string(name));
  return match;
}

// match_headers and match_cookies of one backend.
void read_marks(const RuleReading& rule, NodeId node, ProxyAction& proxy) {
  for (const bool cookie : {false, true}) {
    const NodeId list = rule.reading.member(node, cookie ? "match_cookies" : "match_headers");
    if (!rule.reading.is_object(list)) continue;
    for (NodeId one = rule.reading.doc.first(list); one != kNoNode; one = rule.reading.doc.next(one)) {
      const auto value = rule.reading.text(one);
      if (!value) continue;
      HeaderMatch& match = add_choice(rule, proxy, cookie, rule.reading.doc.node(one).key, one);
      set_text_match(*value, *match.mutable_value());
    }
  }
}

void read_backends(const RuleReading& rule, ProxyAction& proxy) {
  const NodeId target = rule.member("proxy_pass");
  if (rule.reading.text(target)) {
    const std::string upstream = target_upstream(rule.reading, rule.node, target, true);
    if (!upstream.empty()) proxy.add_backends()->set_upstream(upstream);
    rule.place("proxy.backends[0]", target);
    return;
  }
  for (const NodeId node : rule.reading.each(target)) {
    if (!rule.reading.is_object(node)) continue;
    const std::string upstream = target_upstream(rule.reading, rule.node, rule.reading.member(node, "to"), true);
    if (upstream.empty()) continue;
    const std::string path = "proxy." + indexed("backends", proxy.backends_size());
    rule.place(path, node);
    Backend& backend = *proxy.add_backends();
    backend.set_upstream(upstream);
    if (const auto weight = rule.reading.whole<uint32_t>(node, "weight")) backend.set_weight(*weight);
    if (!rule.reading.truth(node, "sticky").value_or(true)) backend.set_sticky(TOGGLE_OFF);
    read_backend_headers(rule, node, path, backend);
    read_marks(rule, node, proxy);
  }
}

// "always" sends to the canary, "never" to the others; what is neither is decided by what comes after.
void add_always_never(const RuleReading& rule, ProxyAction& proxy, bool cookie, std::string_view name, NodeId at) {
  add_choice(rule, proxy, cookie, name, at).mutable_value()->set_exact("always");
  add_choice(rule, proxy, cookie, name, at).mutable_value()->set_exact("never");
  proxy.mutable_choices(proxy.choices_size() - 1)->set_backend(0);
}

// The order is that of ingress-nginx: header, cookie, weight.
void read_canary(const RuleReading& rule, ProxyAction& proxy) {
  const NodeId canary = rule.member("canary");
  if (!rule.reading.is_object(canary) || proxy.backends().empty()) return;
  if (proxy.backends_size() > 1) {
    rule.reading.error_at_key(canary, "conflict",
                              "a canary stands beside one target; with several give match_headers and weights there");
    return;
  }
  const std::string upstream = target_upstream(rule.reading, rule.node, rule.reading.member(canary, "to"), true);
  if (upstream.empty()) return;
  const uint32_t total = rule.reading.whole<uint32_t>(canary, "weight_total").value_or(100);
  const uint32_t weight = rule.reading.whole<uint32_t>(canary, "weight").value_or(0);
  if (weight > total) {
    rule.reading.error(rule.reading.member(canary, "weight"), "range", "expected at most " + std::to_string(total));
    return;
  }
  proxy.mutable_backends(0)->set_weight(total - weight);
  Backend& backend = *proxy.add_backends();
  backend.set_upstream(upstream);
  backend.set_weight(weight);
  if (!rule.reading.truth(canary, "sticky").value_or(true)) backend.set_sticky(TOGGLE_OFF);
  rule.place("proxy.backends[1]", canary);
  const NodeId header = rule.reading.member(canary, "header");
  const NodeId value = rule.reading.member(canary, "header_value");
  const NodeId pattern = rule.reading.member(canary, "header_pattern");
  if (const auto name = rule.reading.text(header)) {
    if (const auto text = rule.reading.text(value)) {
      add_choice(rule, proxy, false, *name, value).mutable_value()->set_exact(std::string(*text));
    } else if (const auto regex = rule.reading.text(pattern)) {
      add_choice(rule, proxy, false, *name, pattern)
          .mutable_value()
          ->set_regex("(?s:.*)(?:" + std::string(*regex) + ")(?s:.*)");
    } else {
      add_always_never(rule, proxy, false, *name, header);
    }
  } else if (value != kNoNode || pattern != kNoNode) {
    rule.reading.error(canary, "missing-key", "header_value and header_pattern need a header");
  }
  if (value != kNoNode && pattern != kNoNode) {
    rule.reading.error(pattern, "conflict", "give a value or a pattern, not both");
  }
  const NodeId cookie = rule.reading.member(canary, "cookie");
  if (const auto name = rule.reading.text(cookie)) add_always_never(rule, proxy, true, *name, cookie);
}

void read_affinity(const RuleReading& rule, ProxyAction& proxy) {
  const NodeId node = rule.member("affinity");
  if (!rule.reading.is_object(node)) return;
  SessionAffinity& affinity = *proxy.mutable_affinity();
  const auto text = [&](std::string_view key) { return std::string(rule.reading.text(node, key).value_or("")); };
  affinity.set_cookie(text("cookie"));
  affinity.set_persistent(text("mode") == "persistent");
  affinity.set_path(text("path"));
  affinity.set_domain(text("domain"));
  affinity.set_same_site(text("same_site"));
  google::protobuf::Duration value;
  if (rule.reading.duration(node, "max_age", &value)) *affinity.mutable_max_age() = value;
  if (rule.reading.duration(node, "expires", &value)) *affinity.mutable_expires() = value;
  if (const auto secure = rule.reading.truth(node, "secure")) affinity.set_secure(*secure ? TOGGLE_ON : TOGGLE_OFF);
  affinity.set_change_on_failure(rule.reading.truth(node, "change_on_failure").value_or(false));
  affinity.set_conditional_same_site_none(rule.reading.truth(node, "conditional_same_site_none").value_or(false));
  rule.place("proxy.affinity", node);
  for (const std::string_view key : {"cookie", "path", "domain", "same_site", "max_age", "expires"}) {
    rule.place("proxy.affinity." + std::string(key), rule.reading.member(node, key));
  }
}

void read_headers(const RuleReading& rule, ProxyAction& proxy) {
  const NodeId headers = rule.member("headers");
  if (!rule.reading.is_object(headers)) return;
  HeaderMods mods;
  const std::string path = indexed("filters", rule.route.filters_size()) + ".request_headers.";
  for (NodeId one = rule.reading.doc.first(headers); one != kNoNode; one = rule.reading.doc.next(one)) {
    const auto value = rule.reading.text(one);
    if (!value) continue;
    const std::string_view name = rule.reading.doc.node(one).key;
    if (equals_ignore_case(name, "host")) {
      proxy.set_host_rewrite(std::string(*value));
      rule.place("proxy.host_rewrite", one);
      continue;
    }
    rule.place(path + indexed("set", mods.set_size()), one);
    NameValue& entry = *mods.add_set();
    entry.set_name(std::string(name));
    entry.set_value(std::string(*value));
  }
  if (!mods.set().empty()) *rule.route.add_filters()->mutable_request_headers() = mods;
}

std::string named_upstream(Reading& reading, NodeId settings, NodeId target, const std::string& name, bool http) {
  for (const std::string_view key : {"tls", "proxy_protocol"}) {
    if (const NodeId own = reading.member(settings, key); own != kNoNode) {
      reading.error_at_key(own, "unused", "this belongs to the upstream: put it into upstreams" + path_key(name));
    }
  }
  const auto found = reading.upstreams.find(name);
  if (found == reading.upstreams.end()) {
    std::string known;
    for (const auto& [one, entry] : reading.upstreams) known += (known.empty() ? "" : ", ") + one;
    reading.error(target, "reference",
                  "there is no upstream " + quote_json(name) +
                      (known.empty() ? "; the file has none" : "; there are " + known));
    return "";
  }
  UpstreamEntry& entry = found->second;
  if (entry.index < 0) return "";
  if (entry.undecided) {
    reading.set.mutable_upstreams(entry.index)->set_protocol(http ? UPSTREAM_HTTP1 : UPSTREAM_STREAM);
    entry.undecided = false;
  }
  return name;
}

}  // namespace

std::string strip_prefix_of(const Reading& reading, NodeId rule) {
  std::string_view prefix = reading.text(rule, "strip_prefix").value_or("");
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  return std::string(prefix);
}

void read_proxy_rule(const RuleReading& rule) {
  ProxyAction& proxy = *rule.route.mutable_proxy();
  read_backends(rule, proxy);
  read_canary(rule, proxy);
  read_affinity(rule, proxy);
  if (const NodeId fallback = rule.member("fallback"); fallback != kNoNode) {
    proxy.set_fallback_upstream(target_upstream(rule.reading, rule.node, fallback, true));
    rule.place("proxy.fallback_upstream", fallback);
  }
  proxy.set_strip_prefix(strip_prefix_of(rule.reading, rule.node));
  rule.place("proxy.strip_prefix", rule.member("strip_prefix"));
  google::protobuf::Duration value;
  if (rule.reading.duration(rule.node, "timeout", &value)) *proxy.mutable_timeouts()->mutable_response() = value;
  if (LoadBalancing balance; rule.reading.balance(rule.node, &balance)) *proxy.mutable_balance() = balance;
  rule.place("proxy.balance", rule.member("balance"));
  rule.place("proxy.balance.hash_key", rule.member("hash_key"));
  if (RetryPolicy retry; rule.reading.retry(rule.node, &retry)) *proxy.mutable_retry() = retry;
  rule.place("proxy.retry", rule.member("retry"));
  if (rule.reading.truth(rule.node, "request_buffering").value_or(false)) proxy.set_request_buffering(TOGGLE_ON);
  read_headers(rule, proxy);
  if (rule.reading.truth(rule.node, "grpc_web").value_or(false)) rule.route.add_filters()->mutable_grpc_web();
}

std::string target_upstream(Reading& reading, NodeId settings, NodeId target, bool http) {
  const auto text = reading.text(target);
  if (!text) return "";
  Uri uri;
  std::string why;
  if (!parse_target_uri(*text, uri, why)) {
    reading.error(target, "uri", why);
    return "";
  }
  if (uri.scheme == Scheme::kUpstream) return named_upstream(reading, settings, target, uri.path, http);
  const bool fits = uri.scheme == Scheme::kUnix || (http ? is_http_scheme(uri.scheme) : !is_http_scheme(uri.scheme));
  if (!fits) {
    reading.error(target, "scheme",
                  std::string(scheme_name(uri.scheme)) + ":// cannot be " +
                      (http ? "proxied to with HTTP; expected http, https, unix or upstream"
                            : "forwarded to; expected tcp, ssl, udp, unix, unixgram or upstream"));
    return "";
  }
  return reading.inline_upstream(uri, target, settings, http);
}

}  // namespace headgate::json
