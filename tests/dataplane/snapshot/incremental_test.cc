// A Builder that is shown one view after another makes what a new one makes of the last: random changes of small worlds.
#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "dataplane/handlers/proxy.h"
#include "dataplane/snapshot/build.h"
#include "proto/check/normalize.h"

namespace headgate::snapshot {
namespace {

using config::v1::EndpointShard;
using config::v1::Listener;
using config::v1::ProxySettings;
using config::v1::ResourceSet;
using config::v1::Route;
using config::v1::RouteTable;
using config::v1::Upstream;
using config::v1::VirtualHost;

constexpr int kTables = 3;
constexpr int kHosts = 12;
constexpr int kUpstreams = 8;
constexpr int kShards = 8;

std::string numbered(const char* what, unsigned i) { return what + std::to_string(i); }

// Resources by name, as a controller would keep them; changed one by one, sound after each change.
class World {
 public:
  explicit World(unsigned seed) : random_(seed) {
    settings_.set_name("settings");
    check::normalize_settings(settings_);
    for (unsigned i = 0; i < kTables; ++i) put_table(i);
    for (unsigned i = 0; i < kUpstreams; ++i) put_upstream(i);
    Listener listener;
    listener.set_name("web");
    listener.set_address("127.0.0.1");
    listener.set_port(8080);
    listener.set_transport(config::v1::LISTENER_TCP);
    listener.set_protocol(config::v1::LISTENER_HTTP);
    listener.set_route_table("t0");
    for (unsigned i = 0; i < kTables; ++i) {
      listener.set_name(numbered("web", i));
      listener.set_port(8080 + i);
      listener.set_route_table(numbered("t", i));
      listeners_[listener.name()] = listener;
      check::normalize_listener(listeners_[listener.name()], settings_);
    }
  }

  void change() {
    switch (below(12)) {
      case 0: return put_table(below(kTables));
      case 1:
      case 2: return put_upstream(below(kUpstreams));
      case 3: return remove_upstream(numbered("u", below(kUpstreams)));
      case 4:
      case 5: return put_shard(below(kShards));
      case 6: return static_cast<void>(shards_.erase(numbered("s", below(kShards))));
      case 7: return static_cast<void>(hosts_.erase(numbered("v", below(kHosts))));
      case 8:
        settings_.set_zone(below(4) == 0 ? "far" : "near");  // another era
        return;
      default: return put_host(below(kHosts));
    }
  }
  // What the builder refuses, and only it does: the next call takes it away again.
  void break_host() {
    VirtualHost& host = hosts_["v-broken"];
    host.set_name("v-broken");
    host.set_table("t0");
    host.set_host("broken.test");
    Route& route = *host.add_routes();
    route.set_name("r");
    route.mutable_proxy()->add_backends()->set_upstream(any_upstream());
    route.mutable_proxy()->set_auto_http(config::v1::TOGGLE_ON);
    check::normalize_virtual_host(host);
  }
  void mend() { hosts_.erase("v-broken"); }

  [[nodiscard]] ResourceSet set() const {
    ResourceSet set;
    *set.mutable_settings() = settings_;
    for (const auto& [name, one] : listeners_) *set.add_listeners() = one;
    for (const auto& [name, one] : tables_) *set.add_route_tables() = one;
    for (const auto& [name, one] : hosts_) *set.add_virtual_hosts() = one;
    for (const auto& [name, one] : upstreams_) *set.add_upstreams() = one;
    for (const auto& [name, one] : shards_) *set.add_endpoint_shards() = one;
    return set;
  }
  unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }

