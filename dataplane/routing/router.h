// router.h -- RouteTable in its built form: host -> VirtualHost -> Route.
//
// Hosts: exact name, then the longest wildcard suffix, then "*". A VirtualHost is shared between successive tables
// when it did not change, and so are the parts of the tables: one changed host costs one rebuilt host.
// Thread: immutable, shared by all workers.   Owner: Snapshot.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/routing/host_table.h"
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

// Copies share what they have in common: whoever changes a few hosts of many copies the table and changes the copy.
class RouteTable {
 public:
  struct Settings {
    std::string name;
    uint16_t no_host_status = 404;
    uint16_t no_route_status = 404;
    bool operator==(const Settings&) const = default;
  };
  RouteTable() = default;
  RouteTable(Settings settings, const std::vector<std::shared_ptr<const VirtualHost>>& hosts);

  [[nodiscard]] const Settings& settings() const { return settings_; }
  // `host` as RequestHead::host. Null: no host takes it.
  [[nodiscard]] const VirtualHost* find_host(std::string_view host) const;

  // For whoever makes a table; nobody changes one that others read.
  void set_settings(Settings settings) { settings_ = std::move(settings); }
  // Two VirtualHosts with the same host: the first has it (proto/check reports the second).
  void insert(const std::shared_ptr<const VirtualHost>& host);
  void erase(const VirtualHost& host);

 private:
  Settings settings_;
  // The texts are those of the hosts.
  HostTable exact_;
  HostTable wildcard_;  // ".example.com"
  std::shared_ptr<const VirtualHost> default_;
};

}  // namespace headgate::routing
