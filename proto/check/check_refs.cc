#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "dataplane/base/host_name.h"
#include "dataplane/base/text.h"
#include "proto/check/check.h"

namespace headgate::check {

namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only

// What an upstream is used for decides which protocols fit.
enum class Use : uint8_t { kHttp, kForward };

class ReferenceChecker {
 public:
  ReferenceChecker(const ResourceSet& set, Problems& problems) : set_(set), problems_(problems) {}

  void run() {
    collect(Kind::kListener, set_.listeners(), listeners_);
    collect(Kind::kRouteTable, set_.route_tables(), tables_);
    collect(Kind::kVirtualHost, set_.virtual_hosts(), hosts_);
    collect(Kind::kUpstream, set_.upstreams(), upstreams_);
    collect(Kind::kEndpointShard, set_.endpoint_shards(), shards_);
    collect(Kind::kTlsSecret, set_.tls_secrets(), secrets_);
    collect(Kind::kTicketKeys, set_.ticket_keys(), tickets_);
    collect(Kind::kDnsZone, set_.dns_zones(), zones_);
    for (const Listener& listener : set_.listeners()) check_listener_refs(listener);
    check_bound_twice();
    for (const RouteTable& table : set_.route_tables()) {
      problems_.start(Kind::kRouteTable, table.name());
      check_filters(table.filters());
    }
    check_hosts_twice();
    for (const VirtualHost& host : set_.virtual_hosts()) check_host_refs(host);
    for (const Upstream& upstream : set_.upstreams()) check_upstream_refs(upstream);
    for (const EndpointShard& shard : set_.endpoint_shards()) check_shard_refs(shard);
  }

 private:
  template <typename Message>
  using Names = std::unordered_map<std::string_view, const Message*>;

  template <typename Message>
  void collect(Kind kind, const google::protobuf::RepeatedPtrField<Message>& list, Names<Message>& names) {
    names.reserve(static_cast<size_t>(list.size()));
    for (const Message& message : list) {
      if (names.emplace(message.name(), &message).second) continue;
      problems_.start(kind, message.name());
      problems_.error("name", "duplicate", "there are two of this name");
    }
  }

  template <typename Message>
  void need(std::string_view field, const std::string& name, const Names<Message>& names, std::string_view what) {
    if (name.empty() || names.contains(name)) return;
    std::string known;
    size_t listed = 0;
    for (const auto& [one, message] : std::map<std::string_view, const Message*>(names.begin(), names.end())) {
      if (++listed > 10) break;
      known += (known.empty() ? "" : ", ") + std::string(one);
    }
    problems_.error(field, "reference",
                    "there is no " + std::string(what) + " " + quote_json(name) +
                        (known.empty() ? "" : "; there are " + known + (listed > 10 ? ", ..." : "")));
  }

  static bool is_http(UpstreamProtocol protocol) {
    return protocol == UPSTREAM_HTTP1 || protocol == UPSTREAM_HTTP2 || protocol == UPSTREAM_GRPC ||
           protocol == UPSTREAM_AUTO || protocol == UPSTREAM_FASTCGI;
  }

  void need_upstream(std::string_view field, const std::string& name, Use use) {
    need(field, name, upstreams_, "upstream");
    const auto found = upstreams_.find(name);
    if (found == upstreams_.end()) return;
    const UpstreamProtocol protocol = found->second->protocol();
    if (use == Use::kHttp && !is_http(protocol)) {
      problems_.error(
          field, "protocol",
          "the upstream " + quote_json(name) + " does not speak HTTP; expected http:// or https:// targets");
    }
    if (use == Use::kForward && protocol != UPSTREAM_STREAM && protocol != UPSTREAM_DATAGRAM) {
      problems_.error(
          field, "protocol",
          "the upstream " + quote_json(name) + " speaks HTTP; expected tcp, ssl, udp, unix or unixgram targets");
    }
  }

  void check_listener_refs(const Listener& listener) {
    problems_.start(Kind::kListener, listener.name());
    need("route_table", listener.route_table(), tables_, "route table");
    for (int i = 0; i < listener.tls().certificates_size(); ++i) {
      const Field field(problems_, "tls.certificates", i);
      const std::string& name = listener.tls().certificates(i).secret();
      need("secret", name, secrets_, "TLS secret");
      const auto found = secrets_.find(name);
      if (found != secrets_.end() && found->second->chain_pem().empty())
        problems_.error("secret", "protocol", "this secret has no certificate");
    }
    need("tls.client_ca", listener.tls().client_ca(), secrets_, "TLS secret");
    const auto authority = secrets_.find(listener.tls().client_ca());
    if (authority != secrets_.end() && authority->second->ca_pem().empty())
      problems_.error("tls.client_ca", "protocol", "this secret has no authorities");
    need("tls.ticket_keys", listener.tls().ticket_keys(), tickets_, "ticket key set");
    for (int i = 0; i < listener.dns().zones_size(); ++i) {
      need("dns.zones[" + std::to_string(i) + "]", listener.dns().zones(i), zones_, "DNS zone");
    }
    for (int i = 0; i < listener.forward_size(); ++i) {
      const Field field(problems_, "forward", i);
      check_forward(listener, listener.forward(i));
    }
  }

