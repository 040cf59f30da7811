// dispatch.cc -- the section `dispatch`: each rule belongs to one listener and says what happens there.
// HTTP rules become one VirtualHost per host of the listener. A rule counts for every host that one of its patterns
// covers, and a rule without hosts for all; in each VirtualHost the rules with the narrower host stand first.
#include <algorithm>
#include <set>

#include "dataplane/base/address.h"
#include "dataplane/base/host_name.h"
#include "dataplane/base/text.h"
#include "proto/json/rule.h"

namespace headgate::json {

namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only

struct HttpRule {
  NodeId node = kNoNode;
  std::vector<std::string> hosts;  // normalized patterns; empty: all
  Route route;
};

class DispatchReader {
 public:
  explicit DispatchReader(Reading& reading)
      : reading_(reading), rules_(reading.listeners.size()), fields_(reading.listeners.size()) {}

  void read(NodeId list) {
    for (const NodeId node : reading_.each(list)) {
      if (reading_.is_object(node)) read_rule(node);
    }
    for (size_t i = 0; i < reading_.listeners.size(); ++i) finish(i);
  }

 private:
  void read_rule(NodeId node) {
    const auto name = reading_.text(node, "listener");
    const auto handler = reading_.text(node, "handler");
    if (!name) return;
    ListenerEntry* entry = reading_.listener(*name);
    if (entry == nullptr) {
      std::string known;
      for (const ListenerEntry& one : reading_.listeners) known += (known.empty() ? "" : ", ") + quote_json(one.name);
      reading_.error(reading_.member(node, "listener"), "reference",
                     "there is no listener " + quote_json(*name) + (known.empty() ? "" : "; there are " + known));
      return;
    }
    if (!entry->usable || !handler) return;
    if (*handler == "forward" || *handler == "dns") {
      if (!take_stream(*entry, node, *handler)) return;
      if (*handler == "dns") {
        read_dns_rule(*entry, node);
      } else {
        read_forward(*entry, node);
      }
      return;
    }
    if (take_http(*entry, node, *handler)) read_http(*entry, node, *handler);
  }

  Listener& message(const ListenerEntry& entry) { return *reading_.set.mutable_listeners(entry.index); }
  size_t index_of(const ListenerEntry& entry) const { return static_cast<size_t>(&entry - reading_.listeners.data()); }

  // What the check will miss at this listener is what the rule at `node` failed to say.
  void blame(const ListenerEntry& entry, NodeId node) {
    for (const std::string_view field : {"forward", "dns"})
      reading_.positions.add(check::Kind::kListener, entry.name, field, node);
  }

  bool take_stream(ListenerEntry& entry, NodeId node, std::string_view handler) {
    const Scheme scheme = entry.uri.scheme;
    if (scheme == Scheme::kHttp || scheme == Scheme::kHttps) {
      reading_.error(reading_.member(node, "handler"), "handler",
                     "the listener " + quote_json(entry.name) + " is " + std::string(scheme_name(scheme)) +
                         "://; the handler " + quote_json(handler) + " needs " +
                         (handler == "dns" ? "udp, tcp or ssl" : "tcp, ssl, udp, unix or unixgram"));
      return false;
    }
    if (entry.use == ListenerEntry::Use::kHttp) return mixed(entry, node);
    entry.use = ListenerEntry::Use::kStream;
    if (scheme == Scheme::kUnix) message(entry).set_protocol(LISTENER_STREAM);
    return true;
  }

  bool take_http(ListenerEntry& entry, NodeId node, std::string_view handler) {
    const Scheme scheme = entry.uri.scheme;
    if (scheme != Scheme::kHttp && scheme != Scheme::kHttps && scheme != Scheme::kUnix) {
      reading_.error(reading_.member(node, "handler"), "handler",
                     "the listener " + quote_json(entry.name) + " is " + std::string(scheme_name(scheme)) +
                         "://; the handler " + quote_json(handler) + " needs http, https or unix" +
                         (scheme == Scheme::kSsl ? " (ssl is TLS without HTTP)" : ""));
      blame(entry, node);
      return false;
    }
    if (entry.use == ListenerEntry::Use::kStream) return mixed(entry, node);
    entry.use = ListenerEntry::Use::kHttp;
    return true;
  }

