// rule_filters.cc -- the keys of a rule that are filters: limits, access, pages, mirrors, compression.
#include "proto/check/htpasswd.h"
#include "proto/json/rule.h"

namespace headgate::json {

namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only

class FilterReader {
 public:
  explicit FilterReader(const RuleReading& rule) : rule_(rule), reading_(rule.reading) {}

  void read() {
    if (const auto bytes = reading_.whole<uint64_t>(rule_.node, "body_limit")) {
      add("body_limit", rule_.member("body_limit")).mutable_body_limit()->set_bytes(*bytes);
    }
    if (const NodeId node = object("cors"); node != kNoNode) read_cors(node);
    for (const NodeId node : reading_.each(rule_.member("rate_limit"))) read_rate_limit(node);
    if (const NodeId node = object("limit_connections"); node != kNoNode) read_connection_limit(node);
    read_access();
    for (const NodeId node : reading_.each(rule_.member("mirror"))) read_mirror(node);
    for (const NodeId node : reading_.each(rule_.member("error_pages"))) read_error_pages(node);
    if (const NodeId node = object("hsts"); node != kNoNode) read_hsts(node);
    if (const NodeId node = object("compress"); node != kNoNode) read_compress(node);
    if (const NodeId node = object("bandwidth"); node != kNoNode) read_bandwidth(node);
  }

 private:
  // The object at `key`; kNoNode when the key is absent or something else.
  [[nodiscard]] NodeId object(std::string_view key) const {
    const NodeId node = rule_.member(key);
    return reading_.is_object(node) ? node : kNoNode;
  }

  // One more filter of the rule; what the check says about it is said at `node`.
  HttpFilter& add(std::string_view field, NodeId node) {
    path_ = "filters[" + std::to_string(rule_.route.filters_size()) + "]." + std::string(field);
    rule_.place(path_.substr(0, path_.find('.')), node);
    rule_.place(path_, node);
    return *rule_.route.add_filters();
  }
  // Where `field` of the filter added last stands.
  void place(std::string_view field, NodeId node) { rule_.place(path_ + "." + std::string(field), node); }
  void place_list(std::string_view field, NodeId list) {
    place(field, list);
    const auto nodes = reading_.each(list);
    for (size_t i = 0; i < nodes.size(); ++i) place(std::string(field) + "[" + std::to_string(i) + "]", nodes[i]);
  }

  [[nodiscard]] std::string text(NodeId node, std::string_view key) const {
    return std::string(reading_.text(node, key).value_or(""));
  }
  template <typename List>
  void pairs(NodeId node, std::string_view key, std::string_view field, List& into) {
    const NodeId map = reading_.member(node, key);
    if (!reading_.is_object(map)) return;
    for (NodeId one = reading_.doc.first(map); one != kNoNode; one = reading_.doc.next(one)) {
      const auto value = reading_.text(one);
      if (!value) continue;
      place(std::string(field) + "[" + std::to_string(into.size()) + "]", one);
      NameValue& entry = *into.Add();
      entry.set_name(std::string(reading_.doc.node(one).key));
      entry.set_value(std::string(*value));
    }
  }

  void read_cors(NodeId node) {
    Cors& cors = *add("cors", node).mutable_cors();
    for (const std::string& origin : reading_.texts(node, "origins")) {
      if (origin.starts_with('~')) {
        cors.add_allow_origins()->set_regex(origin.substr(1));
      } else {
        cors.add_allow_origins()->set_exact(origin);
      }
    }
    place_list("allow_origins", reading_.member(node, "origins"));
    for (const std::string& one : reading_.texts(node, "methods")) cors.add_allow_methods(one);
    for (const std::string& one : reading_.texts(node, "headers")) cors.add_allow_headers(one);
    place_list("allow_headers", reading_.member(node, "headers"));
    for (const std::string& one : reading_.texts(node, "expose")) cors.add_expose_headers(one);
    place_list("expose_headers", reading_.member(node, "expose"));
    cors.set_allow_credentials(reading_.truth(node, "credentials").value_or(false));
    google::protobuf::Duration value;
    if (reading_.duration(node, "max_age", &value)) *cors.mutable_max_age() = value;
  }