 private:
  std::string any_upstream() {
    auto one = upstreams_.begin();
    std::advance(one, below(static_cast<unsigned>(upstreams_.size())));
    return one->first;
  }
  void put_table(unsigned i) {
    RouteTable& table = tables_[numbered("t", i)];
    table.Clear();
    table.set_name(numbered("t", i));
    table.set_no_host_status(below(2) == 0 ? 404 : 421);
    if (below(2) == 0) table.mutable_timeouts()->mutable_request()->set_seconds(1 + below(3));
    check::normalize_route_table(table);
  }
  void put_upstream(unsigned i) {
    Upstream& upstream = upstreams_[numbered("u", i)];
    upstream.Clear();
    upstream.set_name(numbered("u", i));
    upstream.set_protocol(config::v1::UPSTREAM_HTTP1);
    if (below(3) == 0) upstream.mutable_zones()->set_prefer_local(true);
    if (below(4) == 0) upstream.set_proxy_protocol(config::v1::PROXY_PROTOCOL_V1);
    if (below(2) == 0) {
      upstream.mutable_balance()->set_policy(config::v1::BALANCE_RING_HASH);
      upstream.mutable_balance()->set_hash_key(below(2) == 0 ? "$client_ip" : "$uri");
    }
    check::normalize_upstream(upstream, settings_);
  }
  // With whatever names it.
  void remove_upstream(const std::string& name) {
    if (upstreams_.size() == 1) return;
    upstreams_.erase(name);
    std::erase_if(hosts_, [&](const auto& entry) {
      return std::any_of(entry.second.routes().begin(), entry.second.routes().end(), [&](const Route& route) {
        return route.proxy().backends(0).upstream() == name;
      });
    });
    std::erase_if(shards_, [&](const auto& entry) {
      return std::any_of(entry.second.upstreams().begin(), entry.second.upstreams().end(),
                         [&](const auto& target) { return target.upstream() == name; });
    });
  }
  void put_shard(unsigned i) {
    EndpointShard& shard = shards_[numbered("s", i)];
    shard.Clear();
    shard.set_name(numbered("s", i));
    for (unsigned j = 0; j <= below(2); ++j) shard.add_upstreams()->set_upstream(any_upstream());
    for (unsigned j = 0; j < below(4); ++j) {
      auto& endpoint = *shard.add_endpoints();
      endpoint.set_host(below(6) == 0 ? "name.test" : "10.0.0." + std::to_string(1 + below(5)));
      endpoint.set_port(80);
      endpoint.set_ready(true);
      endpoint.set_weight(1 + below(2));
    }
    check::normalize_endpoint_shard(shard);
  }
  // Names move between hosts: each has one of its own and takes an alias that nobody has.
  void put_host(unsigned i) {
    VirtualHost host;
    host.set_name(numbered("v", i));
    host.set_table(numbered("t", below(kTables)));
    host.set_host(below(4) == 0 ? "*." + numbered("wild", i) + ".test" : numbered("h", i) + ".test");
    const std::string alias = numbered("alias", below(4)) + ".test";
    const bool taken = std::any_of(hosts_.begin(), hosts_.end(), [&](const auto& entry) {
      return entry.first != host.name() && entry.second.aliases_size() > 0 && entry.second.aliases(0) == alias;
    });
    if (!taken) host.add_aliases(alias);
    for (unsigned j = 0; j <= below(3); ++j) {
      Route& route = *host.add_routes();
      route.set_name(numbered("r", j));
      route.mutable_match()->set_prefix("/" + numbered("p", j));
      route.mutable_proxy()->add_backends()->set_upstream(any_upstream());
      if (below(4) == 0) route.mutable_proxy()->mutable_affinity()->set_cookie("session");
      if (below(3) == 0) route.mutable_proxy()->mutable_timeouts()->mutable_request()->set_seconds(1 + below(9));
    }
    check::normalize_virtual_host(host);
    hosts_[host.name()] = std::move(host);
  }