  bool mixed(const ListenerEntry& entry, NodeId node) {
    reading_.error(reading_.member(node, "handler"), "handler",
                   "an earlier rule of the listener " + quote_json(entry.name) + " makes it " +
                       (entry.use == ListenerEntry::Use::kHttp ? "an HTTP server; it cannot forward bytes as well"
                                                               : "a forwarder of bytes; it cannot serve HTTP as well"));
    return false;
  }

  // --- forward and dns

  void read_dns_rule(const ListenerEntry& entry, NodeId node) {
    Listener& listener = message(entry);
    const NodeId root = reading_.doc.root();
    if (listener.has_dns()) {
      reading_.warning(node, "never-matches", "this rule can never match: the listener answers DNS already");
      return;
    }
    DnsService& dns = *listener.mutable_dns();
    for (const std::string& resolver : reading_.texts(root, "dns_forward")) {
      dns.add_forward(IpAddress::parse(resolver).has_value()
                          ? SocketAddress::ip(*IpAddress::parse(resolver), 53).to_string()
                          : resolver);
    }
    if (reading_.text(root, "dns_any") == "full") dns.set_any_full(TOGGLE_ON);
    if (const auto rate = reading_.whole<uint32_t>(root, "dns_rate_limit")) dns.set_responses_per_second(*rate);
    dns.set_allow_wildcard(reading_.truth(root, "dns_allow_wildcard").value_or(false));
    reading_.positions.add(check::Kind::kListener, entry.name, "dns", node);
    reading_.positions.add_list(check::Kind::kListener, entry.name, "dns.forward",
                                reading_.each(reading_.member(root, "dns_forward")));
  }

  void read_forward(const ListenerEntry& entry, NodeId node) {
    Listener& listener = message(entry);
    ForwardRule rule;
    rule.set_name(rule_name(node));
    const std::string path = "forward[" + std::to_string(listener.forward_size()) + "]";
    read_forward_targets(entry, node, path, rule);
    if (const auto mode = reading_.text(node, "mode"))
      rule.set_mode(*mode == "datagram" ? FORWARD_DATAGRAM : FORWARD_STREAM);
    if (const auto framing = reading_.text(node, "framing"))
      rule.set_framing(*framing == "line" ? FRAMING_LINE : FRAMING_LENGTH);
    google::protobuf::Duration value;
    if (reading_.duration(node, "timeout", &value)) *rule.mutable_timeout() = value;
    if (const auto most = reading_.whole<uint32_t>(node, "max_connections")) rule.set_max_connections(*most);
    if (const auto bytes = reading_.whole<uint32_t>(node, "buffer_size")) rule.set_buffer_bytes(*bytes);
    for (const std::string& name : reading_.texts(node, "sni")) rule.add_sni(normalize_host(name));
    // Names that are asked for where TLS is not ended are read from the ClientHello.
    if (!rule.sni().empty() && listener.protocol() == LISTENER_STREAM) listener.set_protocol(LISTENER_TLS_PASSTHROUGH);
    for (const std::string& range : reading_.texts(node, "source")) rule.add_source(range);
    *listener.add_forward() = rule;
    auto& positions = reading_.positions;
    positions.add(check::Kind::kListener, entry.name, path, node);
    for (const auto& [field, key] : {std::pair<const char*, const char*>{"upstream", "forward_to"},
                                     {"mode", "mode"},
                                     {"framing", "framing"},
                                     {"timeout", "timeout"},
                                     {"buffer_bytes", "buffer_size"},
                                     {"sni", "sni"}}) {
      positions.add(check::Kind::kListener, entry.name, path + "." + field, reading_.member(node, key));
    }
    positions.add_list(check::Kind::kListener, entry.name, path + ".sni", reading_.each(reading_.member(node, "sni")));
    positions.add_list(check::Kind::kListener, entry.name, path + ".source",
                       reading_.each(reading_.member(node, "source")));
  }

