#include "dataplane/control/supervisor.h"

#include <csignal>
#include <cstdio>
#include <ctime>

#include "dataplane/base/log.h"
#include "dataplane/control/control_node.h"
#include "dataplane/control/last_good.h"
#include "dataplane/control/load_memory.h"
#include "dataplane/control/parent.h"
#include "dataplane/control/startup_pages.h"
#include "dataplane/explain/explain.h"
#include "proto/check/normalize.h"
#include "proto/json/print.h"

namespace headgate::control {
namespace {

constexpr Duration kTicketCheck = std::chrono::minutes(10);
// A file from this size on leaves something worth giving back.
constexpr size_t kBigText = size_t{1} << 20;

LogLevel level_of(config::v1::LogLevel level) {
  switch (level) {
    case config::v1::LOG_LEVEL_TRACE: return LogLevel::kTrace;
    case config::v1::LOG_LEVEL_DEBUG: return LogLevel::kDebug;
    case config::v1::LOG_LEVEL_WARN: return LogLevel::kWarn;
    case config::v1::LOG_LEVEL_ERROR: return LogLevel::kError;
    case config::v1::LOG_LEVEL_OFF: return LogLevel::kOff;
    default: return LogLevel::kInfo;
  }
}

uint32_t worker_count(const Options& options, const config::v1::ProxySettings& settings) {
  if (options.workers) return *options.workers;
  return settings.has_workers() && settings.workers() > 0 ? settings.workers() : default_workers();
}

// Named by the names of the builder, so that a user finds the place although the text is gone by then.
std::string line_of(const check::Problem& problem) { return to_string(problem); }

}  // namespace

Supervisor::Supervisor(Options options, std::unique_ptr<SocketBroker> broker)
    : options_(std::move(options)),
      broker_(std::move(broker)),
      loader_(options_),
      resolver_(loop_, {}),
      dns_endpoints_(loop_, resolver_, *this),
      probe_transport_(loop_),
      prober_(loop_, &probe_transport_, &control_counters_),
      publisher_(loop_, *broker_, workers_,
                 [this](const std::string& name, std::vector<upstream::Endpoint> configured) {
                   dns_endpoints_.set_upstream(name, std::move(configured));
                   return dns_endpoints_.endpoints(name);
                 }),
      admin_(*this),
      admin_server_(loop_, admin_),
      health_server_(loop_, admin_, AdminServer::Pages::kHealth),
      watch_(loop_, [this](const std::vector<std::string>&) { on_files_changed(); }),
      ticket_timer_(loop_.timers(), event::Timer::call<&Supervisor::rotate_ticket_keys>, this),
      republish_timer_(loop_.timers(), event::Timer::call<&Supervisor::republish>, this),
      started_(loop_.now()) {}

Supervisor::~Supervisor() {
  for (auto& worker : workers_) worker->stop();
  for (auto& worker : workers_) worker->join();
}

int Supervisor::run() {
  if (!start()) {
    flush_logs();
    return exit_code_;
  }
  loop_.run();
  for (auto& worker : workers_) worker->stop();
  for (auto& worker : workers_) worker->join();
  flush_logs();
  return exit_code_;
}

// After a crash the file may be what caused it, or may be broken by now: then the text that served before is used.
json::ConfigFile Supervisor::load_first(bool& from_last_good) {
  from_last_good = false;
  if (!has_file()) {
    json::ConfigFile none;
    none.document = std::make_unique<json::Document>();
    check::normalize(none.resources);
    return none;
  }
  json::ConfigFile file = load();
  const StartReason& reason = broker_->start_reason();
  if (file.ok() || reason.last_good.empty() || is_last_good(reason.last_good)) return file;
  json::ConfigFile last = loader_.load_text(reason.last_good);
  watch_.watch(loader_.prints());
  if (!last.ok()) return file;
  for (const std::string& line : lines_of(file.diagnostics)) HG_LOG(kError, kConfig, line);
  HG_LOG(kWarn, kConfig, "the file has problems; serving the last good configuration");
  from_last_good = true;
  return last;
}

// With a controller there need not be a file.
bool Supervisor::has_file() const { return options_.control.target.empty() || !loader_.path().empty(); }

// No thread, no connection yet: what can be wrong with the flags is found before anything serves.
bool Supervisor::prepare_control() {
  const ControlOptions& control = options_.control;
  if (control.target.empty()) return true;
  opener_ = std::make_unique<ControlOpener>(loop_, resolver_,
                                            ControlCredentials{.target = control.target,
                                                               .ca_file = control.ca,
                                                               .token_file = control.token_file,
                                                               .cert_file = control.cert,
                                                               .key_file = control.key,
                                                               .insecure = control.insecure,
                                                               .pod_uid = control.pod_uid});
  if (const std::string problem = opener_->check(); !problem.empty()) {
    std::fprintf(stderr, "headgate: %s\n", problem.c_str());
    exit_code_ = 2;
    return false;
  }
  remote_ = std::make_unique<RemoteConfig>(
      loop_, publisher_, *broker_, *opener_, control_node(control),
      RemoteOptions{.state_dir = control.state_dir, .persist_secrets = control.persist_secrets},
      static_cast<RemoteConfigObserver&>(*this));
  return true;
}

bool Supervisor::start() {
  if (options_.log_level) set_log_level(*options_.log_level);
  bool from_last_good = false;
  json::ConfigFile file = load_first(from_last_good);
  if (!file.ok()) {
    for (const std::string& line : lines_of(file.diagnostics)) std::fprintf(stderr, "%s\n", line.c_str());
    exit_code_ = 2;
    return false;
  }
  for (const std::string& line : lines_of(file.diagnostics)) HG_LOG(kWarn, kConfig, line);
  apply_log_settings(file.resources.settings());
  if (!prepare_control()) return false;

  const sigset_t handled = serving_signals();
  std::vector<int> signals;
  for (const int signal : {SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGUSR2}) {
    if (sigismember(&handled, signal) == 1) signals.push_back(signal);
  }
  ticket_keys_ = tls::TicketKeys::make(loop_.wall());
  ticket_timer_.arm(kTicketCheck);
  const uint32_t count = worker_count(options_, file.resources.settings());
  for (uint32_t i = 0; i < count; ++i) {
    workers_.push_back(std::make_unique<worker::Worker>(
        worker::WorkerOptions{.index = i, .count = count},
        [this](std::shared_ptr<const snapshot::Snapshot> old) {
          // Freed here, not on the worker.
          loop_.mailbox().post_fn([old = std::move(old)]() mutable { old.reset(); });
        }));
  }
  overload_.emplace(loop_, workers_);
  if (auto watching = broker_->watch(loop_, *this); !watching) {
    std::fprintf(stderr, "headgate: %s\n", to_string(watching.error()).c_str());
    exit_code_ = 1;
    return false;
  }
  for (auto& worker : workers_) {
    worker->start();
    worker->post([raw = worker.get(), keys = ticket_keys_] { raw->set_ticket_keys(keys); });
  }
  if (!start_health()) {
    exit_code_ = 1;
    return false;
  }
  const auto on_first = [this](const ActionOutcome& outcome) {
    if (!outcome.ok) {
      for (const AdminProblem& problem : outcome.problems) std::fprintf(stderr, "headgate: %s\n", problem.message.c_str());
      exit_code_ = 2;
      loop_.stop();
      return;
    }
    if (!start_admin()) {
      exit_code_ = 1;
      loop_.stop();
      return;
    }
    state_ = State::kServing;
    std::string source = loader_.path().empty() ? "command line" : loader_.path();
    if (remote_ != nullptr) {
      source = "controller " + options_.control.target + (loader_.path().empty() ? "" : " and " + loader_.path());
      opener_->start([this] { remote_->on_identity(); });
    } else {
      broker_->report_ready();
    release_startup_pages();
    }
    HG_LOG(kInfo, kCore, "serving", {"version", HEADGATE_VERSION}, {"workers", workers_.size()}, {"config", source});
  };
  publish(std::move(file), on_first);
  if (auto started = signals_.start(loop_, signals, [this](int signal) { on_signal(signal); }); !started) {
    std::fprintf(stderr, "headgate: %s\n", to_string(started.error()).c_str());
    exit_code_ = 1;
    return false;
  }
  return true;
}

bool Supervisor::start_admin() {
  const std::string& text = !options_.admin.empty() ? options_.admin : in_force_.admin();
  SocketAddress address = default_admin_address();
  if (!text.empty()) {
    auto parsed = parse_admin_address(text);
    if (!parsed) {
      std::fprintf(stderr, "headgate: admin: %s\n", to_string(parsed.error()).c_str());
      return false;
    }
    address = *parsed;
  }
  if (address.family() == SocketAddress::Family::kNone) return true;
  ListenOptions options;
  options.bind.reuse_port = false;
  options.bind.unix_mode = kAdminSocketMode;
  options.make_directory = true;
  auto fd = broker_->acquire({.listener = "admin", .address = address}, options);
  if (!fd) {
    // The default address is a convenience: without it the server still serves.
    if (text.empty()) {
      HG_LOG(kWarn, kAdmin, "no admin socket", {"address", address.to_string()}, {"error", to_string(fd.error())});
      return true;
    }
    std::fprintf(stderr, "headgate: admin: cannot listen on %s: %s\n", address.to_string().c_str(),
                 to_string(fd.error()).c_str());
    return false;
  }
  return admin_server_.start(std::move(*fd), address).has_value();
}

bool Supervisor::start_health() {
  if (options_.health.empty()) return true;
  const auto refuse = [](const Error& error) {
    std::fprintf(stderr, "headgate: -health: %s\n", to_string(error).c_str());
    return false;
  };
  const auto address = parse_health_address(options_.health);
  if (!address) return refuse(address.error());
  ListenOptions options;
  options.bind.reuse_port = false;
  auto fd = broker_->acquire({.listener = "health", .address = *address}, options);
  if (!fd) return refuse(fd.error());
  return health_server_.start(std::move(*fd), *address).has_value();
}

void Supervisor::apply_log_settings(const config::v1::ProxySettings& settings) {
  const config::v1::LogSettings& log = settings.log();
  set_log_format(log.format() == config::v1::LOG_FORMAT_JSON ? LogFormat::kJson : LogFormat::kPretty);
  broker_->set_parent_log_json(log.format() == config::v1::LOG_FORMAT_JSON);
  if (!options_.log_level) set_log_level(level_of(log.level()));
  for (const config::v1::SubsystemLevel& level : log.levels()) {
    Subsystem subsystem{};
    if (parse_subsystem(level.subsystem(), subsystem)) set_log_level(subsystem, level_of(level.level()));
  }
  if (!log.output().empty() && !set_log_file(log.output())) {
    HG_LOG(kError, kCore, "cannot open the log file", {"path", log.output()});
  }
}

// -- configuration ------------------------------------------------------------------------------------------------------

// What was read is watched whether it is good or not: mending any of it is worth another look.
json::ConfigFile Supervisor::load() {
  json::ConfigFile file = loader_.load();
  watch_.watch(loader_.prints());
  return file;
}

// With a controller the file is one of two sources: RemoteConfig puts them together.
void Supervisor::apply(std::shared_ptr<json::ConfigFile> file, Publisher::Done done) {
  if (remote_ == nullptr) return publisher_.publish(file->resources, std::move(done));
  std::shared_ptr<config::v1::ResourceSet> base;
  if (has_file()) base = std::make_shared<config::v1::ResourceSet>(file->resources);
  if (state_ == State::kStarting) {
    remote_->start(broker_->start_reason().last_good, std::move(base), std::move(done));
  } else {
    remote_->set_base(std::move(base), std::move(done));
  }
}

void Supervisor::publish(json::ConfigFile file, ActionDone done) {
  auto shared = std::make_shared<json::ConfigFile>(std::move(file));
  apply(shared, [this, shared, done = std::move(done)](const PublishOutcome& outcome) {
    ActionOutcome result;
    if (outcome.ok) {
      for (const check::Problem& problem : outcome.problems) HG_LOG(kWarn, kConfig, line_of(problem));
      if (remote_ == nullptr) on_applied(shared->resources.settings());  // else RemoteConfig has told
      in_force_.set(*shared);
      last_problem_.clear();
      const std::string_view text = shared->document->text();
      const bool big = text.size() >= kBigText;
      if (remote_ == nullptr) broker_->keep_last_good(text);
      *shared = {};
      if (big) release_load_memory();
      result.ok = true;
      result.message = "applied on " + std::to_string(workers_.size()) + " workers";
    } else {
      control_counters_.add(Counter::kConfigReloadsRefused);
      result = refused(*shared, outcome);
      last_problem_ = result.message;
    }
    done(result);
    run_waiting_reload();
  });
}

// Asked for while something was being published.
void Supervisor::run_waiting_reload() {
  if (!std::exchange(reload_again_, false)) return;
  reload([waiting = std::exchange(waiting_reloads_, {})](const ActionOutcome& outcome) {
    for (const ActionDone& done : waiting) done(outcome);
  });
}

ActionOutcome Supervisor::refused(const json::ConfigFile&, const PublishOutcome& outcome) const {
  ActionOutcome result{.ok = false, .message = "refused; the configuration before it stays in force"};
  for (const check::Problem& problem : outcome.problems) {
    if (problem.severity != check::Severity::kError) continue;
    result.problems.push_back({.file = loader_.path(), .message = line_of(problem)});
  }
  for (const std::string& failure : outcome.failures) {
    result.problems.push_back({.file = loader_.path(), .message = failure});
  }
  return result;
}

void Supervisor::reload(ActionDone done) {
  if (state_ != State::kServing) {
    done({.ok = false, .message = state_ == State::kStarting ? "still starting" : "draining"});
    return;
  }
  if (!has_file()) {
    done({.ok = true, .message = "there is no file; the controller sends its changes itself"});
    return;
  }
  if (publisher_.busy() && remote_ == nullptr) {  // RemoteConfig has a queue of its own
    reload_again_ = true;
    waiting_reloads_.push_back(std::move(done));
    return;
  }
  json::ConfigFile file = load();
  if (!file.ok()) {
    ActionOutcome outcome{.ok = false, .message = "refused; the configuration before it stays in force"};
    for (const json::Diagnostic& diagnostic : file.diagnostics) {
      if (diagnostic.severity == json::Severity::kError) HG_LOG(kError, kConfig, to_string(diagnostic));
      outcome.problems.push_back({.file = diagnostic.file,
                                  .line = diagnostic.line,
                                  .column = diagnostic.column,
                                  .path = diagnostic.path,
                                  .message = diagnostic.message});
    }
    HG_LOG(kError, kConfig, "reload refused; the configuration before it stays in force");
    control_counters_.add(Counter::kConfigReloadsRefused);
    last_problem_ = outcome.message;
    done(outcome);
    return;
  }
  publish(std::move(file), [done = std::move(done)](const ActionOutcome& outcome) {
    if (outcome.ok) {
      HG_LOG(kInfo, kConfig, "reloaded", {"result", outcome.message});
    } else {
      for (const AdminProblem& problem : outcome.problems) HG_LOG(kError, kConfig, problem.message);
      HG_LOG(kError, kConfig, "reload refused; the configuration before it stays in force");
    }
    done(outcome);
  });
}

void Supervisor::on_files_changed() {
  if (state_ == State::kStarting) reload_again_ = true;
  if (state_ == State::kServing) reload([](const ActionOutcome&) {});
}

// A name of an endpoint has other addresses now: the same resources, built again.
void Supervisor::on_endpoints_changed(const std::string&) {
  if (!republish_timer_.armed()) republish_timer_.arm(std::chrono::milliseconds(10));
}

void Supervisor::republish() {
  if (state_ == State::kDraining || state_ == State::kStopped) return;
  if (remote_ != nullptr) return remote_->republish();
  if (publisher_.busy()) {
    republish_timer_.arm(std::chrono::milliseconds(10));
    return;
  }
  const auto resources = in_force_.resources();
  publisher_.publish(*resources, [this, resources](const PublishOutcome& outcome) {
    if (outcome.ok) prober_.set_upstreams(publisher_.current()->upstreams);
    run_waiting_reload();
  });
}

void Supervisor::on_remote_applied(const config::v1::ProxySettings& settings) { on_applied(settings); }

// Workers use what came with these settings, from whatever source.
void Supervisor::on_applied(const config::v1::ProxySettings& settings) {
  config_time_s_ = std::time(nullptr);
  control_counters_.add(Counter::kConfigReloads);
  control_counters_.set(Counter::kConfigTimestamp, static_cast<uint64_t>(config_time_s_));
  prober_.set_upstreams(publisher_.current()->upstreams);
  // A controller may push many times a second; a log file is not opened again for nothing.
  std::string bytes = settings.SerializeAsString();
  if (remote_ != nullptr && bytes == applied_settings_) return;
  applied_settings_ = std::move(bytes);
  apply_log_settings(settings);
}

// Only now may an older process of an upgrade go.
void Supervisor::on_remote_ready() {
  HG_LOG(kInfo, kControl, "ready", {"controller", remote_->state()}, {"resources", remote_->store().size()});
  broker_->report_ready();
}

void Supervisor::rotate_ticket_keys() {
  ticket_timer_.arm(kTicketCheck);
  auto next = tls::TicketKeys::rotate(ticket_keys_, loop_.wall());
  if (next == ticket_keys_) return;
  ticket_keys_ = std::move(next);
  for (auto& worker : workers_) {
    worker->post([raw = worker.get(), keys = ticket_keys_] { raw->set_ticket_keys(keys); });
  }
}

// -- life cycle -----------------------------------------------------------------------------------------------------------

void Supervisor::on_signal(int signal) {
  switch (signal) {
    case SIGHUP: reload([](const ActionOutcome&) {}); break;
    case SIGUSR1: reopen([](const ActionOutcome&) {}); break;
    case SIGUSR2:
      upgrade([](const ActionOutcome& outcome) {
        if (!outcome.ok) HG_LOG(kError, kCore, "upgrade failed", {"reason", outcome.message});
      });
      break;
    case SIGTERM:
    case SIGINT:
      if (state_ == State::kDraining) {
        // Asked twice: now.
        loop_.stop();
      } else {
        begin_drain();
      }
      break;
    default: break;
  }
}

void Supervisor::begin_drain() {
  if (state_ == State::kDraining || state_ == State::kStopped) return;
  const bool started = state_ == State::kServing;
  state_ = State::kDraining;
  if (remote_ != nullptr) remote_->tell_draining();
  if (!started) {
    loop_.stop();
    return;
  }
  Duration longest{0};
  for (const auto& listener : publisher_.current()->listeners) longest = std::max(longest, listener->drain);
  if (options_.drain_seconds) longest = std::chrono::seconds(*options_.drain_seconds);
  HG_LOG(kInfo, kCore, "draining", {"deadline_s", to_seconds(longest)});
  draining_workers_ = workers_.size();
  for (auto& worker : workers_) {
    worker::Worker* raw = worker.get();
    raw->post([this, raw, longest] {
      raw->drain(raw->loop().now() + longest,
                 [this] { loop_.mailbox().post_fn([this] { on_worker_drained(); }); });
    });
  }
}

void Supervisor::on_worker_drained() {
  if (--draining_workers_ > 0) return;
  state_ = State::kStopped;
  HG_LOG(kInfo, kCore, "drained");
  loop_.stop();
}

void Supervisor::on_replaced() { begin_drain(); }

void Supervisor::on_parent_gone() {
  HG_LOG(kError, kCore, "the parent process is gone; draining");
  begin_drain();
}

void Supervisor::drain(ActionDone done) {
  begin_drain();
  done({.ok = true, .message = "draining"});
}

void Supervisor::reopen(ActionDone done) {
  reopen_logs();
  done({.ok = true, .message = "log files reopened"});
}

void Supervisor::upgrade(ActionDone done) {
  if (state_ != State::kServing) {
    done({.ok = false, .message = "not serving"});
    return;
  }
  broker_->request_upgrade([done = std::move(done)](const UpgradeOutcome& outcome) {
    done({.ok = outcome.ok, .message = outcome.ok ? "the new process serves" : outcome.reason});
  });
}

// -- admin ----------------------------------------------------------------------------------------------------------------

std::vector<Heartbeat> Supervisor::heartbeats() {
  std::vector<Heartbeat> beats;
  for (const auto& worker : workers_) beats.push_back({worker->loop().turns(), worker->loop().turn_began_ns()});
  return beats;
}

std::string Supervisor::not_ready_reason() {
  switch (state_) {
    case State::kStarting: return "starting";
    case State::kServing:
      return remote_ == nullptr || remote_->ready() ? "" : "waiting for the controller: " + remote_->state();
    case State::kDraining:
    case State::kStopped: return "draining";
  }
  return "";
}

std::vector<const Counters*> Supervisor::counters() {
  std::vector<const Counters*> all{&control_counters_};
  for (const auto& worker : workers_) all.push_back(&worker->counters());
  control_counters_.set(Counter::kLogLinesDropped, log_lines_dropped());
  return all;
}

std::vector<MetricSample> Supervisor::samples() {
  std::vector<MetricSample> samples = process_samples();
  uint64_t shed = 0;
  for (const auto& worker : workers_) shed += worker->overload().shed.load(std::memory_order_relaxed);
  samples.push_back({.name = "headgate_http_requests_shed_total",
                     .help = "Requests answered 503 for want of memory or time.",
                     .type = MetricType::kCounter,
                     .labels = {},
                     .value = static_cast<double>(shed)});
  if (publisher_.current() == nullptr) return samples;
  if (remote_ != nullptr) {
    samples.push_back({.name = "headgate_control_connected",
                       .help = "1 while the stream to the controller is open.",
                       .labels = {},
                       .value = remote_->connected() ? 1.0 : 0.0});
    samples.push_back({.name = "headgate_control_resources",
                       .help = "Resources the controller has sent.",
                       .labels = {},
                       .value = static_cast<double>(remote_->store().size())});
    samples.push_back({.name = "headgate_control_rejects",
                       .help = "Rejects of resources that stand.",
                       .labels = {},
                       .value = static_cast<double>(remote_->store().rejects().size())});
  }
  for (const UpstreamStats& upstream : stats().upstreams) {
    size_t usable = 0;
    for (const EndpointStats& endpoint : upstream.endpoints) usable += endpoint.healthy ? 1 : 0;
    samples.push_back({.name = "headgate_upstream_endpoints",
                       .help = "Endpoints of an upstream, by state.",
                       .labels = {{"upstream", upstream.name}, {"state", "usable"}},
                       .value = static_cast<double>(usable)});
    samples.push_back({.name = "headgate_upstream_endpoints",
                       .help = "Endpoints of an upstream, by state.",
                       .labels = {{"upstream", upstream.name}, {"state", "out"}},
                       .value = static_cast<double>(upstream.endpoints.size() - usable)});
  }
  return samples;
}

// What a controller sends has no form in the users' language: the messages are shown, without secrets.
std::string Supervisor::config_text() {
  return remote_ == nullptr ? in_force_.print() : json::print_resources(remote_->store().trial());
}

// The messages must be those of the Snapshot: not while the next one is on its way to the workers.
AdminAnswer Supervisor::explain(const explain::Question& question) {
  const bool settled = publisher_.current() != nullptr && !publisher_.busy() &&
                       (remote_ == nullptr || !remote_->store().on_trial());
  if (!settled) return {.status = 503, .body = "the configuration is changing at this moment; ask again\n"};
  const auto of_file = remote_ == nullptr ? in_force_.resources() : nullptr;
  const config::v1::ResourceSet& set = of_file != nullptr ? *of_file : remote_->store().trial();
  return {.body = explain::explain(*publisher_.current(), set, question, loop_.now()).text};
}

AdminStats Supervisor::stats() {
  AdminStats stats;
  stats.state = not_ready_reason().empty() ? "serving" : not_ready_reason();
  stats.uptime_s = to_seconds(loop_.now() - started_);
  stats.workers = static_cast<uint32_t>(workers_.size());
  stats.restarts = broker_->start_reason().restarts;
  stats.config = loader_.path();
  stats.config_time_s = config_time_s_;
  if (publisher_.current() == nullptr) return stats;
  stats.listeners = publisher_.current()->listeners.size();
  for (const auto& upstream : publisher_.current()->upstreams) {
    if (upstream == nullptr) continue;
    UpstreamStats entry{.name = upstream->name(), .endpoints = {}};
    for (const upstream::Endpoint& endpoint : upstream->endpoints()) {
      EndpointStats state{.address = endpoint.text};
      if (!endpoint.resolved()) {
        state = {endpoint.text, false, "name not resolved"};
      } else if (endpoint.cell->health() == upstream::Health::kUnhealthy) {
        state = {endpoint.text, false, "health check fails"};
      } else if (endpoint.cell->is_ejected(loop_.now())) {
        state = {endpoint.text, false, "left out after failures"};
      }
      entry.endpoints.push_back(std::move(state));
    }
    stats.upstreams.push_back(std::move(entry));
  }
  return stats;
}

}  // namespace headgate::control
