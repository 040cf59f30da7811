// admin.h -- what the admin listener answers. Transport and process stay outside: requests come in as values, what they
// act on is an AdminBackend.
//
//   GET  /livez    200 when every worker's loop turns, else 503          GET /readyz  200 when serving, else 503 and why
//   GET  /metrics  Prometheus text                                       GET /config  the configuration in use
//   GET  /stats    JSON: version, uptime, workers, connections, requests, upstream health
//   GET  /explain?url=URL&method=...&header=...&client=...   what a request would get, and why (explain/question.h)
//   POST /reload /drain /reopen /upgrade   JSON {"ok":BOOL,"message":TEXT,"problems":[...]}; 200, or 409 when it failed
//
// Only for a Unix socket (mode 0600) or a loopback address. Loopback is shared with every browser of the machine, so what
// a web page can make a browser send is refused: a foreign Host, an Origin, a cross-site fetch. The listener of -health
// may have any address: it answers /livez, /readyz and /metrics, and has no other page.
// Thread: control.   Owner: the supervisor.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/address.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/result.h"
#include "dataplane/control/metrics_export.h"
#include "dataplane/explain/question.h"

namespace headgate::control {

struct AdminRequest {
  std::string method;
  std::string path;  // without the query
  std::string query;  // without the '?'
  std::string host;        // Host field; empty when there is none
  std::string origin;      // Origin field
  std::string fetch_site;  // Sec-Fetch-Site field
  bool over_unix_socket = false;
  bool health_only = false;  // came to the listener of -health
};

struct AdminAnswer {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::string allow;  // Allow field of a 405
};
using AdminDone = std::function<void(AdminAnswer)>;

// A place in the configuration; line 0: the whole file.
struct AdminProblem {
  std::string file;
  uint32_t line = 0;
  uint32_t column = 0;
  std::string path;  // JSON path
  std::string message;
};
struct ActionOutcome {
  bool ok = false;
  std::string message;
  std::vector<AdminProblem> problems{};
};
using ActionDone = std::function<void(ActionOutcome)>;

// One worker's loop, as other threads may read it (event::Loop::turns and turn_began_ns).
struct Heartbeat {
  uint64_t turns = 0;
  int64_t turn_began_ns = 0;  // 0: waiting for something to do
};

struct EndpointStats {
  std::string address;
  bool healthy = true;
  std::string reason;  // why not
};
struct UpstreamStats {
  std::string name;
  std::vector<EndpointStats> endpoints;
};
struct AdminStats {
  std::string state;  // "serving", "draining", "starting"
  double uptime_s = 0;
  uint32_t workers = 0;
  uint32_t restarts = 0;
  std::string config;         // path of the file, empty: command line
  int64_t config_time_s = 0;  // Unix time at which it was applied
  uint64_t listeners = 0;
  std::vector<UpstreamStats> upstreams;
};

class AdminBackend {
 public:
  virtual std::vector<Heartbeat> heartbeats() = 0;
  // Empty: ready. Else why not.
  virtual std::string not_ready_reason() = 0;
  virtual std::vector<const Counters*> counters() = 0;
  virtual std::vector<MetricSample> samples() = 0;
  virtual std::string config_text() = 0;
  virtual AdminStats stats() = 0;
  // 200 and text; 400 when the question is none; 503 while a change is on its way.
  virtual AdminAnswer explain(const explain::Question& question) = 0;
  // Each calls `done` exactly once, now or later. The answer to drain and upgrade is given before the process ends.
  virtual void reload(ActionDone done) = 0;
  virtual void drain(ActionDone done) = 0;
  virtual void reopen(ActionDone done) = 0;
  virtual void upgrade(ActionDone done) = 0;

 protected:
  ~AdminBackend() = default;
};

class Admin {
 public:
  // A loop that has been busy with one turn for longer than this is stuck.
  static constexpr Duration kStuckAfter = std::chrono::seconds(10);

  explicit Admin(AdminBackend& backend, const Clock& clock = system_clock()) : backend_(backend), clock_(clock) {}

  // `done` is called once, before or after this returns.
  void handle(const AdminRequest& request, AdminDone done);

 private:
  AdminAnswer livez();
  AdminAnswer readyz();
  AdminAnswer metrics();
  AdminAnswer config();
  AdminAnswer stats();
  AdminAnswer explain(const std::string& query);

  AdminBackend& backend_;
  const Clock& clock_;
};

// "unix:///path", "http://127.0.0.1:9901", "http://[::1]:9901", "http://localhost:9901", "off" (family kNone).
// kInvalid with the reason as detail; any other than a loopback address is refused.
Result<SocketAddress> parse_admin_address(std::string_view text);
// /run/headgate/headgate.sock for root, else below $XDG_RUNTIME_DIR; family kNone when there is no such directory.
SocketAddress default_admin_address();
// "http://:9902", "http://0.0.0.0:9902", "http://[::1]:9902": any address, but a port.
Result<SocketAddress> parse_health_address(std::string_view text);
// Permissions of the Unix socket.
inline constexpr uint32_t kAdminSocketMode = 0600;

std::string outcome_json(const ActionOutcome& outcome);

}  // namespace headgate::control
