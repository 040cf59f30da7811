// supervisor.h -- owns the serving process: workers, configuration, admin listener, health, signals; starts, reloads,
// drains and stops.
//
//   kStarting  reading and applying the first configuration     -> kServing | exit 2 (bad configuration)
//              with -control: of the file, if any, and of last time; ready when the controller's is applied
//   kServing   reload on SIGHUP, file change, POST /reload      -> kDraining (SIGTERM, POST /drain, replaced by an upgrade)
//   kDraining  no new connections; what is open finishes until the deadline -> kStopped (exit 0)
//
// Thread: control (the one that calls run()).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataplane/control/admin.h"
#include "dataplane/control/admin_server.h"
#include "dataplane/control/config_in_force.h"
#include "dataplane/control/config_loader.h"
#include "dataplane/control/control_opener.h"
#include "dataplane/control/file_watch.h"
#include "dataplane/control/listening_sockets.h"
#include "dataplane/control/options.h"
#include "dataplane/control/overload_watch.h"
#include "dataplane/control/publisher.h"
#include "dataplane/control/remote_config.h"
#include "dataplane/control/signals.h"
#include "dataplane/tls/ticket_keys.h"
#include "dataplane/upstream/dns_endpoints.h"
#include "dataplane/upstream/health.h"
#include "dataplane/upstream/probe_transport.h"
#include "dataplane/upstream/resolver.h"
#include "dataplane/worker/worker.h"

namespace headgate::control {

class Supervisor final : private AdminBackend,
                         private SocketBrokerObserver,
                         private RemoteConfigObserver,
                         private upstream::DnsEndpointsObserver {
 public:
  Supervisor(Options options, std::unique_ptr<SocketBroker> broker);
  ~Supervisor();

  // Serves until told to stop. The exit code of the process.
  int run();

 private:
  enum class State : uint8_t { kStarting, kServing, kDraining, kStopped };

  // AdminBackend
  std::vector<Heartbeat> heartbeats() override;
  std::string not_ready_reason() override;
  std::vector<const Counters*> counters() override;
  std::vector<MetricSample> samples() override;
  std::string config_text() override;
  AdminStats stats() override;
  AdminAnswer explain(const explain::Question& question) override;
  void reload(ActionDone done) override;
  void drain(ActionDone done) override;
  void reopen(ActionDone done) override;
  void upgrade(ActionDone done) override;
  // SocketBrokerObserver
  void on_replaced() override;
  void on_parent_gone() override;
  // RemoteConfigObserver
  void on_remote_applied(const config::v1::ProxySettings& settings) override;
  void on_remote_ready() override;
  // upstream::DnsEndpointsObserver
  void on_endpoints_changed(const std::string& upstream) override;

  bool start();
  bool start_admin();
  bool start_health();
  bool prepare_control();
  [[nodiscard]] bool has_file() const;
  void apply(std::shared_ptr<json::ConfigFile> file, Publisher::Done done);
  void on_applied(const config::v1::ProxySettings& settings);
  json::ConfigFile load();
  json::ConfigFile load_first(bool& from_last_good);
  void apply_log_settings(const config::v1::ProxySettings& settings);
  void on_signal(int signal);
  void on_files_changed();
  void publish(json::ConfigFile file, ActionDone done);
  ActionOutcome refused(const json::ConfigFile& file, const PublishOutcome& outcome) const;
  void begin_drain();
  void on_worker_drained();
  void rotate_ticket_keys();
  void republish();
  void run_waiting_reload();

  Options options_;
  event::Loop loop_;
  std::unique_ptr<SocketBroker> broker_;
  ConfigLoader loader_;
  std::vector<std::unique_ptr<worker::Worker>> workers_;
  upstream::Resolver resolver_;
  upstream::DnsEndpoints dns_endpoints_;
  std::optional<OverloadWatch> overload_;  // of workers_, from their start
  upstream::ProbeTransport probe_transport_;
  upstream::HealthProber prober_;
  Counters control_counters_;
  Publisher publisher_;
  std::unique_ptr<ControlOpener> opener_;  // only with -control, like the next
  std::unique_ptr<RemoteConfig> remote_;
  std::string applied_settings_;           // as bytes
  Admin admin_;
  AdminServer admin_server_;
  AdminServer health_server_;
  SignalWatch signals_;
  FileWatch watch_;
  std::shared_ptr<const tls::TicketKeys> ticket_keys_;
  event::Timer ticket_timer_;
  event::Timer republish_timer_;
  ConfigInForce in_force_;      // without a controller, or beside it: the file
  MonotonicTime started_;
  int64_t config_time_s_ = 0;
  std::string last_problem_;  // why the latest configuration was refused; empty: it was not
  std::vector<ActionDone> waiting_reloads_;  // asked for while one was under way
  bool reload_again_ = false;
  size_t draining_workers_ = 0;
  int exit_code_ = 0;
  State state_ = State::kStarting;
};

}  // namespace headgate::control
