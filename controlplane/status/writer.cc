#include "controlplane/status/writer.h"

#include "controlplane/kube/codec.h"
#include "controlplane/kube/kinds.h"
#include "controlplane/kube/patch.h"
#include "dataplane/base/log.h"
#include "kubernetes/networking.pb.h"

namespace headgate::status {
namespace {

using kube::Json;
using kube::ObjectKind;

constexpr Duration kLook = std::chrono::seconds(30);  // for notices that are due again

bool is_ready(const kubernetes::Pod& pod) {
  if (pod.status().phase() != "Running" || !pod.metadata().deletion_timestamp().empty()) return false;
  for (const auto& condition : pod.status().conditions()) {
    if (condition.type() == "Ready") return condition.status() == "True";
  }
  return false;
}

Addresses addresses_in(const Json& ingress) {
  Addresses addresses;
  const Json& list = kube::child_of(kube::child_of(kube::child_of(ingress, "status"), "loadBalancer"), "ingress");
  if (!list.is_array()) return addresses;
  for (const Json& entry : list) addresses.push_back({kube::text_at(entry, "ip"), kube::text_at(entry, "hostname")});
  return ordered(std::move(addresses));
}

void put_addresses(Json& ingress, const Addresses& addresses) {
  Json list = Json::array();
  for (const auto& address : addresses) {
    list.push_back(address.ip.empty() ? Json{{"hostname", address.hostname}} : Json{{"ip", address.ip}});
  }
  Json& status = ingress["status"];
  if (!status.is_object()) status = Json::object();
  status["loadBalancer"] = addresses.empty() ? Json::object() : Json{{"ingress", std::move(list)}};
}

Key key_of(const google::protobuf::Message& object) {
  const auto name = kube::name_of(object);
  return {std::string(name.name_space), std::string(name.name)};
}

const auto& ingress_of(const google::protobuf::Message& object) {
  return static_cast<const kubernetes::Ingress&>(object);
}

}  // namespace

Writer::Writer(kube::Transport& transport, kube::EventRecorder& events, WriterOptions options,
               std::function<bool()> leads, const Clock& clock)
    : options_(std::move(options)),
      leads_(std::move(leads)),
      clock_(clock),
      events_(events),
      rest_(transport, stop_.get_token(), {.tries = 2}) {
  refresh_addresses();
}

Result<void> Writer::start() {
  return thread_.start("status", [this] { run(); });
}

void Writer::stop() {
  stop_.request_stop();
  thread_.join();
}

WriterCounts Writer::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void Writer::enqueue(const std::vector<Key>& keys) {
  if (keys.empty()) return;
  queue_.insert(keys.begin(), keys.end());
  woken_ = true;
  changed_.notify_all();
}

void Writer::on_leadership() {
  const std::lock_guard lock(mutex_);
  queue_.clear();
  enqueue(ledger_.all_wrong());
  tell_due();
}

// What the queue of the recorder has no room for now is due again at the next look.
void Writer::tell_due() {
  if (!leads_()) return;
  for (Notices* notices : {&notes_, &rejects_}) tell(notices->due(clock_.now(), events_.room()));
}

void Writer::tell(std::vector<kube::Event> events) {
  for (auto& event : events) events_.record(std::move(event));
}

void Writer::set_admitted(const translate::Admitted& admitted) {
  std::vector<Key> came;
  std::vector<Key> went;
  const auto look = [&](const translate::ObjectRefPtr* old, const translate::ObjectRefPtr* now) {
    const control::v1::ObjectRef& object = **(old != nullptr ? old : now);
    if (object.kind() != "Ingress" || (old != nullptr && now != nullptr)) return;
    (now != nullptr ? came : went).emplace_back(object.namespace_(), object.name());
  };
  const std::lock_guard lock(mutex_);
  translate::Admitted::changes_between(admitted_, admitted, look);
  admitted_ = admitted;
  enqueue(ledger_.change_admitted(came, went));
}

void Writer::set_notes(const std::vector<translate::Note>& notes) {
  const std::lock_guard lock(mutex_);
  tell(notes_.set(notes, leads_() ? events_.room() : 0));
  tell_due();
}

void Writer::set_rejects(const std::vector<control::v1::Reject>& rejects) {
  std::vector<translate::Note> notes;
  for (const auto& reject : rejects) {
    for (auto& note : notes_of(reject)) notes.push_back(std::move(note));
  }
  const std::lock_guard lock(mutex_);
  tell(rejects_.set(notes, leads_() ? events_.room() : 0));
  tell_due();
}

void Writer::on_replace(ObjectKind kind, std::vector<kube::ObjectPtr> objects) {
  const std::lock_guard lock(mutex_);
  if (kind == ObjectKind::kIngress) {
    std::map<Key, Addresses> all;
    for (const auto& object : objects) {
      all.emplace(key_of(*object), addresses_of_status(ingress_of(*object).status().load_balancer()));
    }
    enqueue(ledger_.keep_only(all));
    return;
  }
  if (kind == ObjectKind::kService) service_addresses_ = Addresses();  // unless it is among them
  if (kind == ObjectKind::kNode) nodes_.clear();
  if (kind == ObjectKind::kPod) ready_pods_.clear();
  nodes_seen_ = nodes_seen_ || kind == ObjectKind::kNode;
  pods_seen_ = pods_seen_ || kind == ObjectKind::kPod;
  for (const auto& object : objects) see_object(kind, object);
  refresh_addresses();
}

void Writer::on_upsert(ObjectKind kind, kube::ObjectPtr object) {
  const std::lock_guard lock(mutex_);
  if (kind == ObjectKind::kIngress) {
    const Key key = key_of(*object);
    const auto wrong = ledger_.see(key, addresses_of_status(ingress_of(*object).status().load_balancer()));
    if (wrong.empty()) queue_.erase(key);
    enqueue(wrong);
    return;
  }
  see_object(kind, object);
  refresh_addresses();
}

void Writer::on_delete(ObjectKind kind, std::string_view name_space, std::string_view name) {
  const std::lock_guard lock(mutex_);
  const Key key(name_space, name);
  if (kind == ObjectKind::kIngress) ledger_.forget(key);
  if (kind == ObjectKind::kService && key == options_.service) service_addresses_ = Addresses();
  if (kind == ObjectKind::kNode) nodes_.erase(key.second);
  if (kind == ObjectKind::kPod) ready_pods_.erase(key);
  refresh_addresses();
}

// Of the kinds that our addresses are made of.
void Writer::see_object(ObjectKind kind, const kube::ObjectPtr& object) {
  const Key key = key_of(*object);
  if (kind == ObjectKind::kService && key == options_.service) {
    service_addresses_ = addresses_of_service(static_cast<const kubernetes::Service&>(*object));
  } else if (kind == ObjectKind::kNode) {
    nodes_[key.second] = addresses_of_node(static_cast<const kubernetes::Node&>(*object));
  } else if (kind == ObjectKind::kPod) {
    const auto& pod = static_cast<const kubernetes::Pod&>(*object);
    if (is_ready(pod)) {
      ready_pods_[key] = pod.spec().node_name();
    } else {
      ready_pods_.erase(key);
    }
  }
}

void Writer::refresh_addresses() {
  std::optional<Addresses> addresses;
  if (!options_.addresses.empty()) {
    addresses.emplace();
    for (const auto& text : options_.addresses) addresses->push_back(address_of(text));
    addresses = ordered(*std::move(addresses));
  } else if (!options_.service.second.empty()) {
    addresses = service_addresses_;
  } else if (options_.nodes && nodes_seen_ && pods_seen_) {
    addresses = addresses_of_nodes();
  }
  enqueue(ledger_.set_addresses(std::move(addresses)));
}

Addresses Writer::addresses_of_nodes() const {
  Addresses addresses;
  for (const auto& [pod, node] : ready_pods_) {
    const auto found = nodes_.find(node);
    if (found != nodes_.end()) addresses.insert(addresses.end(), found->second.begin(), found->second.end());
  }
  return ordered(std::move(addresses));
}

// The next that may be written now; else the time until one may be.
std::optional<Key> Writer::next_key(MonotonicTime now, Duration& pause) {
  pause = kLook;
  for (auto entry = queue_.begin(); entry != queue_.end(); ++entry) {
    const auto delayed = delayed_.find(*entry);
    if (delayed != delayed_.end() && delayed->second.until > now) {
      pause = std::min(pause, delayed->second.until - now);
      continue;
    }
    Key key = *entry;
    queue_.erase(entry);
    return key;
  }
  return std::nullopt;
}

void Writer::run() {
  const std::stop_token stop = stop_.get_token();
  const auto gap = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(1 / options_.writes_per_second));
  while (!stop.stop_requested()) {
    std::optional<Key> key;
    {
      std::unique_lock lock(mutex_);
      tell_due();
      Duration pause = kLook;
      if (leads_()) key = next_key(clock_.now(), pause);
      if (!key) {
        changed_.wait_for(lock, stop, pause, [this] { return std::exchange(woken_, false); });
        continue;
      }
    }
    write(*key);
    if (!kube::wait_for(gap, stop)) return;
  }
}

