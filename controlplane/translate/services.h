// services.h -- Services and URLs as Upstreams, EndpointSlices as shards.
// Thread: any (pure).   Owner: the caller.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/translate/reads.h"
#include "controlplane/translate/settings.h"
#include "controlplane/translate/values.h"
#include "headgate/config/v1/upstream.pb.h"

namespace headgate::translate {

// One Upstream. Its name says all that it is made of, so equal names are equal specs: "shop/cart:http" speaks plain
// HTTP/1.1; further words behind "@" name what differs, "shop/cart:http@https-1f2e3d4c".
struct UpstreamSpec {
  config::v1::Upstream message;
  // The Service whose slices feed it; no name: `own_shard` does, or nothing.
  world::ObjectKey service{};
  std::string port_name{};  // of the Service's port, as slices carry it
  bool udp = false;
  std::optional<config::v1::EndpointShard> own_shard{};

  [[nodiscard]] const std::string& name() const { return message.name(); }
};
using UpstreamPtr = std::shared_ptr<const UpstreamSpec>;

// How a Service is spoken to.
struct Speech {
  config::v1::UpstreamProtocol protocol = config::v1::UPSTREAM_HTTP1;
  std::optional<config::v1::UpstreamTls> tls{};
  config::v1::ProxyProtocolVersion proxy_protocol = config::v1::PROXY_PROTOCOL_VERSION_UNSPECIFIED;
  bool chosen = false;    // by an annotation: then the Service's appProtocol does not count
  bool by_address = false;  // one endpoint, the address of the Service (service-upstream)
};

// Port as an object names it; both empty: the first port of the Service.
struct PortRef {
  std::string name{};
  uint32_t number = 0;
  [[nodiscard]] std::string text() const { return name.empty() ? std::to_string(number) : name; }
};

// Never null: a Service or port that is not there gives an Upstream that answers 503. `why` says so.
UpstreamPtr service_upstream(Reads& reads, const Settings& settings, const config::v1::ConnectionSettings& connection,
                             std::string_view name_space, std::string_view service, const PortRef& port, Speech speech,
                             std::string* why);

// Whatever a URL of an annotation points at; the dataplane resolves the name.
UpstreamPtr url_upstream(const Url& url, const config::v1::ConnectionSettings& connection);

// What a slice feeds.
struct SliceTarget {
  std::string upstream;
  std::string port_name;
  bool udp = false;
};
// No targets in the result: the slice feeds nothing.
config::v1::EndpointShard shard_of(const kubernetes::EndpointSlice& slice, const std::vector<SliceTarget>& targets);

}  // namespace headgate::translate
