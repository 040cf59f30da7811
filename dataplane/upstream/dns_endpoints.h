// dns_endpoints.h -- keeps the endpoints of Upstreams fresh whose targets are host names.
//
// Control gives it the endpoints as configured and builds the Upstream from endpoints(); when a name resolves to other
// addresses, the observer is told and control builds that Upstream anew. A name that cannot be resolved any more keeps
// its last addresses; one that never could has an unresolved Endpoint, which is never picked.
//
// A name with addresses of one family gives one Endpoint for each. With both families it gives as many as the larger
// family has, each with an address of the other as an alternative: "localhost" is one endpoint, not two of which one
// refuses.
// Thread: that of the Loop (control).   Owner: control's supervisor.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dataplane/upstream/resolver.h"
#include "dataplane/upstream/upstream.h"

namespace headgate::upstream {

class DnsEndpointsObserver {
 public:
  // endpoints(upstream) gives something else now. Not called from inside set_upstream().
  virtual void on_endpoints_changed(const std::string& upstream) = 0;

 protected:
  ~DnsEndpointsObserver() = default;
};

class DnsEndpoints {
 public:
  // All must outlive it.
  DnsEndpoints(event::Loop& loop, Resolver& resolver, DnsEndpointsObserver& observer);
  ~DnsEndpoints();
  DnsEndpoints(const DnsEndpoints&) = delete;
  DnsEndpoints& operator=(const DnsEndpoints&) = delete;

  // Endpoints with addresses pass through; those with only `host` and `port` are resolved, at once when that is possible
  // without asking, else later.
  void set_upstream(std::string_view upstream, std::vector<Endpoint> configured);
  void remove_upstream(std::string_view upstream);
  // As of now. Empty for an unknown name.
  [[nodiscard]] std::vector<Endpoint> endpoints(std::string_view upstream) const;
  [[nodiscard]] size_t names() const { return names_.size(); }

 private:
  class Name;
  friend class Name;

  void on_name_changed(const std::string& host);
  void drop_unused_names();

  event::Loop& loop_;
  Resolver& resolver_;
  DnsEndpointsObserver& observer_;
  std::unordered_map<std::string, std::vector<Endpoint>, TextHash, TextEqual> upstreams_;
  std::unordered_map<std::string, std::unique_ptr<Name>, TextHash, TextEqual> names_;
};

// The Endpoints of one configured host name: see above. `addresses` may be empty.
std::vector<Endpoint> expand_endpoint(const Endpoint& configured, const std::vector<IpAddress>& addresses);

}  // namespace headgate::upstream