  void check_forward(const Listener& listener, const ForwardRule& rule) {
    need_upstream("upstream", rule.upstream(), Use::kForward);
    for (int i = 0; i < rule.upstreams_size(); ++i) {
      need_upstream("upstreams[" + std::to_string(i) + "].upstream", rule.upstreams(i).upstream(), Use::kForward);
    }
    bool datagrams_out = false;
    bool streams_out = false;
    const auto look = [&](const std::string& name) {
      const auto found = upstreams_.find(name);
      if (found == upstreams_.end()) return;
      (found->second->protocol() == UPSTREAM_DATAGRAM ? datagrams_out : streams_out) = true;
    };
    look(rule.upstream());
    for (const WeightedUpstream& one : rule.upstreams()) look(one.upstream());
    const bool datagrams_in = listener.protocol() == LISTENER_DATAGRAM;
    if (datagrams_out && streams_out) {
      problems_.error("upstreams", "conflict", "some of these targets take streams and some datagrams; expected one kind");
      return;
    }
    if (rule.framing() != FRAMING_UNSPECIFIED && datagrams_in == datagrams_out) {
      problems_.error("framing", "unused",
                      "framing is for messages between a stream and datagrams; both sides here are " +
                          std::string(datagrams_in ? "datagrams" : "streams"));
    }
    if (rule.mode() == FORWARD_DATAGRAM && !datagrams_in && !datagrams_out) {
      problems_.error("mode", "unused", "both sides are streams; there is no message to keep together");
    }
    if (rule.mode() == FORWARD_STREAM && datagrams_in && datagrams_out) {
      problems_.error("mode", "unused", "both sides are datagrams; they are passed on as they are");
    }
    if (rule.mode() == FORWARD_STREAM && rule.framing() != FRAMING_UNSPECIFIED) {
      problems_.error("framing", "conflict", "mode stream writes the bytes without marks; framing needs mode datagram");
    }
  }

  void check_bound_twice() {
    std::unordered_map<std::string, std::string> bound;
    for (const Listener& listener : set_.listeners()) {
      if (listener.port() == 0 && listener.unix_path().empty()) continue;  // the kernel finds a free one
      const bool datagram = listener.transport() == LISTENER_UDP || listener.transport() == LISTENER_UNIXGRAM;
      const std::string key =
          listener.unix_path().empty()
              ? std::string(datagram ? "udp " : "tcp ") + listener.address() + " " + std::to_string(listener.port())
              : "unix " + listener.unix_path();
      const auto [other, fresh] = bound.emplace(key, listener.name());
      if (fresh) continue;
      problems_.start(Kind::kListener, listener.name());
      problems_.error("address", "bound-twice", "the listener " + quote_json(other->second) + " has the same address");
    }
  }

  void check_hosts_twice() {
    std::unordered_map<std::string, const VirtualHost*> taken;
    taken.reserve(static_cast<size_t>(set_.virtual_hosts_size()));
    for (const VirtualHost& host : set_.virtual_hosts()) {
      problems_.start(Kind::kVirtualHost, host.name());
      const auto take = [&](std::string_view field, const std::string& name) {
        const auto [other, fresh] = taken.emplace(host.table() + "/" + name, &host);
        if (!fresh && other->second->name() != host.name()) {
          problems_.error(field, "duplicate",
                          quote_json(other->second->name()) + " takes the host " + quote_json(name) + ", too");
        }
      };
      take("host", host.host());
      for (int i = 0; i < host.aliases_size(); ++i) take("aliases[" + std::to_string(i) + "]", host.aliases(i));
    }
  }

  void check_filters(const google::protobuf::RepeatedPtrField<HttpFilter>& filters) {
    for (int i = 0; i < filters.size(); ++i) {
      const Field field(problems_, "filters", i);
      need_upstream("mirror.upstream", filters[i].mirror().upstream(), Use::kHttp);
      need_upstream("external_auth.upstream", filters[i].external_auth().upstream(), Use::kHttp);
      need_upstream("error_pages.upstream", filters[i].error_pages().upstream(), Use::kHttp);
      need_upstream("jwt_auth.jwks_upstream", filters[i].jwt_auth().jwks_upstream(), Use::kHttp);
      need("client_certificate.secret", filters[i].client_certificate().secret(), secrets_, "TLS secret");
    }
  }

  void check_host_refs(const VirtualHost& host) {
    problems_.start(Kind::kVirtualHost, host.name());
    need("table", host.table(), tables_, "route table");
    check_filters(host.filters());
    for (int i = 0; i < host.routes_size(); ++i) {
      const Route& route = host.routes(i);
      const Field field(problems_, "routes", i);
      check_filters(route.filters());
      for (int j = 0; j < route.proxy().backends_size(); ++j) {
        const Field backend(problems_, "proxy.backends", j);
        need_upstream("upstream", route.proxy().backends(j).upstream(), Use::kHttp);
        check_filters(route.proxy().backends(j).filters());
      }
      need_upstream("proxy.fallback_upstream", route.proxy().fallback_upstream(), Use::kHttp);
    }
  }

  void check_upstream_refs(const Upstream& upstream) {
    problems_.start(Kind::kUpstream, upstream.name());
    need("tls.ca", upstream.tls().ca(), secrets_, "TLS secret");
    need("tls.certificate", upstream.tls().certificate(), secrets_, "TLS secret");
  }

  void check_shard_refs(const EndpointShard& shard) {
    problems_.start(Kind::kEndpointShard, shard.name());
    for (int i = 0; i < shard.upstreams_size(); ++i) {
      need("upstreams[" + std::to_string(i) + "].upstream", shard.upstreams(i).upstream(), upstreams_, "upstream");
    }
  }

  const ResourceSet& set_;
  Problems& problems_;
  Names<Listener> listeners_;
  Names<RouteTable> tables_;
  Names<VirtualHost> hosts_;
  Names<Upstream> upstreams_;
  Names<EndpointShard> shards_;
  Names<TlsSecret> secrets_;
  Names<TicketKeys> tickets_;
  Names<DnsZone> zones_;
};

}  // namespace

void check_references(const ResourceSet& set, Problems& problems) { ReferenceChecker(set, problems).run(); }

}  // namespace headgate::check