  // One target, or several by weight.
  void read_forward_targets(const ListenerEntry& entry, NodeId node, const std::string& path, ForwardRule& rule) {
    const NodeId target = reading_.member(node, "forward_to");
    if (reading_.text(target)) {
      rule.set_upstream(target_upstream(reading_, node, target, false));
      return;
    }
    for (const NodeId one : reading_.each(target)) {
      if (!reading_.is_object(one)) continue;
      const std::string upstream = target_upstream(reading_, node, reading_.member(one, "to"), false);
      if (upstream.empty()) continue;
      const std::string field = path + ".upstreams[" + std::to_string(rule.upstreams_size()) + "]";
      reading_.positions.add(check::Kind::kListener, entry.name, field, one);
      reading_.positions.add(check::Kind::kListener, entry.name, field + ".weight", reading_.member(one, "weight"));
      WeightedUpstream& weighted = *rule.add_upstreams();
      weighted.set_upstream(upstream);
      if (const auto weight = reading_.whole<uint32_t>(one, "weight")) weighted.set_weight(*weight);
    }
  }

  // --- http

  void read_http(const ListenerEntry& entry, NodeId node, std::string_view handler) {
    HttpRule rule;
    rule.node = node;
    rule_fields_.clear();
    rule.route.set_name(rule_name(node));
    for (const std::string& host : reading_.texts(node, "hosts")) {
      if (host_pattern_kind(host) != HostPatternKind::kInvalid) rule.hosts.push_back(normalize_host(host));
    }
    read_match(node, rule.route);
    read_rule_filters(reading_of(node, rule.route));
    if (handler == "static") read_static(node, *rule.route.mutable_static_files());
    if (handler == "proxy") read_proxy_rule(reading_of(node, rule.route));
    if (handler == "respond") read_respond(node, *rule.route.mutable_respond());
    if (handler == "redirect") read_redirect(node, *rule.route.mutable_redirect());
    if (handler == "echo") rule.route.mutable_echo();
    const size_t at = index_of(entry);
    rules_[at].push_back(std::move(rule));
    fields_[at].push_back(std::move(rule_fields_));
    rule_fields_ = {};
  }

  void read_match(NodeId node, Route& route) {
    RouteMatch& match = *route.mutable_match();
    const NodeId path_node = reading_.member(node, "path");
    const auto path = reading_.text(path_node);
    place("match", path_node != kNoNode ? path_node : node);
    if (path) read_path(path_node, *path, match);
    // Service and method of gRPC are the path.
    if (!path && reading_.member(node, "grpc") == kNoNode) match.set_prefix("/");
    match.set_final(reading_.truth(node, "final").value_or(false));
    place("match.final", reading_.member(node, "final"));
    for (const std::string& method : reading_.texts(node, "methods")) match.add_methods(method);
    const auto methods = reading_.each(reading_.member(node, "methods"));
    for (size_t i = 0; i < methods.size(); ++i) place("match.methods[" + std::to_string(i) + "]", methods[i]);
    read_grpc_match(node, match);
    const NodeId headers = reading_.member(node, "match_headers");
    if (!reading_.is_object(headers)) return;
    for (NodeId one = reading_.doc.first(headers); one != kNoNode; one = reading_.doc.next(one)) {
      const auto value = reading_.text(one);
      if (!value) continue;
      place("match.headers[" + std::to_string(match.headers_size()) + "]", one);
      HeaderMatch& header = *match.add_headers();
      header.set_name(std::string(reading_.doc.node(one).key));
      read_text_match(*value, *header.mutable_value());
    }
  }

  static void read_text_match(std::string_view text, TextMatch& match) {
    if (text.starts_with('~')) {
      match.set_regex(std::string(text.substr(1)));
    } else {
      match.set_exact(std::string(text));
    }
  }

