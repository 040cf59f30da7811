// build.h -- checked messages -> Snapshot. The only place where configuration messages and built objects meet.
//
// A Builder remembers what outlives a Snapshot: slots of Upstreams, process cells, and the parts that it can share with
// the next Snapshot when their messages did not change (hosts, upstreams, certificates, handlers of listeners). Shown one
// ResourceView after another it looks only at what differs between them; shown a ResourceSet, at everything.
// Thread: control.   Owner: control::Supervisor, embed::Server.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/process_cell.h"
#include "dataplane/snapshot/resource_view.h"
#include "dataplane/snapshot/snapshot.h"
#include "dataplane/upstream/cell_registry.h"
#include "headgate/config/v1/resources.pb.h"
#include "proto/check/check.h"

namespace headgate::snapshot {

struct BuildOutcome {
  std::shared_ptr<const Snapshot> snapshot;   // null when there is an error among the problems
  std::vector<check::Problem> problems;       // warnings too
};

// The endpoints of an Upstream as they are now, given those configured: host names are replaced by their addresses.
using EndpointResolver =
    std::function<std::vector<upstream::Endpoint>(const std::string& upstream, std::vector<upstream::Endpoint>)>;

class Builder {
 public:
  // `resolver` is asked for Upstreams that have host names; empty: those stay unresolved.
  explicit Builder(EndpointResolver resolver = {});
  ~Builder();

  // What is shown is normalized and has passed proto/check. Every problem is reported, not the first.
  BuildOutcome build(const ResourceView& view);
  // Keeps nothing of `set`.
  BuildOutcome build(const config::v1::ResourceSet& set);
  // `snapshot` is now in force on all workers: what only older ones used may be forgotten.
  void retain(const Snapshot& snapshot);
  // From now on no answer of DNS has a higher TTL; 0: as configured.
  void cap_dns_ttls(uint32_t seconds);

 private:
  class Parts;
  friend class Build;
  std::unique_ptr<Parts> parts_;
};

}  // namespace headgate::snapshot