  std::mt19937 random_;
  ProxySettings settings_;
  std::map<std::string, Listener> listeners_;
  std::map<std::string, RouteTable> tables_;
  std::map<std::string, VirtualHost> hosts_;
  std::map<std::string, Upstream> upstreams_;
  std::map<std::string, EndpointShard> shards_;
};

// The view of `set` with the objects of `before` where their content is the same, as ResourceStore keeps it.
ResourceView next_view(const ResourceView& before, const ResourceSet& set) {
  ResourceView next = before;
  const auto take = [&]<typename T>(check::Kind kind, const google::protobuf::RepeatedPtrField<T>& list) {
    std::map<std::string, const T*> by_name;
    for (const T& message : list) by_name[message.name()] = &message;
    before.visit<T>([&](const T& old) {
      if (!by_name.contains(old.name())) next.erase(kind, old.name());
    });
    for (const auto& [name, message] : by_name) {
      const T* const old = before.find<T>(name);
      if (old != nullptr && old->SerializeAsString() == message->SerializeAsString()) continue;
      next.set(kind, std::make_shared<T>(*message));
    }
  };
  take(check::Kind::kListener, set.listeners());
  take(check::Kind::kRouteTable, set.route_tables());
  take(check::Kind::kVirtualHost, set.virtual_hosts());
  take(check::Kind::kUpstream, set.upstreams());
  take(check::Kind::kEndpointShard, set.endpoint_shards());
  next.set_settings(std::make_shared<ProxySettings>(set.settings()));
  return next;
}

// All that requests could notice, in words; slots by the names of their Upstreams.
std::string described(const Snapshot& snapshot, const ResourceSet& set) {
  std::string text;
  std::map<std::string, std::string> upstreams;
  for (const auto& upstream : snapshot.upstreams) {
    if (upstream == nullptr) continue;
    EXPECT_EQ(snapshot.upstreams[upstream->slot()], upstream);
    std::string& words = upstreams[upstream->name()];
    EXPECT_EQ(words, "") << "one slot for each";
    const upstream::UpstreamSettings& settings = upstream->settings();
    words = settings.balance.hash_key + " " + settings.zones.local_zone + " " + settings.sticky_name + " " +
            std::to_string(static_cast<int>(settings.proxy_protocol));
    for (const auto& endpoint : upstream->endpoints()) {
      words += " " + endpoint.text + "*" + std::to_string(endpoint.weight);
      for (const auto& address : endpoint.addresses) words += "=" + address.to_string();
    }
  }
  for (const auto& [name, words] : upstreams) text += name + ": " + words + "\n";
  std::set<std::string> names;
  for (const VirtualHost& host : set.virtual_hosts()) {
    names.insert(host.host().starts_with("*") ? "any" + host.host().substr(1) : host.host());
    names.insert(host.aliases().begin(), host.aliases().end());
  }
  for (unsigned i = 0; i < kHosts; ++i) names.insert(numbered("h", i) + ".test");
  for (const auto& listener : snapshot.listeners) {
    text += listener->name + " " + std::to_string(listener->exact_local) + " " +
            std::to_string(listener->routes->settings().no_host_status) + "\n";
    for (const std::string& name : names) {
      const routing::VirtualHost* const host = listener->routes->find_host(name);
      if (host == nullptr) continue;
      text += "  " + name + ": " + host->name();
      for (const auto& route : host->routes()) {
        const auto& proxy = dynamic_cast<const handlers::Proxy&>(*route->handler);
        const handlers::ProxyOptions& options = proxy.options();
        const auto& to = snapshot.upstreams.at_or_none(proxy.backends().all().at(0).slot);
        text += " " + route->name + "->" + (to == nullptr ? "nobody" : to->name()) + " " +
                std::to_string(options.request_timeout.count()) + (options.hash_key ? " hashed" : "");
      }
      text += "\n";
    }
  }
  return text;
}

class Names {
 public:
  std::vector<upstream::Endpoint> resolve(std::vector<upstream::Endpoint> endpoints) const {
    for (auto& endpoint : endpoints) {
      if (endpoint.resolved()) continue;
      endpoint.addresses = {SocketAddress::ip(IpAddress::v4(0x0a000100 + last), endpoint.port)};
    }
    return endpoints;
  }
  uint32_t last = 1;
};

TEST(IncrementalBuild, EqualsABuildOfTheWhole) {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed);
    Names names;
    const auto resolver = [&](const std::string&, std::vector<upstream::Endpoint> list) { return names.resolve(std::move(list)); };
    Builder builder(resolver);
    ResourceView view;
    std::shared_ptr<const Snapshot> in_force;
    for (int step = 0; step < 60; ++step) {
      for (unsigned changes = world.below(4); changes > 0; --changes) world.change();
      if (world.below(8) == 0) names.last = 1 + world.below(9);  // a build without a change must see it, too
      if (world.below(8) == 0) {
        world.break_host();
        view = next_view(view, world.set());
        EXPECT_EQ(builder.build(view).snapshot, nullptr);
        EXPECT_EQ(builder.build(view).snapshot, nullptr) << "it is not forgotten that something could not be built";
        world.mend();
      }
      const ResourceSet set = world.set();
      view = next_view(view, set);
      const BuildOutcome built = builder.build(view);
      Builder fresh(resolver);
      const BuildOutcome whole = fresh.build(set);
      ASSERT_NE(whole.snapshot, nullptr);
      ASSERT_NE(built.snapshot, nullptr);
      ASSERT_EQ(described(*built.snapshot, set), described(*whole.snapshot, set)) << "step " << step;
      if (world.below(4) == 0) continue;  // a socket could not be bound: it never was in force
      in_force = built.snapshot;
      builder.retain(*in_force);
    }
  }
}

