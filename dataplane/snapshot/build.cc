#include "dataplane/snapshot/build.h"

#include <algorithm>
#include <utility>

#include "dataplane/snapshot/build_parts.h"

namespace headgate::snapshot {

Builder::Builder(EndpointResolver resolver) : parts_(std::make_unique<Parts>()) { parts_->resolver = std::move(resolver); }
Builder::~Builder() = default;

BuildOutcome Builder::build(const config::v1::ResourceSet& set, const Revisions& revisions) {
  return Build(*parts_, set, revisions).run();
}

void Builder::retain(const Snapshot& snapshot) {
  Parts& parts = *parts_;
  const auto serves = [&](const std::string& name) {
    const uint32_t slot = parts.slots.at(name);
    return slot < snapshot.upstreams.size() && snapshot.upstreams[slot] != nullptr && snapshot.upstreams[slot]->name() == name;
  };
  const auto drop = [&](const std::string& name) {
    const auto slot = parts.slots.find(name);
    if (slot == parts.slots.end() || serves(name)) return;
    parts.endpoint_cells.drop(name);
    parts.free_slots.push_back(slot->second);
    parts.slots.erase(slot);
  };
  // Only what differs from the last one: a change among thousands costs what it is.
  parts.retained.resize(std::max(parts.retained.size(), snapshot.upstreams.size()));
  for (size_t i = 0; i < parts.retained.size(); ++i) {
    const auto& now = i < snapshot.upstreams.size() ? snapshot.upstreams[i] : nullptr;
    if (parts.retained[i] == now) continue;
    if (parts.retained[i] != nullptr) drop(parts.retained[i]->name());
    if (now != nullptr) parts.endpoint_cells.retain(*now);
    parts.retained[i] = now;
  }
  for (const std::string& name : std::exchange(parts.new_slots, {})) drop(name);
  // What nobody else holds was used by older Snapshots only.
  const auto forget = [](auto& remembered, size_t used) {
    if (remembered.size() <= used) return;
    std::erase_if(remembered, [](const auto& entry) { return entry.second.built.use_count() <= 1; });
  };
  forget(parts.upstreams, parts.built_upstreams);
  forget(parts.upstream_settings, parts.built_upstreams);
  forget(parts.hosts, parts.built_hosts);
  forget(parts.listener_tls, 0);
  forget(parts.certificates, 0);
  forget(parts.trust_stores, 0);
  forget(parts.access_logs, 0);
  forget(parts.stream_handlers, 0);
  forget(parts.datagram_handlers, 0);
  std::erase_if(parts.tables, [](const auto& entry) { return entry.second.use_count() <= 1; });
  parts_->process_cells.collect();
}

BuildOutcome Build::run() {
  snapshot_ = std::make_shared<Snapshot>();
  snapshot_->version = ++parts_.version;
  snapshot_->file_cache_bytes = set_.settings().static_cache_bytes();
  snapshot_->open_files = set_.settings().open_files();
  parts_.built_hosts = static_cast<size_t>(set_.virtual_hosts_size());
  parts_.built_upstreams = static_cast<size_t>(set_.upstreams_size());
  begin_era();
  for (const v1::TlsSecret& secret : set_.tls_secrets()) secrets_.emplace(secret.name(), &secret);
  refuse_what_is_not_built();
  build_upstreams();
  for (const v1::RouteTable& table : set_.route_tables()) tables_[table.name()] = route_table(table);
  build_listeners();
  BuildOutcome outcome;
  if (!failed()) outcome.snapshot = std::move(snapshot_);
  outcome.problems = std::move(problems_);
  return outcome;
}

// What every host and upstream may depend on besides messages of its own.
void Build::begin_era() {
  std::string settings = set_.settings().temp_dir() + "|" + std::to_string(set_.settings().body_memory_bytes()) + "|" +
                         set_.settings().zone();
  if (settings == parts_.era_settings) return;
  parts_.era_settings = std::move(settings);
  ++parts_.era;
}

void Build::error(check::Kind kind, std::string_view resource, std::string_view field, std::string message) {
  problems_.push_back({.kind = kind,
                       .resource = std::string(resource),
                       .field_path = std::string(field),
                       .rule = "build",
                       .message = std::move(message)});
}

bool Build::failed() const {
  return std::any_of(problems_.begin(), problems_.end(),
                     [](const check::Problem& problem) { return problem.severity == check::Severity::kError; });
}

}  // namespace headgate::snapshot
