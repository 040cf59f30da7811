// lease.h -- leader election: one of the controllers holds a Lease and writes; the others wait for it to run out.
//
// Whether another's lease ran out is judged by when *we* saw it change last, never by the times in it: clocks differ.
// The leader stops leading when it could not renew for `renew_deadline`, which is before anybody else may take over,
// and leads() says so without waiting for the thread: a process that was stopped for a while does not write when it
// wakes up.
// Spec: coordination.k8s.io/v1 Lease; the algorithm is that of client-go's leader election.
// Thread: one of its own; the callback is called there. leads(), leader() any.   Owner: the controller.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "controlplane/kube/json.h"
#include "controlplane/kube/rest.h"
#include "controlplane/kube/thread.h"
#include "dataplane/base/random.h"

namespace headgate::kube {

struct LeaseOptions {
  std::string name_space;
  std::string name;      // "headgate-controller"
  std::string identity;  // unique among the controllers: the Pod's name and a random part
  std::map<std::string, std::string> annotations;  // set by the leader: where the others find it
  Duration duration = std::chrono::seconds(15);    // others wait so long; whole seconds
  Duration renew_deadline = std::chrono::seconds(10);
  Duration retry = std::chrono::seconds(2);        // between tries, up to a fifth more
};

class Lease {
 public:
  // True: we lead now. False: not any more.
  using OnChange = std::function<void(bool leads)>;

  Lease(Transport& transport, LeaseOptions options, OnChange on_change, const Clock& clock = system_clock());
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() { stop(); }

  // kInvalid: not duration > renew_deadline > 1.2 * retry.
  Result<void> start();
  // Ends the thread and, when we lead, gives the lease back, so that another leads within its next try.
  void stop();

  // May we write, at this moment?
  [[nodiscard]] bool leads() const;
  struct Leader {
    std::string identity;  // empty: nobody
    std::map<std::string, std::string> annotations;
  };
  [[nodiscard]] Leader leader() const;

  // One try; what the thread does every `retry`. For tests.
  void tick();

 private:
  bool acquire_or_renew();
  bool create(const Rest& rest);
  bool write(const Rest& rest, Json lease);
  void observe(const Json& lease, MonotonicTime now);
  [[nodiscard]] Json spec_of_ours(const Json& spec) const;
  void set_leading(bool leading);
  void release();
  [[nodiscard]] Rest rest() const;

  Transport& transport_;
  const LeaseOptions options_;
  const OnChange on_change_;
  const Clock& clock_;
  const std::string collection_;
  const std::string path_;
  std::stop_source stop_;
  Thread thread_;
  Random random_;

  Json ours_;  // as the API server returned it from our last write; null: unknown
  std::string observed_spec_;
  MonotonicTime observed_at_{};

  mutable std::mutex mutex_;
  bool leading_ = false;
  MonotonicTime renewed_at_{};
  Leader leader_;
};

}  // namespace headgate::kube