void Writer::write(const Key& key) {
  const std::string path = kube::object_path("networking.k8s.io", "v1", "ingresses", key.first, key.second);
  Addresses target;
  const auto outcome = kube::update(rest_, path, "/status", [&](Json& ingress) {
    const Addresses now = addresses_in(ingress);
    const std::lock_guard lock(mutex_);
    const auto wanted = ledger_.wanted(key, now);
    // Whoever wrote it meanwhile: what stands there counts, not what the watch told last.
    if (!wanted || *wanted == now || !leads_()) return false;
    target = *wanted;
    put_addresses(ingress, target);
    return true;
  });
  const std::lock_guard lock(mutex_);
  if (outcome.written) {
    ++counts_.written;
    ledger_.wrote(key, target);
    delayed_.erase(key);
  } else if (outcome.answer.ok()) {
    ++counts_.skipped;
    delayed_.erase(key);
  } else if (outcome.answer.code == 404) {
    delayed_.erase(key);  // the watch will tell
  } else if (!stop_.stop_requested()) {
    ++counts_.failed;
    auto& delayed = delayed_.try_emplace(key, Delayed{kube::Backoff(options_.backoff)}).first->second;
    delayed.until = clock_.now() + delayed.backoff.next(clock_.now());
    queue_.insert(key);
    HG_LOG(kWarn, kControl, "the status of an Ingress cannot be written", {"namespace", key.first},
           {"name", key.second}, {"error", outcome.answer.why()});
  }
}

}  // namespace headgate::status
