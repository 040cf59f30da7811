// health.h -- the active prober of the process: checks endpoints in intervals and writes what it finds into their cells.
//
// An endpoint that was never checked counts as usable; its first success makes it healthy, and while it keeps failing it
// is checked every second until `unhealthy` failures have made it unhealthy. After that: `healthy` successes in a row
// bring it back (with a slow start), `unhealthy` failures in a row take it out. Checks are spread over the interval by
// 10 % of jitter; at most kMaxRunning run at a time, others wait their turn.
// Thread: that of the Loop (control's, or worker 0's).   Owner: one per process.
#pragma once

#include <memory>
#include <unordered_map>

#include "dataplane/base/counters.h"
#include "dataplane/base/intrusive_list.h"
#include "dataplane/base/random.h"
#include "dataplane/event/loop.h"
#include "dataplane/upstream/probe.h"

namespace headgate::upstream {

class HealthProber {
 public:
  static constexpr size_t kMaxRunning = 64;

  // `extensions` and `counters` may be null; both must outlive the prober.
  HealthProber(event::Loop& loop, ProbeExtensions* extensions, Counters* counters);
  ~HealthProber();
  HealthProber(const HealthProber&) = delete;
  HealthProber& operator=(const HealthProber&) = delete;

  // Checks the endpoints of these Upstreams from now on (nulls and those without a health check are skipped); only what
  // differs from the call before is looked at. What is known of an endpoint stays, matched by its cell; one that is not
  // checked any more goes back to kUnknown. Not to be called from a ProbeExtensions call.
  void set_upstreams(const UpstreamSlots& upstreams);

  [[nodiscard]] size_t targets() const { return targets_.size(); }
  [[nodiscard]] size_t running() const { return running_; }

 private:
  class Target;
  friend class Target;

  void update_target(const std::shared_ptr<const Upstream>& upstream, const Endpoint& endpoint);
  void start_waiting();

  event::Loop& loop_;
  ProbeExtensions* extensions_;
  Counters* counters_;
  Random random_;
  UpstreamSlots upstreams_;
  size_t running_ = 0;
  IntrusiveList<Target> waiting_;
  std::unordered_map<const EndpointCell*, std::unique_ptr<Target>> targets_;
};

}  // namespace headgate::upstream
