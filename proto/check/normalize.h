// normalize.h -- fills in the defaults that the comments in the .proto files name: the one place that knows them.
// Thread: any (pure).   Owner: the caller.
// Order of precedence, narrow before wide: the resource, then ProxySettings, then the constants here. A Route's own
// time-outs and retries stay absent when they are: a RouteTable's and an Upstream's are found at run time.
// Idempotent: normalize(normalize(x)) == normalize(x). After it no enum that has a default is UNSPECIFIED.
#pragma once

#include "headgate/config/v1/resources.pb.h"

namespace headgate::check {

void normalize(config::v1::ResourceSet& set);

// Single resources, for pushes; `settings` normalized already.
void normalize_settings(config::v1::ProxySettings& settings);
void normalize_listener(config::v1::Listener& listener, const config::v1::ProxySettings& settings);
void normalize_route_table(config::v1::RouteTable& table);
void normalize_virtual_host(config::v1::VirtualHost& host);
void normalize_upstream(config::v1::Upstream& upstream, const config::v1::ProxySettings& settings);
void normalize_endpoint_shard(config::v1::EndpointShard& shard);
void normalize_dns_zone(config::v1::DnsZone& zone);

}  // namespace headgate::check
