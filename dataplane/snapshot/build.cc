#include "dataplane/snapshot/build.h"

#include <algorithm>
#include <unordered_set>

#include "dataplane/snapshot/build_parts.h"

namespace headgate::snapshot {

Builder::Builder(EndpointResolver resolver) : parts_(std::make_unique<Parts>()) { parts_->resolver = std::move(resolver); }
Builder::~Builder() = default;

BuildOutcome Builder::build(const config::v1::ResourceSet& set, const Revisions& revisions) {
  return Build(*parts_, set, revisions).run();
}

void Builder::retain(const Snapshot& snapshot) {
  std::unordered_set<std::string_view> used;
  for (const auto& upstream : snapshot.upstreams) {
    if (upstream == nullptr) continue;
    used.insert(upstream->name());
    parts_->endpoint_cells.retain(*upstream);
  }
  std::erase_if(parts_->slots, [&](const auto& slot) {
    if (used.contains(slot.first)) return false;
    parts_->endpoint_cells.drop(slot.first);
    parts_->free_slots.push_back(slot.second);
    return true;
  });
  // What nobody else holds was used by older Snapshots only.
  const auto forget = [](auto& remembered) {
    std::erase_if(remembered, [](const auto& entry) { return entry.second.built.use_count() <= 1; });
  };
  forget(parts_->upstreams);
  forget(parts_->upstream_settings);
  forget(parts_->hosts);
  forget(parts_->certificates);
  forget(parts_->trust_stores);
  forget(parts_->access_logs);
  forget(parts_->stream_handlers);
  forget(parts_->datagram_handlers);
  parts_->process_cells.collect();
}

BuildOutcome Build::run() {
  snapshot_ = std::make_shared<Snapshot>();
  snapshot_->version = ++parts_.version;
  snapshot_->file_cache_bytes = set_.settings().static_cache_bytes();
  snapshot_->open_files = set_.settings().open_files();
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