  void read_grpc_match(NodeId node, RouteMatch& match) {
    const NodeId grpc = reading_.member(node, "grpc");
    if (!reading_.is_object(grpc)) return;
    place("match.grpc", grpc);
    if (const auto service = reading_.text(grpc, "service")) {
      read_text_match(*service, *match.mutable_grpc()->mutable_service());
      place("match.grpc.service", reading_.member(grpc, "service"));
    }
    if (const auto method = reading_.text(grpc, "method")) {
      read_text_match(*method, *match.mutable_grpc()->mutable_method());
      place("match.grpc.method", reading_.member(grpc, "method"));
    }
  }

  void read_path(NodeId node, std::string_view path, RouteMatch& match) {
    if (path.starts_with('~')) {
      match.set_regex(std::string(path.substr(1)));
      return;
    }
    const auto without = [&](size_t count) {
      const std::string_view front = path.substr(0, path.size() - count);
      return front.empty() ? std::string("/") : std::string(front);
    };
    std::string_view literal = path;
    if (path.ends_with("/**")) {
      match.set_prefix(without(3));
      literal.remove_suffix(3);
    } else if (path.ends_with("/*")) {
      match.set_segment(without(2));
      literal.remove_suffix(2);
    } else {
      match.set_exact(std::string(path));
    }
    if (literal.find('*') != std::string_view::npos) {
      reading_.warning(
          node, "pattern",
          "a \"*\" inside a path stands for itself; patterns are \"/prefix/**\", \"/one-segment/*\" and \"~regex\"");
    }
  }

  void read_static(NodeId node, StaticFilesAction& files) {
    const NodeId root = reading_.member(node, "root");
    if (const auto text = reading_.text(root)) {
      if (text->empty()) reading_.error(root, "file", "expected the name of a folder");
      files.set_root(reading_.resolve(*text));
    }
    place("static_files.root", root);
    for (const std::string& index : reading_.texts(node, "index")) files.add_index(index);
    place("static_files.index", reading_.member(node, "index"));
    files.set_autoindex(reading_.truth(node, "autoindex").value_or(false));
    for (const std::string& one : reading_.texts(node, "try_files")) files.add_try_files(one);
    const auto tries = reading_.each(reading_.member(node, "try_files"));
    for (size_t i = 0; i < tries.size(); ++i) place("static_files.try_files[" + std::to_string(i) + "]", tries[i]);
    if (const auto text = reading_.text(node, "cache_control")) files.set_cache_control(std::string(*text));
    place("static_files.cache_control", reading_.member(node, "cache_control"));
    files.set_strip_prefix(strip_prefix_of(reading_, node));
    place("static_files.strip_prefix", reading_.member(node, "strip_prefix"));
  }

  void read_respond(NodeId node, RespondAction& respond) {
    if (const auto status = reading_.whole<uint32_t>(node, "status")) respond.set_status(*status);
    place("respond.status", reading_.member(node, "status"));
    if (const auto body = reading_.text(node, "body")) respond.set_body(std::string(*body));
    place("respond.body", reading_.member(node, "body"));
    const NodeId headers = reading_.member(node, "headers");
    if (!reading_.is_object(headers)) return;
    for (NodeId one = reading_.doc.first(headers); one != kNoNode; one = reading_.doc.next(one)) {
      const auto value = reading_.text(one);
      if (!value) continue;
      place("respond.headers[" + std::to_string(respond.headers_size()) + "]", one);
      NameValue& entry = *respond.add_headers();
      entry.set_name(std::string(reading_.doc.node(one).key));
      entry.set_value(std::string(*value));
    }
  }

  void read_redirect(NodeId node, RedirectAction& redirect) {
    if (const auto status = reading_.whole<uint32_t>(node, "status")) redirect.set_status(*status);
    place("redirect.status", reading_.member(node, "status"));
    if (const auto location = reading_.text(node, "location")) redirect.set_location(std::string(*location));
    place("redirect.location", reading_.member(node, "location"));
  }

