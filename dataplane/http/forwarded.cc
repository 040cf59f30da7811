#include "dataplane/http/forwarded.h"

#include <array>

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "dataplane/http/exchange.h"
#include "dataplane/http/field_bits.h"
#include "dataplane/http/request_id.h"
#include "dataplane/http/uri.h"

namespace headgate::http {

namespace {

// The last hops of a list that may come in several fields; more of them than this is nobody's network.
class LastElements {
 public:
  LastElements(const HeaderMap& headers, FieldId id) {
    for (const Field& field : headers.fields()) {
      if (field.id != id) continue;
      std::string_view rest = field.value;
      while (const auto element = next_list_element(rest)) elements_[count_++ % kKept] = *element;
    }
  }
  // From the right; nullopt past the left end.
  std::optional<std::string_view> next() {
    if (taken_ == count_ || taken_ == kKept) return std::nullopt;
    ++taken_;
    return elements_[(count_ - taken_) % kKept];
  }

 private:
  static constexpr size_t kKept = 32;
  std::array<std::string_view, kKept> elements_{};
  size_t count_ = 0;
  size_t taken_ = 0;
};

// The value of a parameter of one Forwarded element ("for=192.0.2.1;proto=https"), quotes taken off.
std::string_view forwarded_parameter(std::string_view element, std::string_view name) {
  while (!element.empty()) {
    size_t end = 0;
    for (bool quoted = false; end < element.size() && (quoted || element[end] != ';'); ++end) {
      if (element[end] == '"') quoted = !quoted;
    }
    const std::string_view pair = trim(element.substr(0, end));
    element.remove_prefix(end < element.size() ? end + 1 : end);
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos || !equals_ignore_case(pair.substr(0, equals), name)) continue;
    std::string_view value = pair.substr(equals + 1);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    return value;
  }
  return {};
}

std::optional<Scheme> parse_scheme(std::string_view text) {
  if (equals_ignore_case(text, "https") || equals_ignore_case(text, "wss")) return Scheme::kHttps;
  if (equals_ignore_case(text, "http") || equals_ignore_case(text, "ws")) return Scheme::kHttp;
  return std::nullopt;
}

std::string_view address_text(const IpAddress& address, Arena& arena) {
  char* const text = arena.allocate_text(46);
  return {text, static_cast<size_t>(address.write(text) - text)};
}

ForwardedMode effective(ForwardedMode mode, bool trusted) {
  if (mode != ForwardedMode::kAuto) return mode;
  return trusted ? ForwardedMode::kAppend : ForwardedMode::kReplace;
}

// Names of the set that are no FieldId, in any spelling: '_' reads as '-' to CGI-like servers.
bool is_forwarded_alias(std::string_view name) {
  constexpr std::array<std::string_view, 7> kPrefixes = {"x-forwarded-", "x-envoy-", "x-original-", "x-real-ip",
                                                         "x-scheme",     "forwarded", "x-client-ip"};
  for (const std::string_view prefix : kPrefixes) {
    if (name.size() < prefix.size()) continue;
    size_t i = 0;
    while (i < prefix.size() && (name[i] == '_' ? '-' : to_lower(name[i])) == prefix[i]) ++i;
    if (i == prefix.size()) return true;
  }
  return false;
}

// Whether to add ours, and what stays of theirs.
struct Existing {
  std::string_view for_list;
  std::string_view host;
  std::string_view client;  // its address; empty: it has none
};

std::string_view server_port(const Exchange& exchange, Arena& arena) {
  const SocketAddress& local = exchange.connection().local;
  uint16_t port = local.is_ip() ? local.port() : 0;
  if (port == 0) port = port_of_authority(exchange.request().authority);
  if (port == 0) return exchange.request().scheme == Scheme::kHttps ? "443" : "80";
  char* const text = arena.allocate_text(20);
  return {text, static_cast<size_t>(write_decimal(text, port) - text)};
}

void write_x_forwarded(const Exchange& exchange, ForwardedMode mode, const Existing& existing, HeaderMap& outgoing) {
  Arena& arena = outgoing.arena();
  const RequestHead& request = exchange.request();
  const bool append = mode == ForwardedMode::kAppend;
  if (append) {
    const std::string_view list = appended_forwarded_for(exchange, arena);
    if (!list.empty()) outgoing.set(FieldId::kXForwardedFor, list);
  } else if (!existing.client.empty()) {
    outgoing.set(FieldId::kXForwardedFor, existing.client);
  }
  outgoing.set(FieldId::kXForwardedProto, scheme_name(request.scheme));
  if (!append || existing.host.empty()) {
    if (!request.authority.empty()) outgoing.set(FieldId::kXForwardedHost, request.authority);
  }
  if (!append || !outgoing.has(FieldId::kXForwardedPort)) {
    outgoing.set(FieldId::kXForwardedPort, server_port(exchange, arena));
  }
}

// "for=192.0.2.1;host=example.com;proto=https", with quotes where a token will not do.
std::string_view forwarded_element(const Exchange& exchange, Arena& arena) {
  const RequestHead& request = exchange.request();
  const SocketAddress& remote = exchange.connection().remote;
  std::string_view node = "unknown";  // RFC 7239 6.2: a Unix socket has no address
  std::string_view before;
  std::string_view after;
  if (remote.is_ip()) {
    node = address_text(remote.address(), arena);
    if (!remote.address().is_v4()) {
      before = "\"[";
      after = "]\"";
    }
  }
  if (request.authority.empty()) {
    return arena.concat("for=", before, node, after, ";proto=", scheme_name(request.scheme));
  }
  const std::string_view quote = is_token(request.authority) ? "" : "\"";
  return arena.concat("for=", before, node, after, ";host=", quote, request.authority, quote,
                      ";proto=", scheme_name(request.scheme));
}

}  // namespace

