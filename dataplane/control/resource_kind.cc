#include "dataplane/control/resource_kind.h"

#include "proto/check/normalize.h"

namespace headgate::control {

using google::protobuf::Message;
using namespace config::v1;  // NOLINT: the names of the messages, in this file only
namespace cv = control::v1;

namespace {

// Calls `visit` with a null pointer of the message type of `kind`.
template <typename Visit>
decltype(auto) with_type(cv::Kind kind, Visit visit) {
  switch (kind) {
    case cv::KIND_LISTENER: return visit(static_cast<Listener*>(nullptr));
    case cv::KIND_ROUTE_TABLE: return visit(static_cast<RouteTable*>(nullptr));
    case cv::KIND_UPSTREAM: return visit(static_cast<Upstream*>(nullptr));
    case cv::KIND_ENDPOINT_SHARD: return visit(static_cast<EndpointShard*>(nullptr));
    case cv::KIND_TLS_SECRET: return visit(static_cast<TlsSecret*>(nullptr));
    case cv::KIND_DNS_ZONE: return visit(static_cast<DnsZone*>(nullptr));
    case cv::KIND_VIRTUAL_HOST: return visit(static_cast<VirtualHost*>(nullptr));
    case cv::KIND_TICKET_KEYS: return visit(static_cast<TicketKeys*>(nullptr));
    case cv::KIND_PROXY_SETTINGS:
    default: return visit(static_cast<ProxySettings*>(nullptr));
  }
}

template <typename T>
const T& as(const Message& message) {
  return static_cast<const T&>(message);
}

template <typename T>
T& as(Message& message) {
  return static_cast<T&>(message);
}

template <typename T>
void drop(google::protobuf::RepeatedPtrField<T>* list) {
  list->UnsafeArenaExtractSubrange(0, list->size(), nullptr);
}

}  // namespace

bool is_known_kind(cv::Kind kind) {
  return kind >= cv::KIND_LISTENER && kind <= cv::KIND_TICKET_KEYS;
}

bool is_secret(cv::Kind kind) { return kind == cv::KIND_TLS_SECRET || kind == cv::KIND_TICKET_KEYS; }

check::Kind check_kind_of(cv::Kind kind) {
  switch (kind) {
    case cv::KIND_LISTENER: return check::Kind::kListener;
    case cv::KIND_ROUTE_TABLE: return check::Kind::kRouteTable;
    case cv::KIND_UPSTREAM: return check::Kind::kUpstream;
    case cv::KIND_ENDPOINT_SHARD: return check::Kind::kEndpointShard;
    case cv::KIND_TLS_SECRET: return check::Kind::kTlsSecret;
    case cv::KIND_DNS_ZONE: return check::Kind::kDnsZone;
    case cv::KIND_VIRTUAL_HOST: return check::Kind::kVirtualHost;
    case cv::KIND_TICKET_KEYS: return check::Kind::kTicketKeys;
    default: return check::Kind::kSettings;
  }
}

cv::Kind kind_of(check::Kind kind) {
  switch (kind) {
    case check::Kind::kSettings: return cv::KIND_PROXY_SETTINGS;
    case check::Kind::kListener: return cv::KIND_LISTENER;
    case check::Kind::kRouteTable: return cv::KIND_ROUTE_TABLE;
    case check::Kind::kVirtualHost: return cv::KIND_VIRTUAL_HOST;
    case check::Kind::kUpstream: return cv::KIND_UPSTREAM;
    case check::Kind::kEndpointShard: return cv::KIND_ENDPOINT_SHARD;
    case check::Kind::kTlsSecret: return cv::KIND_TLS_SECRET;
    case check::Kind::kTicketKeys: return cv::KIND_TICKET_KEYS;
    case check::Kind::kDnsZone: return cv::KIND_DNS_ZONE;
  }
  return cv::KIND_UNSPECIFIED;
}

MessagePtr parse_resource(cv::Kind kind, const std::string& body) {
  return with_type(kind, [&](auto* type) -> MessagePtr {
    auto message = std::make_shared<std::remove_pointer_t<decltype(type)>>();
    if (!message->ParseFromString(body)) return nullptr;
    return message;
  });
}

const std::string& name_of(cv::Kind kind, const Message& message) {
  return with_type(kind, [&](auto* type) -> const std::string& {
    return as<std::remove_pointer_t<decltype(type)>>(message).name();
  });
}

void normalize_resource(cv::Kind kind, Message& message, const ProxySettings& settings) {
  switch (kind) {
    case cv::KIND_PROXY_SETTINGS: return check::normalize_settings(as<ProxySettings>(message));
    case cv::KIND_LISTENER: return check::normalize_listener(as<Listener>(message), settings);
    case cv::KIND_ROUTE_TABLE: return check::normalize_route_table(as<RouteTable>(message));
    case cv::KIND_UPSTREAM: return check::normalize_upstream(as<Upstream>(message), settings);
    case cv::KIND_ENDPOINT_SHARD: return check::normalize_endpoint_shard(as<EndpointShard>(message));
    case cv::KIND_DNS_ZONE: return check::normalize_dns_zone(as<DnsZone>(message));
    case cv::KIND_VIRTUAL_HOST: return check::normalize_virtual_host(as<VirtualHost>(message));
    default: return;  // the others have no defaults
  }
}

void check_resource(cv::Kind kind, const Message& message, std::time_t now, check::Problems& problems) {
  problems.start(check_kind_of(kind), name_of(kind, message));
  switch (kind) {
    case cv::KIND_PROXY_SETTINGS: return check::check_settings(as<ProxySettings>(message), problems);
    case cv::KIND_LISTENER: return check::check_listener(as<Listener>(message), problems);
    case cv::KIND_ROUTE_TABLE: return check::check_route_table(as<RouteTable>(message), problems);
    case cv::KIND_UPSTREAM: return check::check_upstream(as<Upstream>(message), problems);
    case cv::KIND_ENDPOINT_SHARD: return check::check_endpoint_shard(as<EndpointShard>(message), problems);
    case cv::KIND_TLS_SECRET: return check::check_tls_secret(as<TlsSecret>(message), now, problems);
    case cv::KIND_DNS_ZONE: return check::check_dns_zone(as<DnsZone>(message), problems);
    case cv::KIND_VIRTUAL_HOST: return check::check_virtual_host(as<VirtualHost>(message), problems);
    case cv::KIND_TICKET_KEYS: return check::check_ticket_keys(as<TicketKeys>(message), problems);
    default: return;
  }
}

// The lists of protobuf take what can be changed; nobody changes it here.
void BorrowedSet::add_all(const snapshot::ResourceView& view) {
  const auto take = [&]<typename T>(google::protobuf::RepeatedPtrField<T>* list) {
    view.visit<T>([&](const T& message) { list->UnsafeArenaAddAllocated(const_cast<T*>(&message)); });
  };
  if (view.has_settings()) set_.unsafe_arena_set_allocated_settings(const_cast<ProxySettings*>(&view.settings()));
  take(set_.mutable_listeners());
  take(set_.mutable_route_tables());
  take(set_.mutable_virtual_hosts());
  take(set_.mutable_upstreams());
  take(set_.mutable_endpoint_shards());
  take(set_.mutable_tls_secrets());
  take(set_.mutable_ticket_keys());
  take(set_.mutable_dns_zones());
}

void BorrowedSet::clear() {
  if (set_.has_settings()) set_.unsafe_arena_release_settings();
  drop(set_.mutable_listeners());
  drop(set_.mutable_route_tables());
  drop(set_.mutable_virtual_hosts());
  drop(set_.mutable_upstreams());
  drop(set_.mutable_endpoint_shards());
  drop(set_.mutable_tls_secrets());
  drop(set_.mutable_ticket_keys());
  drop(set_.mutable_dns_zones());
}

}  // namespace headgate::control
