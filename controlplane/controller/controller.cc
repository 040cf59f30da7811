#include "controlplane/controller/controller.h"

#include <cstdio>
#include <utility>

#include "controlplane/controller/injection.h"
#include "controlplane/controller/read_file.h"
#include "controlplane/controller/trust.h"
#include "controlplane/identity/file_secret_store.h"
#include "controlplane/identity/kubernetes_store.h"
#include "dataplane/base/log.h"

namespace headgate::controller {

namespace {

constexpr const char* kClusterSet = "kubernetes";
constexpr const char* kFileSet = "file";
constexpr Duration kFileInterval = std::chrono::milliseconds(500);

// "NAMESPACE/NAME", checked by the options.
std::pair<std::string, std::string> split(const std::string& name) {
  const size_t slash = name.find('/');
  if (slash == std::string::npos) return {};
  return {name.substr(0, slash), name.substr(slash + 1)};
}

std::string port_of(const std::string& address) { return address.substr(address.rfind(':') + 1); }

}  // namespace

Controller::Controller(Options options) : options_(std::move(options)) {}
Controller::~Controller() = default;

void Controller::stop() {
  stopping_ = true;
  wakeup_.wake();
}

int Controller::run() {
  std::string problem;
  if (!start(problem)) {
    std::fprintf(stderr, "headgate-controller: %s\n", problem.c_str());
    return 1;
  }
  HG_LOG(kInfo, kControl, "serving", {"stream", options_.stream_address}, {"admin", options_.admin_address});
  while (!stopping_) {
    counts_.turned_at_ns.store(system_clock().now().time_since_epoch().count(), std::memory_order_relaxed);
    step();
    wakeup_.wait(std::chrono::duration_cast<std::chrono::milliseconds>(kFileInterval));
  }
  HG_LOG(kInfo, kControl, "stopping");
  // First what others wait for: the Lease, so that the next leader writes at once.
  if (lease_ != nullptr) lease_->stop();
  if (injection_ != nullptr) injection_->stop();
  if (cluster_ != nullptr) cluster_->stop();
  if (writer_ != nullptr) writer_->stop();
  if (events_ != nullptr) events_->stop();
  if (admin_ != nullptr) admin_->stop();
  if (trust_ != nullptr) trust_->serve(nullptr);
  server_.reset();
  return 0;
}

bool Controller::start(std::string& problem) {
  if (!options_.config.empty()) file_.emplace(options_.config);
  if (options_.kubernetes && !start_kubernetes(problem)) return false;
  return start_server(problem) && start_injection(problem) && start_admin(problem);
}

bool Controller::start_kubernetes(std::string& problem) {
  auto config = kube::find_config(options_.kubeconfig, options_.context, problem);
  if (!config) return false;
  transport_ = std::make_unique<kube::Transport>(std::move(*config));
  const std::string identity = (options_.pod_name.empty() ? "headgate-controller" : options_.pod_name) + "_" +
                               std::to_string(system_clock().wall().time_since_epoch().count());

  kube::LeaseOptions lease{.name_space = options_.pod_namespace, .name = options_.lease, .identity = identity};
  std::string address;
  if (!options_.pod_address.empty()) {
    const bool v6 = options_.pod_address.find(':') != std::string::npos;
    address = (v6 ? "[" + options_.pod_address + "]" : options_.pod_address) + ":" + port_of(options_.stream_address);
    lease.annotations[kStreamAnnotation] = address;
  }
  leadership_.emplace(identity, std::move(address));
  lease_ = std::make_unique<kube::Lease>(*transport_, std::move(lease), [this](bool) { wakeup_.wake(); });
  events_ = std::make_unique<kube::EventRecorder>(
      *transport_, kube::EventOptions{.controller = options_.translation.controller, .instance = identity});
  status::WriterOptions writer{.addresses = options_.publish_addresses, .service = split(options_.publish_service)};
  writer.nodes = options_.publish_addresses.empty() && options_.publish_service.empty();
  writer_ = std::make_unique<status::Writer>(*transport_, *events_, writer, [this] { return lease_->leads(); });
  cluster_ = std::make_unique<KubernetesSource>(
      *transport_, KubernetesSourceOptions{.namespaces_watched = options_.watch_namespaces,
                                           .own_namespace = options_.pod_namespace,
                                           .nodes = writer.nodes,
                                           .namespaces = !options_.webhook_address.empty(),
                                           .on_change = [this] { wakeup_.wake(); },
                                           .listeners = {writer_.get()}});
  return true;
}

bool Controller::start_server(std::string& problem) {
  publish::ServerOptions server;
  server.address = options_.stream_address;
  server.id = options_.pod_name.empty() ? "headgate-controller" : options_.pod_name;
  server.plaintext = options_.insecure;
  server.on_change = [this](const publish::FactsPtr&) {
    facts_changed_ = true;
    wakeup_.wake();
  };
  // Whoever asks for no set by name gets the cluster's, or the file's where there is no cluster.
  server.choose_set = [this](const control::v1::Node& node, const publish::Caller&) -> Result<std::string> {
    if (!node.config().empty()) return node.config();
    return std::string(options_.kubernetes ? kClusterSet : kFileSet);
  };
  translate::Settings settings = options_.translation;
  if (!options_.insecure) {
    TrustOptions trust{.options = &options_};
    if (options_.kubernetes) {
      trust.secrets = identity::make_kubernetes_secret_store(*transport_, options_.pod_namespace);
      trust.reviewer = identity::make_kubernetes_token_reviewer(*transport_);
      trust.publish_roots = identity::kubernetes_roots_publisher(*transport_, options_.pod_namespace);
      trust.standing = [this](const publish::Caller& caller) { return cluster_->standing(caller); };
    } else {
      trust.secrets = std::make_unique<identity::FileSecretStore>(options_.state_dir);
    }
    if (!options_.client_ca.empty()) {
      const auto pem = read_file(options_.client_ca);
      if (!pem) {
        problem = "-client-ca " + options_.client_ca + ": " + pem.error().detail;
        return false;
      }
      trust.client_ca_pem = *pem;
    }
    trust_ = std::make_unique<Trust>(std::move(trust));
    // Whoever is first makes it: saving is atomic, so that two replicas cannot both.
    if (const auto ready = trust_->refresh(true); !ready) {
      problem = "the authority: " + to_string(ready.error());
      return false;
    }
    trust_checked_ = system_clock().now();
    if (options_.kubernetes) {
      const auto fallback = trust_->fallback_certificate();
      if (!fallback) {
        problem = "the default certificate: " + to_string(fallback.error());
        return false;
      }
      settings.fallback_chain_pem = fallback->chain_pem;
      settings.fallback_key_pem = fallback->key_pem;
    }
    server.certificate = trust_->certificate();
    server.authenticator = trust_->authenticator();
    server.services = trust_->services();
  }
  server_ = publish::Server::start(std::move(server), problem);
  if (server_ == nullptr) return false;
  if (trust_ != nullptr) trust_->serve(server_.get());
  if (!options_.kubernetes) return true;
  translator_ = std::make_unique<translate::Translator>(std::move(settings));
  const auto started = [&](const char* what, const Result<void>& result) {
    if (!result) problem = std::string(what) + ": " + to_string(result.error());
    return result.has_value();
  };
  return started("events", events_->start()) && started("status", writer_->start()) &&
         started("watches", cluster_->start()) && started("lease", lease_->start());
}

bool Controller::start_injection(std::string& problem) {
  if (options_.webhook_address.empty()) return true;
  injection_ = std::make_unique<Injection>(options_, *transport_, *cluster_, trust_->authority(), *events_);
  problem = injection_->start(options_.webhook_address);
  return problem.empty();
}

bool Controller::start_admin(std::string& problem) {
  if (options_.admin_address == "off") return true;
  admin_ = std::make_unique<admin::Admin>(counts_, [this] { return state(); });
  problem = admin_->start(options_.admin_address);
  if (problem.empty()) return true;
  problem = "-admin-address: " + problem;
  return false;
}

void Controller::step() {
  poll_file();
  translate_world();
  if (facts_changed_.exchange(false)) tell_rejects();
  follow_leader();
  if (trust_ != nullptr) refresh_trust();
}

// Each minute, and at once when we begin or cease to lead.
void Controller::refresh_trust() {
  const MonotonicTime now = system_clock().now();
  const bool leads = lease_ == nullptr || lease_->leads();
  if (now - trust_checked_ < identity::Authority::kRefreshInterval && leads == led_) return;
  trust_checked_ = now;
  led_ = leads;
  if (const auto ready = trust_->refresh(leads); !ready) {
    HG_LOG(kWarn, kControl, "the authority could not be refreshed", {"error", to_string(ready.error())});
  }
  if (injection_ == nullptr) return;
  if (const auto ready = injection_->refresh(leads); !ready) {
    HG_LOG(kWarn, kControl, "the webhook could not be refreshed", {"error", to_string(ready.error())});
  }
}

void Controller::poll_file() {
  if (!file_) return;
  const MonotonicTime now = system_clock().now();
  if (now - file_checked_ < kFileInterval) return;
  file_checked_ = now;
  std::vector<std::string> problems;
  const auto output = file_->poll(problems);
  for (const std::string& problem : problems) HG_LOG(kWarn, kConfig, "configuration file", {"problem", problem});
  if (output != nullptr) {
    ++counts_.file_reads;
    server_->publish(kFileSet, output);
  } else if (!problems.empty()) {
    ++counts_.file_failures;
  }
}

void Controller::translate_world() {
  if (cluster_ == nullptr || !cluster_->synced()) return;
  const uint64_t changes = cluster_->changes();
  if (changes == translated_changes_) return;
  const MonotonicTime began = system_clock().now();
  // Frozen after the count was read: a change in between is seen now and looked at once more.
  const translate::Output& output = translator_->update(cluster_->freeze());
  const bool first = translated_changes_ == UINT64_MAX;
  translated_changes_ = changes;
  const translate::Output::Changes seen = std::exchange(seen_, output.changes);
  if (first || seen.resources != output.changes.resources) {
    auto published = std::make_shared<translate::Output>();
    published->resources = output.resources;
    server_->publish(kClusterSet, std::move(published));
  }
  if (first || seen.admitted != output.changes.admitted) writer_->set_admitted(output.admitted);
  if (first || seen.notes != output.changes.notes) writer_->set_notes(output.notes);
  ++counts_.translations;
  counts_.translate_nanoseconds += static_cast<uint64_t>((system_clock().now() - began).count());
  counts_.resources = output.resources.size();
  counts_.notes = output.notes.size();
}

void Controller::tell_rejects() {
  if (writer_ == nullptr) return;
  std::vector<control::v1::Reject> rejects;
  for (const publish::FactsPtr& facts : server_->facts()) {
    rejects.insert(rejects.end(), facts->rejects().begin(), facts->rejects().end());
  }
  writer_->set_rejects(rejects);
}

void Controller::follow_leader() {
  if (lease_ == nullptr) return;
  const Leadership::Change change = leadership_->look(lease_->leads(), lease_->leader());
  if (change.leads) writer_->on_leadership();
  // A relay outlives several roots: what it begins with must be what the leader's certificate leads to.
  const std::string roots = trust_ == nullptr ? "" : trust_->authority().roots_pem();
  const bool other_roots = std::exchange(relay_roots_, roots) != roots && !leadership_->target().empty();
  if (!change.target && !other_roots) return;
  HG_LOG(kInfo, kControl, "relay",
         {"leader", leadership_->target().empty() ? "none to follow" : leadership_->target()});
  server_->follow(leadership_->target(), roots, trust_ == nullptr ? "" : trust_->server_name());
}

admin::Admin::State Controller::state() const {
  admin::Admin::State state;
  state.leads = lease_ != nullptr && lease_->leads();
  state.proxies = server_->facts();
  if (file_ && counts_.file_reads == 0) state.waiting_for = "a configuration file without errors";
  if (cluster_ != nullptr) {
    if (counts_.translations == 0) state.waiting_for = "the first lists of the API server";
    for (const auto& [kind, counts] : cluster_->counts()) {
      const std::string name(world::kind_name(kind));
      state.samples.push_back({"headgate_controller_watch_events_total", "Changes that watches told.", true,
                               {{"kind", name}}, static_cast<double>(counts.events)});
      if (!counts.synced) state.waiting_for = "the list of " + name;
    }
    for (const auto& [kind, counts] : cluster_->counts()) {
      state.samples.push_back({"headgate_controller_watch_failures_total", "Lists and watches that failed.", true,
                               {{"kind", std::string(world::kind_name(kind))}}, static_cast<double>(counts.failures)});
    }
    const status::WriterCounts written = writer_->counts();
    state.samples.push_back({"headgate_controller_status_writes_total", "Statuses of Ingresses that were written.",
                             true, {}, static_cast<double>(written.written)});
    state.samples.push_back({"headgate_controller_status_failures_total", "Those that failed, each tried again.",
                             true, {}, static_cast<double>(written.failed)});
    const kube::EventCounts events = events_->counts();
    state.samples.push_back({"headgate_controller_events_total", "Kubernetes Events that were written.", true, {},
                             static_cast<double>(events.written)});
    state.samples.push_back({"headgate_controller_events_dropped_total", "Events that were not: too many at once.",
                             true, {}, static_cast<double>(events.dropped + events.limited)});
  }
  if (trust_ != nullptr) {
    for (auto& sample : trust_->samples()) state.samples.push_back(std::move(sample));
  }
  if (injection_ != nullptr) {
    for (const auto& [key, count] : injection_->counts()) {
      state.samples.push_back({"headgate_injections_total", "Pods that the webhook was asked about.", true,
                               {{"result", key.first}, {"reason", key.second}}, static_cast<double>(count)});
    }
  }
  state.ready = state.waiting_for.empty();
  return state;
}

}  // namespace headgate::controller