  void read_rate_limit(NodeId node) {
    if (!reading_.is_object(node)) return;
    RateLimit& limit = *add("rate_limit", node).mutable_rate_limit();
    limit.set_name(text(node, "name"));
    limit.set_requests(reading_.whole<uint32_t>(node, "requests").value_or(0));
    google::protobuf::Duration value;
    if (reading_.duration(node, "period", &value)) *limit.mutable_period() = value;
    limit.set_burst(reading_.whole<uint32_t>(node, "burst").value_or(0));
    limit.set_key(text(node, "key"));
    place("key", reading_.member(node, "key"));
    if (const auto status = reading_.whole<uint32_t>(node, "status")) limit.set_status(*status);
    for (const std::string& range : reading_.texts(node, "exempt")) limit.add_exempt(range);
    limit.set_dry_run(reading_.truth(node, "dry_run").value_or(false));
  }

  void read_connection_limit(NodeId node) {
    ConnectionLimit& limit = *add("connection_limit", node).mutable_connection_limit();
    limit.set_connections(reading_.whole<uint32_t>(node, "connections").value_or(0));
    limit.set_key(text(node, "key"));
    place("key", reading_.member(node, "key"));
    if (const auto status = reading_.whole<uint32_t>(node, "status")) limit.set_status(*status);
    for (const std::string& range : reading_.texts(node, "exempt")) limit.add_exempt(range);
  }

  void read_access() {
    const NodeId allow = rule_.member("allow");
    const NodeId deny = rule_.member("deny");
    if (allow != kNoNode || deny != kNoNode) {
      IpAccess& access = *add("ip_access", allow != kNoNode ? allow : deny).mutable_ip_access();
      for (const std::string& range : reading_.texts(rule_.node, "allow")) access.add_allow(range);
      for (const std::string& range : reading_.texts(rule_.node, "deny")) access.add_deny(range);
    }
    if (const NodeId node = object("basic_auth"); node != kNoNode) read_basic_auth(node);
    if (const NodeId node = object("external_auth"); node != kNoNode) read_external_auth(node);
    if (reading_.text(rule_.node, "satisfy") == "any") {
      add("satisfy", rule_.member("satisfy")).mutable_satisfy()->set_any(true);
    }
  }

  void read_basic_auth(NodeId node) {
    BasicAuth& auth = *add("basic_auth", node).mutable_basic_auth();
    auth.set_realm(text(node, "realm"));
    auth.set_keep_authorization(reading_.truth(node, "keep_authorization").value_or(false));
    pairs(node, "users", "users", *auth.mutable_users());
    const NodeId file = reading_.member(node, "file");
    if (file == kNoNode) return;
    auth.set_htpasswd_file(reading_.resolve(text(node, "file")));
    const auto content = reading_.contents(file);
    if (!content) return;
    std::string why;
    const int first = auth.users_size();
    if (!check::parse_htpasswd(*content, *auth.mutable_users(), why)) reading_.error(file, "htpasswd", why);
    for (int i = first; i < auth.users_size(); ++i) place("users[" + std::to_string(i) + "]", file);
  }

  void read_external_auth(NodeId node) {
    ExternalAuth& auth = *add("external_auth", node).mutable_external_auth();
    const NodeId target = reading_.member(node, "to");
    auth.set_upstream(target_upstream(reading_, node, target, true));
    place("upstream", target);
    auth.set_path(text(node, "path"));
    auth.set_host(text(node, "host"));
    auth.set_method(text(node, "method"));
    auth.set_signin(text(node, "sign_in"));
    auth.set_signin_redirect_param(text(node, "sign_in_parameter"));
    auth.set_redirect_value(text(node, "redirect"));
    place("path", reading_.member(node, "path"));
    place("host", reading_.member(node, "host"));
    place("signin", reading_.member(node, "sign_in"));
    place("signin_redirect_param", reading_.member(node, "sign_in_parameter"));
    place("redirect_value", reading_.member(node, "redirect"));
    for (const std::string& one : reading_.texts(node, "response_headers")) auth.add_response_headers(one);
    place_list("response_headers", reading_.member(node, "response_headers"));
    pairs(node, "headers", "request_headers", *auth.mutable_request_headers());
    google::protobuf::Duration value;
    if (reading_.duration(node, "timeout", &value)) *auth.mutable_timeout() = value;
    auth.set_always_set_cookie(reading_.truth(node, "always_set_cookie").value_or(false));
    auth.set_fail_open(reading_.truth(node, "fail_open").value_or(false));
  }

