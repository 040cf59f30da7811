#include "dataplane/snapshot/resource_view.h"

namespace headgate::snapshot {

namespace v1 = config::v1;

namespace {

// Calls `visit` with a null pointer of the message type of `kind`; not for settings.
template <typename Visit>
void with_type(check::Kind kind, Visit visit) {
  switch (kind) {
    case check::Kind::kListener: return visit(static_cast<v1::Listener*>(nullptr));
    case check::Kind::kRouteTable: return visit(static_cast<v1::RouteTable*>(nullptr));
    case check::Kind::kVirtualHost: return visit(static_cast<v1::VirtualHost*>(nullptr));
    case check::Kind::kUpstream: return visit(static_cast<v1::Upstream*>(nullptr));
    case check::Kind::kEndpointShard: return visit(static_cast<v1::EndpointShard*>(nullptr));
    case check::Kind::kTlsSecret: return visit(static_cast<v1::TlsSecret*>(nullptr));
    case check::Kind::kTicketKeys: return visit(static_cast<v1::TicketKeys*>(nullptr));
    case check::Kind::kDnsZone: return visit(static_cast<v1::DnsZone*>(nullptr));
    case check::Kind::kSettings: return;
  }
}

}  // namespace

ResourceView ResourceView::borrowed(const v1::ResourceSet& set) {
  return shared(std::shared_ptr<const v1::ResourceSet>(std::shared_ptr<const v1::ResourceSet>(), &set));
}

ResourceView ResourceView::shared(std::shared_ptr<const v1::ResourceSet> set) {
  ResourceView view;
  const auto take = [&]<typename T>(const google::protobuf::RepeatedPtrField<T>& list) {
    for (const T& message : list) view.all<T>().set(std::shared_ptr<const T>(set, &message));
  };
  take(set->listeners());
  take(set->route_tables());
  take(set->virtual_hosts());
  take(set->upstreams());
  take(set->endpoint_shards());
  take(set->tls_secrets());
  take(set->ticket_keys());
  take(set->dns_zones());
  if (set->has_settings()) view.set_settings({set, &set->settings()});
  return view;
}

void ResourceView::set(check::Kind kind, const std::shared_ptr<const google::protobuf::Message>& message) {
  with_type(kind, [&]<typename T>(T*) { all<T>().set(std::static_pointer_cast<const T>(message)); });
}

void ResourceView::erase(check::Kind kind, const std::string& name) {
  with_type(kind, [&]<typename T>(T*) { all<T>().erase(name); });
}

}  // namespace headgate::snapshot