  // --- virtual hosts

  void place(std::string field, NodeId node) {
    if (node != kNoNode) rule_fields_.emplace_back(std::move(field), node);
  }
  RuleReading reading_of(NodeId node, Route& route) { return {reading_, node, route, rule_fields_}; }

  std::string rule_name(NodeId node) const { return "dispatch[" + std::to_string(reading_.doc.node(node).index) + "]"; }

  // How narrow the pattern of `rule` is that covers `host`; -1: none does.
  static int narrowness(const HttpRule& rule, const std::string& host) {
    int best = rule.hosts.empty() ? 0 : -1;
    for (const std::string& pattern : rule.hosts) {
      if (!host_pattern_covers(pattern, host)) continue;
      const HostPatternKind kind = host_pattern_kind(pattern);
      const int rank = kind == HostPatternKind::kAny        ? 0
                       : kind == HostPatternKind::kWildcard ? static_cast<int>(pattern.size())
                                                            : 1000;
      best = std::max(best, rank);
    }
    return best;
  }

  void finish(size_t at) {
    const ListenerEntry& entry = reading_.listeners[at];
    if (!entry.usable) return;
    Listener& listener = message(entry);
    if (listener.protocol() != LISTENER_HTTP && listener.protocol() != LISTENER_HTTPS) return;
    listener.set_route_table(entry.name);
    RouteTable& table = *reading_.set.add_route_tables();
    table.set_name(entry.name);
    // `timeouts.idle` also ends a tunnel (WebSocket) without traffic.
    google::protobuf::Duration& idle = *table.mutable_timeouts()->mutable_tunnel_idle();
    const ListenerTimeouts& times = reading_.set.settings().timeouts();
    if (times.has_idle()) {
      idle = times.idle();
    } else {
      idle.set_seconds(60);  // as ListenerTimeouts.idle when the file does not say
    }
    reading_.positions.add(check::Kind::kRouteTable, entry.name, "", entry.node);
    std::set<std::string> hosts;
    for (const HttpRule& rule : rules_[at]) {
      hosts.insert(rule.hosts.begin(), rule.hosts.end());
      if (rule.hosts.empty()) hosts.insert("*");
    }
    for (const std::string& host : hosts) add_host(at, entry, host);
  }

  void add_host(size_t at, const ListenerEntry& entry, const std::string& name) {
    VirtualHost& host = *reading_.set.add_virtual_hosts();
    host.set_name(entry.name + "/" + name);
    host.set_table(entry.name);
    host.set_host(name);
    reading_.positions.add(check::Kind::kVirtualHost, host.name(), "", entry.node);
    std::vector<std::pair<int, size_t>> order;  // by narrowness, then in file order
    for (size_t i = 0; i < rules_[at].size(); ++i) {
      const int rank = narrowness(rules_[at][i], name);
      if (rank >= 0) order.emplace_back(-rank, i);
    }
    std::stable_sort(order.begin(), order.end());
    for (const auto& [rank, i] : order) {
      const std::string path = "routes[" + std::to_string(host.routes_size()) + "]";
      *host.add_routes() = rules_[at][i].route;
      reading_.positions.add(check::Kind::kVirtualHost, host.name(), path, rules_[at][i].node);
      for (const auto& [field, node] : fields_[at][i]) {
        reading_.positions.add(check::Kind::kVirtualHost, host.name(), path + "." + field, node);
      }
    }
  }

  Reading& reading_;
  std::vector<std::vector<HttpRule>> rules_;     // by listener
  std::vector<std::vector<FieldNodes>> fields_;  // of the same rules
  FieldNodes rule_fields_;                       // of the rule that is being read
};

}  // namespace

void read_dispatch(Reading& reading, NodeId root) { DispatchReader(reading).read(reading.member(root, "dispatch")); }

}  // namespace headgate::json
