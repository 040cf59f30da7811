#include "dataplane/snapshot/build.h"

#include <algorithm>
#include <utility>

#include "dataplane/snapshot/build_parts.h"

namespace headgate::snapshot {

Builder::Builder(EndpointResolver resolver) : parts_(std::make_unique<Parts>()) { parts_->resolver = std::move(resolver); }
Builder::~Builder() = default;

BuildOutcome Builder::build(const ResourceView& view) { return Build(*parts_, view).run(); }

BuildOutcome Builder::build(const config::v1::ResourceSet& set) {
  const ResourceView view = ResourceView::borrowed(set);
  parts_->forget_messages();
  BuildOutcome outcome = build(view);
  parts_->forget_messages();
  return outcome;
}

void Builder::cap_dns_ttls(uint32_t seconds) { parts_->dns_ttl_cap_s->store(seconds, std::memory_order_relaxed); }

void Builder::Parts::free_rested_slots() {
  std::erase_if(living, [](const auto& entry) { return entry.second.expired(); });
  const uint64_t oldest = living.empty() ? UINT64_MAX : living.front().first;
  const auto awake = std::find_if(resting_slots.begin(), resting_slots.end(),
                                  [oldest](const RestingSlot& resting) { return resting.version > oldest; });
  for (auto it = resting_slots.begin(); it != awake; ++it) free_slots.push_back(it->slot);
  resting_slots.erase(resting_slots.begin(), awake);
}

void Builder::retain(const Snapshot& snapshot) {
  Parts& parts = *parts_;
  const auto drop = [&](const std::string& name) {
    const auto found = parts.upstreams.find(name);
    if (found == parts.upstreams.end() || found->second.slot == KnownUpstream::kNoSlot) return;
    KnownUpstream& known = found->second;
    const auto& serves = snapshot.upstreams.at_or_none(known.slot);
    if (serves != nullptr && serves->name() == name) return;
    parts.endpoint_cells.drop(name);
    parts.resting_slots.push_back({.slot = known.slot, .version = snapshot.version});
    if (known.shards.empty() && known.sticky == 0) {
      parts.upstreams.erase(found);
    } else {
      known.slot = KnownUpstream::kNoSlot;
      known.settings = {};
      known.upstream = {};
    }
  };
  // Only what differs from the last one: a change among thousands costs what it is.
  upstream::UpstreamSlots::changes_between(parts.retained, snapshot.upstreams, [&](size_t, const auto& old, const auto& now) {
    if (old != nullptr) drop(old->name());
    if (now != nullptr) parts.endpoint_cells.retain(*now);
  });
  parts.retained = snapshot.upstreams;
  for (const std::string& name : std::exchange(parts.new_slots, {})) drop(name);
  for (const std::string& name : std::exchange(parts.gone_hosts, {})) {
    const auto known = parts.hosts.find(name);
    if (known != parts.hosts.end() && known->second.in == nullptr) parts.hosts.erase(known);
  }
  if (std::exchange(parts.look_at_all, false)) {
    // What nobody else holds was used by older Snapshots only.
    const auto forget = [](auto& remembered) {
      std::erase_if(remembered, [](const auto& entry) { return entry.second.built.use_count() <= 1; });
    };
    forget(parts.certificates);
    forget(parts.trust_stores);
    forget(parts.access_logs);
    forget(parts.stream_handlers);
    forget(parts.datagram_handlers);
    std::erase_if(parts.listener_tls, [](const auto& entry) { return entry.second.tls.built.use_count() <= 1; });
  }
  parts.process_cells.collect();
}

BuildOutcome Build::run() {
  snapshot_ = std::make_shared<Snapshot>();
  snapshot_->version = ++parts_.version;
  snapshot_->file_cache_bytes = view_.settings().static_cache_bytes();
  snapshot_->open_files = view_.settings().open_files();
  parts_.free_rested_slots();
  find_changes();
  refuse_what_is_not_built();
  build_upstreams();
  build_hosts();
  build_tables();
  snapshot_->upstreams = parts_.slots;
  build_listeners();
  BuildOutcome outcome;
  if (!failed()) {
    parts_.living.emplace_back(snapshot_->version, snapshot_);
    outcome.snapshot = std::move(snapshot_);
  }
  outcome.problems = std::move(problems_);
  return outcome;
}

void Build::error(check::Kind kind, std::string_view resource, std::string_view field, std::string message) {
  ++errors_;
  problems_.push_back({.kind = kind,
                       .resource = std::string(resource),
                       .field_path = std::string(field),
                       .rule = "build",
                       .message = std::move(message)});
}

const std::string& Build::print_of(const google::protobuf::Message& message) {
  std::string& print = parts_.prints[&message];
  if (print.empty()) print = "=" + fingerprint_of(message);
  return print;
}

}  // namespace headgate::snapshot
