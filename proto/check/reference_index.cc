#include "proto/check/reference_index.h"

namespace headgate::check {

namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only
using google::protobuf::Message;

// Of upstreams and of secrets.
constexpr uint8_t kSpeaksHttp = 1;
constexpr uint8_t kHasChain = 2;
constexpr uint8_t kHasAuthorities = 4;

uint8_t roles_of(Kind kind, const Message& message) {
  if (kind == Kind::kUpstream) {
    switch (static_cast<const Upstream&>(message).protocol()) {
      case UPSTREAM_STREAM:
      case UPSTREAM_DATAGRAM: return 0;
      default: return kSpeaksHttp;
    }
  }
  if (kind != Kind::kTlsSecret) return 0;
  const auto& secret = static_cast<const TlsSecret&>(message);
  return static_cast<uint8_t>((secret.chain_pem().empty() ? 0 : kHasChain) |
                              (secret.ca_pem().empty() ? 0 : kHasAuthorities));
}

const std::string& name_of(Kind kind, const Message& message) {
  switch (kind) {
    case Kind::kListener: return static_cast<const Listener&>(message).name();
    case Kind::kRouteTable: return static_cast<const RouteTable&>(message).name();
    case Kind::kVirtualHost: return static_cast<const VirtualHost&>(message).name();
    case Kind::kUpstream: return static_cast<const Upstream&>(message).name();
    case Kind::kEndpointShard: return static_cast<const EndpointShard&>(message).name();
    case Kind::kTlsSecret: return static_cast<const TlsSecret&>(message).name();
    case Kind::kTicketKeys: return static_cast<const TicketKeys&>(message).name();
    case Kind::kDnsZone: return static_cast<const DnsZone&>(message).name();
    case Kind::kSettings: break;
  }
  return static_cast<const ProxySettings&>(message).name();
}

// visit(kind, name, needed roles) for each name that the message mentions.
template <typename Visitor>
void visit_filters(const google::protobuf::RepeatedPtrField<HttpFilter>& filters, const Visitor& visit) {
  for (const HttpFilter& filter : filters) {
    visit(Kind::kUpstream, filter.mirror().upstream(), kSpeaksHttp);
    visit(Kind::kUpstream, filter.external_auth().upstream(), kSpeaksHttp);
    visit(Kind::kUpstream, filter.error_pages().upstream(), kSpeaksHttp);
    visit(Kind::kUpstream, filter.jwt_auth().jwks_upstream(), kSpeaksHttp);
    visit(Kind::kTlsSecret, filter.client_certificate().secret(), uint8_t{0});
  }
}

template <typename Visitor>
void visit_listener(const Listener& listener, const Visitor& visit) {
  visit(Kind::kRouteTable, listener.route_table(), uint8_t{0});
  for (const ServerCertificate& entry : listener.tls().certificates()) visit(Kind::kTlsSecret, entry.secret(), kHasChain);
  visit(Kind::kTlsSecret, listener.tls().client_ca(), kHasAuthorities);
  visit(Kind::kTicketKeys, listener.tls().ticket_keys(), uint8_t{0});
  for (const std::string& zone : listener.dns().zones()) visit(Kind::kDnsZone, zone, uint8_t{0});
  for (const ForwardRule& rule : listener.forward()) {
    visit(Kind::kUpstream, rule.upstream(), uint8_t{0});
    for (const WeightedUpstream& one : rule.upstreams()) visit(Kind::kUpstream, one.upstream(), uint8_t{0});
  }
}

template <typename Visitor>
void visit_host(const VirtualHost& host, const Visitor& visit) {
  visit(Kind::kRouteTable, host.table(), uint8_t{0});
  visit_filters(host.filters(), visit);
  for (const Route& route : host.routes()) {
    visit_filters(route.filters(), visit);
    for (const Backend& backend : route.proxy().backends()) {
      visit(Kind::kUpstream, backend.upstream(), kSpeaksHttp);
      visit_filters(backend.filters(), visit);
    }
    visit(Kind::kUpstream, route.proxy().fallback_upstream(), kSpeaksHttp);
  }
}

template <typename Visitor>
void visit_references(Kind kind, const Message& message, const Visitor& any_name) {
  const auto visit = [&](Kind of, const std::string& name, uint8_t needs) {
    if (!name.empty()) any_name(of, name, needs);
  };
  switch (kind) {
    case Kind::kListener: return visit_listener(static_cast<const Listener&>(message), visit);
    case Kind::kRouteTable: return visit_filters(static_cast<const RouteTable&>(message).filters(), visit);
    case Kind::kVirtualHost: return visit_host(static_cast<const VirtualHost&>(message), visit);
    case Kind::kUpstream: {
      const UpstreamTls& tls = static_cast<const Upstream&>(message).tls();
      visit(Kind::kTlsSecret, tls.ca(), 0);
      visit(Kind::kTlsSecret, tls.certificate(), 0);
      return;
    }
    case Kind::kEndpointShard:
      for (const ShardTarget& target : static_cast<const EndpointShard&>(message).upstreams()) {
        visit(Kind::kUpstream, target.upstream(), 0);
      }
      return;
    default: return;
  }
}

template <typename Visitor>
void visit_taken(const VirtualHost& host, const Visitor& visit) {
  visit(host.table() + "/" + host.host());
  for (const std::string& alias : host.aliases()) visit(host.table() + "/" + alias);
}

// Where it listens; empty: the kernel finds a place. The same text for the same place, as check_references() has it.
std::string place_of(const Listener& listener) {
  if (!listener.unix_path().empty()) return "unix " + listener.unix_path();
  if (listener.port() == 0) return {};
  const bool datagram = listener.transport() == LISTENER_UDP || listener.transport() == LISTENER_UNIXGRAM;
  return std::string(datagram ? "udp " : "tcp ") + listener.address() + " " + std::to_string(listener.port());
}

std::string key_of(Kind kind, std::string_view name) {
  std::string key(1, static_cast<char>('a' + static_cast<int>(kind)));
  return key.append(name);
}

}  // namespace