  void read_mirror(NodeId node) {
    if (!reading_.is_object(node)) return;
    Mirror& mirror = *add("mirror", node).mutable_mirror();
    const NodeId target = reading_.member(node, "to");
    mirror.set_upstream(target_upstream(reading_, node, target, true));
    place("upstream", target);
    if (const auto percent = reading_.number(node, "percent")) {
      mirror.mutable_share()->set_numerator(static_cast<uint32_t>(*percent * 1000));
      mirror.mutable_share()->set_denominator(100000);
    }
    mirror.set_host(text(node, "host"));
    place("host", reading_.member(node, "host"));
    mirror.set_path(text(node, "path"));
    place("path", reading_.member(node, "path"));
    if (!reading_.truth(node, "body").value_or(true)) mirror.set_body(TOGGLE_OFF);
  }

  void read_error_pages(NodeId node) {
    if (!reading_.is_object(node)) return;
    ErrorPages& pages = *add("error_pages", node).mutable_error_pages();
    for (const NodeId one : reading_.each(reading_.member(node, "statuses"))) {
      if (const auto status = reading_.number(one)) pages.add_statuses(static_cast<uint32_t>(*status));
    }
    const NodeId target = reading_.member(node, "to");
    if (target != kNoNode) pages.set_upstream(target_upstream(reading_, node, target, true));
    place("upstream", target);
    pages.set_body(text(node, "body"));
    pages.set_content_type(text(node, "content_type"));
    if (!reading_.truth(node, "upstream_errors").value_or(true)) pages.set_upstream_errors(TOGGLE_OFF);
    pairs(node, "headers", "request_headers", *pages.mutable_request_headers());
  }

  void read_hsts(NodeId node) {
    Hsts& hsts = *add("hsts", node).mutable_hsts();
    if (const auto age = reading_.whole<int64_t>(node, "max_age")) hsts.mutable_max_age()->set_seconds(*age);
    if (!reading_.truth(node, "include_subdomains").value_or(true)) hsts.set_include_subdomains(TOGGLE_OFF);
    hsts.set_preload(reading_.truth(node, "preload").value_or(false));
  }

  void read_compress(NodeId node) {
    Compress& compress = *add("compress", node).mutable_compress();
    for (const std::string& one : reading_.texts(node, "encodings")) compress.add_encodings(one);
    if (compress.encodings().empty()) {
      for (const char* one : {"br", "zstd", "gzip"}) compress.add_encodings(one);
    }
    for (const std::string& one : reading_.texts(node, "types")) compress.add_content_types(one);
    if (const auto bytes = reading_.whole<uint32_t>(node, "min_bytes")) compress.set_min_bytes(*bytes);
    if (const auto level = reading_.whole<uint32_t>(node, "level")) compress.set_level(*level);
  }

  void read_bandwidth(NodeId node) {
    Bandwidth& bandwidth = *add("bandwidth", node).mutable_bandwidth();
    bandwidth.set_bytes_per_second(reading_.whole<uint64_t>(node, "bytes_per_second").value_or(0));
    bandwidth.set_after_bytes(reading_.whole<uint64_t>(node, "after").value_or(0));
  }

  const RuleReading& rule_;
  Reading& reading_;
  std::string path_;  // of the filter added last
};

}  // namespace

void read_rule_filters(const RuleReading& rule) { FilterReader(rule).read(); }

}  // namespace headgate::json
