// proxy.h -- HTTP to an Upstream: choose an endpoint, send, retry where that is safe, pass the answer on.
//
//   kPicking     choosing an endpoint, or waiting before another attempt    -> kConnecting | answered 503
//   kConnecting  waiting for a connection of the pool                       -> kSent | kPicking (retry) | answered 50x
//   kSent        request on its way, no response head yet                   -> kAnswered | kPicking (retry) | answered 50x
//   kAnswered    head passed on, body flows from connection to client
//
// Thread: Proxy is const and shared; each ProxyRun belongs to one Exchange.
// Spec: RFC 9110 7.6 (forwarding), 9.2.2 (idempotence), 15.6 (502, 503, 504).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/handlers/backend_set.h"
#include "dataplane/handlers/body_spool.h"
#include "dataplane/handlers/session_affinity.h"
#include "dataplane/http/filter.h"
#include "dataplane/http/forwarded.h"
#include "dataplane/http/handler.h"
#include "dataplane/http/variables.h"
#include "dataplane/upstream/upstream.h"

namespace headgate::handlers {

// Absent values: as the Upstream says.
struct ProxyOptions {
  std::vector<ProxyBackend> backends;
  std::vector<BackendChoice> choices;
  std::shared_ptr<const SessionAffinity> affinity;  // null: no sessions
  // When no endpoint of the chosen backend is usable: this Upstream, with these changes of the head.
  std::optional<uint32_t> fallback_slot;
  std::vector<std::shared_ptr<const http::HeadChange>> fallback_changes;
  std::optional<Duration> connect_timeout;
  std::optional<Duration> response_timeout;
  std::optional<Duration> send_timeout;
  std::optional<Duration> tunnel_idle;
  Duration request_timeout{0};  // whole exchange; zero: none
  std::optional<upstream::RetryPolicy> retry;
  Duration per_try_timeout{0};  // instead of the retry policy's; zero: as it says
  std::optional<http::TextTemplate> host;      // Host sent upstream; absent: the Upstream's policy
  std::optional<http::TextTemplate> hash_key;  // overrides the Upstream's
  std::string strip_prefix;                    // cut by segments
  bool websocket = true;
  std::optional<SpoolLimits> request_buffering;  // absent: the body goes on as it comes
  http::ForwardedPolicy forwarded;
  std::vector<std::shared_ptr<const http::HeadChange>> head_changes;  // in this order, last of all
};

class Proxy final : public http::Handler {
 public:
  explicit Proxy(ProxyOptions options);
  http::Run* start(http::Exchange& exchange, WorkerContext& worker) const override;
  [[nodiscard]] const ProxyOptions& options() const { return options_; }
  [[nodiscard]] const BackendSet& backends() const { return backends_; }
  // Null: no sessions are kept.
  [[nodiscard]] const SessionAffinity* affinity() const { return options_.affinity.get(); }

 private:
  ProxyOptions options_;
  BackendSet backends_;
};

}  // namespace headgate::handlers