void ReferenceIndex::clear() {
  names_.clear();
  hosts_.clear();
  bound_.clear();
}

void ReferenceIndex::count(Kind kind, const Message& message, int by) {
  const auto named = [&](Kind of, const std::string& name, const auto& change) {
    const auto entry = names_.try_emplace(key_of(of, name)).first;
    change(entry->second);
    if (entry->second.present == 0 && entry->second.uses == 0) names_.erase(entry);
  };
  named(kind, name_of(kind, message), [&](Named& entry) {
    entry.present += static_cast<uint32_t>(by);
    if (by > 0) entry.roles = roles_of(kind, message);
  });
  visit_references(kind, message, [&](Kind of, const std::string& name, uint8_t) {
    named(of, name, [&](Named& entry) { entry.uses += static_cast<uint32_t>(by); });
  });
  const auto count_in = [by](ByText<uint32_t>& counts, std::string key) {
    const auto entry = counts.try_emplace(std::move(key)).first;
    entry->second += static_cast<uint32_t>(by);
    if (entry->second == 0) counts.erase(entry);
  };
  if (kind == Kind::kVirtualHost) {
    visit_taken(static_cast<const VirtualHost&>(message), [&](std::string host) { count_in(hosts_, std::move(host)); });
  } else if (kind == Kind::kListener) {
    std::string place = place_of(static_cast<const Listener&>(message));
    if (!place.empty()) count_in(bound_, std::move(place));
  }
}

const ReferenceIndex::Named* ReferenceIndex::find(Kind kind, std::string_view name) const {
  const auto found = names_.find(key_of(kind, name));
  return found == names_.end() ? nullptr : &found->second;
}

bool ReferenceIndex::is_sound(Kind kind, const Message* before, const Message* after) const {
  if (before == nullptr && after == nullptr) return true;
  if (kind == Kind::kListener && after != nullptr && !static_cast<const Listener&>(*after).forward().empty()) return false;
  const Named* const own = find(kind, name_of(kind, after != nullptr ? *after : *before));
  if (after == nullptr) return own == nullptr || own->uses == 0;
  if (own == nullptr || own->present != 1) return false;
  if (before != nullptr && own->uses > 0 && roles_of(kind, *before) != roles_of(kind, *after)) return false;
  bool sound = true;
  visit_references(kind, *after, [&](Kind of, const std::string& name, uint8_t needs) {
    const Named* const other = find(of, name);
    sound = sound && other != nullptr && other->present > 0 && (other->roles & needs) == needs;
  });
  const auto is_alone = [](const ByText<uint32_t>& counts, const std::string& key) {
    const auto found = counts.find(key);
    return found != counts.end() && found->second == 1;
  };
  if (kind == Kind::kListener) {
    const std::string place = place_of(static_cast<const Listener&>(*after));
    return sound && (place.empty() || is_alone(bound_, place));
  }
  if (kind != Kind::kVirtualHost) return sound;
  visit_taken(static_cast<const VirtualHost&>(*after), [&](const std::string& host) {
    sound = sound && is_alone(hosts_, host);
  });
  return sound;
}

}  // namespace headgate::check