TEST(IncrementalBuild, SharesWhatDidNotChange) {
  World world(3);
  for (int i = 0; i < 60; ++i) world.change();
  ResourceView view = next_view({}, world.set());
  Builder builder;
  const auto first = builder.build(view).snapshot;
  ASSERT_NE(first, nullptr);
  builder.retain(*first);
  const auto again = builder.build(view).snapshot;
  ASSERT_NE(again, nullptr);
  for (size_t i = 0; i < first->listeners.size(); ++i) EXPECT_EQ(again->listeners[i]->routes, first->listeners[i]->routes);
  upstream::UpstreamSlots::changes_between(first->upstreams, again->upstreams,
                                           [](size_t slot, const auto&, const auto&) { ADD_FAILURE() << "slot " << slot; });
  // The same from a file: other objects, the same content.
  const auto whole = builder.build(world.set()).snapshot;
  ASSERT_NE(whole, nullptr);
  for (size_t i = 0; i < first->listeners.size(); ++i) EXPECT_EQ(whole->listeners[i]->routes, first->listeners[i]->routes);
  upstream::UpstreamSlots::changes_between(first->upstreams, whole->upstreams,
                                           [](size_t slot, const auto&, const auto&) { ADD_FAILURE() << "slot " << slot; });
}

// A request may wait, by an older Snapshot, for an Upstream that has gone since: it must not come to another one.
TEST(IncrementalBuild, SlotsRestWhileAnOlderSnapshotLives) {
  Builder builder;
  const auto build = [&](const std::string& name) {
    ResourceSet set;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString("upstreams { name: '" + name + "' protocol: UPSTREAM_HTTP1 }", &set));
    check::normalize(set);
    auto snapshot = builder.build(set).snapshot;
    EXPECT_NE(snapshot, nullptr);
    builder.retain(*snapshot);
    return snapshot;
  };
  const auto slot_of = [](const Snapshot& snapshot, const std::string& name) -> size_t {
    for (const auto& upstream : snapshot.upstreams) {
      if (upstream != nullptr && upstream->name() == name) return upstream->slot();
    }
    return SIZE_MAX;
  };
  auto first = build("a");
  const size_t slot = slot_of(*first, "a");
  auto second = build("b");
  ASSERT_NE(slot_of(*second, "b"), slot) << "both are known at once";
  EXPECT_NE(slot_of(*build("c"), "c"), slot) << "the first is still there";
  EXPECT_NE(slot_of(*build("a"), "a"), slot) << "nor does it come back to its old place";
  first.reset();
  second.reset();
  EXPECT_LT(slot_of(*build("d"), "d"), 4U) << "nobody knows the old ones any more: no fifth place";
}

}  // namespace
}  // namespace headgate::snapshot