std::optional<IpAddress> parse_forwarded_node(std::string_view text) {
  std::string_view host = text;
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    host = text.substr(1, close - 1);
    const std::string_view rest = text.substr(close + 1);
    if (!rest.empty() && (rest[0] != ':' || !parse_decimal<uint16_t>(rest.substr(1)))) return std::nullopt;
    if (host.find(':') == std::string_view::npos) return std::nullopt;  // brackets are for IPv6
  } else if (const size_t colon = text.find(':');
             colon != std::string_view::npos && text.find(':', colon + 1) == std::string_view::npos) {
    host = text.substr(0, colon);
    if (!parse_decimal<uint16_t>(text.substr(colon + 1))) return std::nullopt;
  }
  const auto address = IpAddress::parse(host);
  if (!address) return std::nullopt;
  return *address;
}

IpAddress client_address_of(const HeaderMap& headers, const IpAddress& remote, const CidrSet& trusted) {
  IpAddress client = remote;
  const bool rfc7239 = !headers.has(FieldId::kXForwardedFor) && headers.has(FieldId::kForwarded);
  if (!rfc7239 && !headers.has(FieldId::kXForwardedFor)) {
    if (headers.count(FieldId::kXRealIp) == 1 && trusted.contains(client)) {
      if (const auto address = parse_forwarded_node(headers.get(FieldId::kXRealIp))) client = *address;
    }
    return client;
  }
  LastElements elements(headers, rfc7239 ? FieldId::kForwarded : FieldId::kXForwardedFor);
  while (trusted.contains(client)) {
    const auto element = elements.next();
    if (!element) break;
    const auto address = parse_forwarded_node(rfc7239 ? forwarded_parameter(*element, "for") : *element);
    if (!address) break;
    client = *address;
  }
  return client;
}

void resolve_client(Exchange& exchange, const CidrSet& trusted) {
  const SocketAddress& remote = exchange.connection().remote;
  if (!remote.is_ip() || !trusted.contains(remote.address())) return;
  exchange.from_trusted_proxy = true;
  RequestHead& request = exchange.request();
  const HeaderMap& headers = request.headers;
  exchange.client_address = client_address_of(headers, remote.address(), trusted);
  // The element of the proxy next to us: those to its left may be the client's own.
  std::optional<Scheme> scheme;
  if (headers.has(FieldId::kXForwardedProto)) {
    if (const auto last = LastElements(headers, FieldId::kXForwardedProto).next()) scheme = parse_scheme(*last);
  } else if (headers.has(FieldId::kForwarded)) {
    if (const auto last = LastElements(headers, FieldId::kForwarded).next()) {
      scheme = parse_scheme(forwarded_parameter(*last, "proto"));
    }
  }
  if (scheme) request.scheme = *scheme;
  const std::string_view id = headers.get(FieldId::kXRequestId);
  if (is_usable_request_id(id) && headers.count(FieldId::kXRequestId) == 1) exchange.request_id = id;
}

