// router.h -- RouteTable in its built form: host -> VirtualHost -> Route.
//
// Hosts: exact name, then the longest wildcard suffix, then "*". A VirtualHost is shared between successive tables
// when it did not change, so that one changed host costs one rebuilt host.
// Thread: immutable, shared by all workers.   Owner: Snapshot.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dataplane/base/hash.h"
#include "dataplane/routing/path_table.h"
#include "dataplane/routing/route.h"

namespace headgate::routing {

class VirtualHost {
 public:
  enum class Order : uint8_t { kTree, kOrdered };

  VirtualHost(std::string name, std::vector<std::string> hosts, bool wildcard_single_label, Order order,
              std::vector<std::shared_ptr<const Route>> routes);

  [[nodiscard]] const std::string& name() const { return name_; }
  // "shop.example.com", "*.example.com", "*"; lower case.
  [[nodiscard]] const std::vector<std::string>& hosts() const { return hosts_; }
  [[nodiscard]] bool wildcard_single_label() const { return wildcard_single_label_; }
  [[nodiscard]] const std::vector<std::shared_ptr<const Route>>& routes() const { return routes_; }
  bool find(const http::RequestHead& request, const IpAddress& client, PathTable::Match& match) const;

 private:
  std::string name_;
  std::vector<std::string> hosts_;
  bool wildcard_single_label_;
  Order order_;
  std::vector<std::shared_ptr<const Route>> routes_;
  PathTable paths_;
};

class RouteTable {
 public:
  struct Settings {
    std::string name;
    uint16_t no_host_status = 404;
    uint16_t no_route_status = 404;
    bool operator==(const Settings&) const = default;
  };
  // Two VirtualHosts with the same host: the first has it (proto/check reports the second).
  RouteTable(Settings settings, std::vector<std::shared_ptr<const VirtualHost>> hosts);

  [[nodiscard]] const Settings& settings() const { return settings_; }
  [[nodiscard]] const std::vector<std::shared_ptr<const VirtualHost>>& hosts() const { return hosts_; }
  // `host` as RequestHead::host. Null: no host takes it.
  [[nodiscard]] const VirtualHost* find_host(std::string_view host) const;

 private:
  Settings settings_;
  std::vector<std::shared_ptr<const VirtualHost>> hosts_;
  // The texts are those of the hosts.
  std::unordered_map<std::string_view, const VirtualHost*, TextHash, TextEqual> exact_;
  std::unordered_map<std::string_view, const VirtualHost*, TextHash, TextEqual> wildcard_;  // ".example.com"
  const VirtualHost* default_ = nullptr;
};

}  // namespace headgate::routing
