// build_changes.cc -- the part of a build that finds out what is to be built: what differs from the view before it, what
// depends on that, what failed, and what must be asked for each time.
#include <algorithm>

#include "dataplane/snapshot/build_parts.h"

namespace headgate::snapshot {
namespace {

// Calls visit(name) for each Upstream that a route sends requests to; what only filters name is not among them.
template <typename Visitor>
void visit_backends(const v1::VirtualHost& host, const Visitor& visit) {
  for (const v1::Route& route : host.routes()) {
    for (const v1::Backend& backend : route.proxy().backends()) visit(backend.upstream());
    if (!route.proxy().fallback_upstream().empty()) visit(route.proxy().fallback_upstream());
  }
}

bool asks_for_certificates(const google::protobuf::RepeatedPtrField<v1::HttpFilter>& filters) {
  return std::any_of(filters.begin(), filters.end(), [](const auto& filter) { return filter.has_client_certificate(); });
}

bool asks_for_certificates(const v1::VirtualHost& host) {
  return asks_for_certificates(host.filters()) ||
         std::any_of(host.routes().begin(), host.routes().end(),
                     [](const v1::Route& route) { return asks_for_certificates(route.filters()); });
}

bool uses_secrets(const v1::Upstream& upstream) {
  return !upstream.tls().ca().empty() || !upstream.tls().certificate().empty();
}

// What routes take from their Upstreams when they are built.
bool same_balance(const v1::Upstream& a, const v1::Upstream& b) {
  return fingerprint_of(a.balance()) == fingerprint_of(b.balance());
}

void keep_if(std::set<std::string>& names, const std::string& name, bool keep) {
  if (keep) {
    names.insert(name);
  } else {
    names.erase(name);
  }
}

}  // namespace

void Builder::Parts::forget_messages() {
  knows_view = false;
  view = {};
  named_upstreams.clear();
  upstreams_of_secrets.clear();
  upstreams_of_clients.clear();
  asking_hosts.clear();
  asking_tables.clear();
  unbuilt_upstreams.clear();
  unbuilt_hosts.clear();
  prints.clear();
  for (auto& [name, known] : upstreams) {
    known.sticky = 0;
    known.shards = {};
  }
  for (auto& [name, known] : listener_tls) known.message = nullptr;
}

// What every host and upstream may depend on besides messages of its own.
std::string Build::era() const {
  const v1::ProxySettings& settings = view_.settings();
  return settings.temp_dir() + "|" + std::to_string(settings.body_memory_bytes()) + "|" + settings.zone();
}

void Build::find_changes() {
  std::string now = era();
  if (!parts_.knows_view || parts_.era != now) {
    parts_.forget_messages();
    parts_.era = std::move(now);
    find_gone();
  }
  const ResourceView before = std::exchange(parts_.view, view_);
  parts_.knows_view = true;
  dirty_upstreams_.insert(parts_.unbuilt_upstreams.begin(), parts_.unbuilt_upstreams.end());
  dirty_upstreams_.insert(parts_.named_upstreams.begin(), parts_.named_upstreams.end());
  dirty_hosts_.insert(parts_.unbuilt_hosts.begin(), parts_.unbuilt_hosts.end());
  note_secrets(before);
  note_zones(before);
  note_tables(before);
  note_hosts(before);
  note_upstreams(before);
  note_shards(before);
}

// Nothing is known of the view before: what was built and is not in this one has gone.
void Build::find_gone() {
  for (const auto& [name, known] : parts_.hosts) {
    if (view_.find<v1::VirtualHost>(name) == nullptr) dirty_hosts_.insert(name);
  }
  for (const auto& [name, known] : parts_.upstreams) {
    if (view_.find<v1::Upstream>(name) == nullptr) dirty_upstreams_.insert(name);
  }
  for (auto& [name, known] : parts_.tables) known.print.clear();
  parts_.look_at_all = true;
  ++parts_.tls_inputs;
}

void Build::note_secrets(const ResourceView& before) {
  ResourceView::changes_between<v1::TlsSecret>(before, view_, [&](const v1::TlsSecret* old, const v1::TlsSecret* now) {
    if (old != nullptr) parts_.prints.erase(old);
    ++parts_.tls_inputs;
    parts_.look_at_all = true;
    const std::string& name = (old != nullptr ? old : now)->name();
    for (const std::string& user : parts_.upstreams_of_secrets) {
      const auto* upstream = view_.find<v1::Upstream>(user);
      if (upstream == nullptr || upstream->tls().ca() == name || upstream->tls().certificate() == name) {
        dirty_upstreams_.insert(user);
      }
    }
  });
}

void Build::note_zones(const ResourceView& before) {
  ResourceView::changes_between<v1::DnsZone>(before, view_, [&](const v1::DnsZone* old, const v1::DnsZone*) {
    if (old != nullptr) parts_.prints.erase(old);
  });
}

void Build::note_tables(const ResourceView& before) {
  ResourceView::changes_between<v1::RouteTable>(before, view_, [&](const v1::RouteTable* old, const v1::RouteTable* now) {
    const std::string& name = (old != nullptr ? old : now)->name();
    keep_if(parts_.asking_tables, name, now != nullptr && asks_for_certificates(now->filters()));
    ++parts_.tls_inputs;
    if (old == nullptr) return;  // its hosts are new, too, or were waiting for it among those that are unbuilt
    parts_.tables[name].print.clear();
    view_.visit<v1::VirtualHost>([&](const v1::VirtualHost& host) {
      if (host.table() == name) dirty_hosts_.insert(host.name());
    });
  });
}

void Build::note_hosts(const ResourceView& before) {
  bool asked = !parts_.asking_hosts.empty() || !parts_.asking_tables.empty();
  bool changed = false;
  ResourceView::changes_between<v1::VirtualHost>(before, view_, [&](const v1::VirtualHost* old, const v1::VirtualHost* now) {
    const std::string& name = (old != nullptr ? old : now)->name();
    changed = true;
    dirty_hosts_.insert(name);
    if (now != nullptr) count_sessions(*now, 1);
    if (old != nullptr) count_sessions(*old, -1);
    const bool asks = now != nullptr && asks_for_certificates(*now);
    asked = asked || asks;
    keep_if(parts_.asking_hosts, name, asks);
  });
  if (asked && changed) ++parts_.tls_inputs;
}

// Upstreams on which routes keep sessions have an index for them.
void Build::count_sessions(const v1::VirtualHost& host, int by) {
  for (const v1::Route& route : host.routes()) {
    if (!route.proxy().has_affinity()) continue;
    for (const v1::Backend& backend : route.proxy().backends()) {
      uint32_t& sticky = parts_.upstreams[backend.upstream()].sticky;
      const bool before = sticky > 0;
      sticky += static_cast<uint32_t>(by);
      if (before != (sticky > 0)) dirty_upstreams_.insert(backend.upstream());
    }
  }
}

void Build::note_upstreams(const ResourceView& before) {
  std::set<std::string> rebalanced;
  ResourceView::changes_between<v1::Upstream>(before, view_, [&](const v1::Upstream* old, const v1::Upstream* now) {
    const std::string& name = (old != nullptr ? old : now)->name();
    dirty_upstreams_.insert(name);
    if (old != nullptr && now != nullptr && !same_balance(*old, *now)) rebalanced.insert(name);
    keep_if(parts_.upstreams_of_secrets, name, now != nullptr && uses_secrets(*now));
    keep_if(parts_.upstreams_of_clients, name,
            now != nullptr && now->proxy_protocol() != v1::PROXY_PROTOCOL_VERSION_UNSPECIFIED);
    if (now == nullptr) parts_.named_upstreams.erase(name);
  });
  if (!rebalanced.empty()) rebuild_hosts_of(rebalanced);
}

void Build::rebuild_hosts_of(const std::set<std::string>& upstreams) {
  view_.visit<v1::VirtualHost>([&](const v1::VirtualHost& host) {
    visit_backends(host, [&](const std::string& upstream) {
      if (upstreams.contains(upstream)) dirty_hosts_.insert(host.name());
    });
  });
}

void Build::note_shards(const ResourceView& before) {
  const auto before_by_name = [](const v1::EndpointShard* shard, const std::string& name) { return shard->name() < name; };
  ResourceView::changes_between<v1::EndpointShard>(
      before, view_, [&](const v1::EndpointShard* old, const v1::EndpointShard* now) {
        const std::string& name = (old != nullptr ? old : now)->name();
        const auto shards_of = [&](const v1::ShardTarget& target) -> std::vector<const v1::EndpointShard*>& {
          dirty_upstreams_.insert(target.upstream());
          return parts_.upstreams[target.upstream()].shards;
        };
        const auto place_in = [&](std::vector<const v1::EndpointShard*>& shards) {
          return std::lower_bound(shards.begin(), shards.end(), name, before_by_name);
        };
        if (old != nullptr) {
          for (const v1::ShardTarget& target : old->upstreams()) {
            auto& shards = shards_of(target);
            const auto at = place_in(shards);
            if (at != shards.end() && *at == old) shards.erase(at);
          }
        }
        if (now == nullptr) return;
        for (const v1::ShardTarget& target : now->upstreams()) {
          auto& shards = shards_of(target);
          const auto at = place_in(shards);
          if (at == shards.end() || *at != now) shards.insert(at, now);
        }
      });
}

}  // namespace headgate::snapshot