std::string_view appended_forwarded_for(const Exchange& exchange, Arena& arena) {
  const std::string_view list = exchange.request().headers.combined(FieldId::kXForwardedFor);
  const SocketAddress& remote = exchange.connection().remote;
  if (!remote.is_ip()) return list;
  const std::string_view address = address_text(remote.address(), arena);
  return list.empty() ? address : arena.concat(list, ", ", address);
}

void write_forwarded(const Exchange& exchange, const ForwardedPolicy& policy, HeaderMap& outgoing) {
  const bool trusted = exchange.from_trusted_proxy;
  const ForwardedMode x_mode = effective(policy.x_forwarded, trusted);
  const ForwardedMode mode = effective(policy.forwarded, trusted);
  const Existing existing{
      .for_list = outgoing.combined(FieldId::kXForwardedFor),
      .host = outgoing.get(FieldId::kXForwardedHost),
      .client = exchange.connection().remote.is_ip() ? address_text(exchange.client_address, outgoing.arena()) : ""};
  const std::string_view forwarded = outgoing.combined(FieldId::kForwarded);
  Arena& arena = outgoing.arena();

  const bool drop_x = x_mode == ForwardedMode::kReplace || x_mode == ForwardedMode::kRemove;
  const bool drop_aliases = !trusted && x_mode != ForwardedMode::kKeep;
  const auto is_replaced = [&](const Field& field) {
    switch (field.id) {
      case FieldId::kXForwardedFor:
      case FieldId::kXForwardedProto:
      case FieldId::kXForwardedHost:
      case FieldId::kXForwardedPort: return drop_x;
      case FieldId::kXRealIp: return policy.x_real_ip || drop_x;
      case FieldId::kForwarded: return mode != ForwardedMode::kKeep;
      case FieldId::kOther: return drop_aliases && is_forwarded_alias(field.name);
      default: return false;
    }
  };
  // Usually there is nothing to remove, and a bit test says so.
  constexpr uint64_t kRead = bit(FieldId::kXForwardedFor) | bit(FieldId::kXForwardedProto) |
                             bit(FieldId::kXForwardedHost) | bit(FieldId::kXForwardedPort) | bit(FieldId::kXRealIp) |
                             bit(FieldId::kForwarded);
  if (outgoing.has_any(kRead) || (drop_aliases && outgoing.has(FieldId::kOther))) outgoing.remove_if(is_replaced);

  if (x_mode == ForwardedMode::kAppend || x_mode == ForwardedMode::kReplace) {
    write_x_forwarded(exchange, x_mode, existing, outgoing);
  }
  if (policy.x_real_ip && !existing.client.empty()) outgoing.add(FieldId::kXRealIp, existing.client);
  if (mode == ForwardedMode::kAppend || mode == ForwardedMode::kReplace) {
    const std::string_view ours = forwarded_element(exchange, arena);
    const bool append = mode == ForwardedMode::kAppend && !forwarded.empty();
    outgoing.add(FieldId::kForwarded, append ? arena.concat(forwarded, ", ", ours) : ours);
  }
  if (!policy.prefix.empty()) outgoing.set("X-Forwarded-Prefix", policy.prefix);
  if (policy.original_uri) outgoing.set("X-Original-URI", exchange.original_target());
  if (policy.nginx_set) {
    outgoing.set("X-Scheme", scheme_name(exchange.request().scheme));
    outgoing.set("X-Forwarded-Scheme", scheme_name(exchange.request().scheme));
    if (!existing.for_list.empty()) outgoing.set("X-Original-Forwarded-For", existing.for_list);
    if (!existing.host.empty()) outgoing.set("X-Original-Forwarded-Host", existing.host);
  }
}

}  // namespace headgate::http
