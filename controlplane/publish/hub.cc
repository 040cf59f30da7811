#include "controlplane/publish/hub.h"

#include <algorithm>

#include "dataplane/base/log.h"

namespace headgate::publish {

using control::v1::ClientMessage;
using control::v1::ProxyFacts;
using control::v1::ServerMessage;

namespace {

constexpr size_t kMaxUnauthenticated = 1024;
constexpr Duration kHelloLimit = std::chrono::seconds(10);
constexpr MonotonicTime kNever = MonotonicTime::max();

}  // namespace

Hub::Hub(ServerOptions options) : options_(std::move(options)) {
  thread_ = std::thread([this] { run(); });
  authentication_ = std::thread([this] { run_authentication(); });
}

Hub::~Hub() { stop(); }

void Hub::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
  }
  wake_.notify_all();
  wake_authentication_.notify_all();
  thread_.join();
  authentication_.join();
}

// -- threads ----------------------------------------------------------------------------------------------------------

void Hub::post(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  wake_.notify_one();
}

void Hub::run() {
  std::vector<std::function<void()>> tasks;
  for (;;) {
    const MonotonicTime next = run_due(system_clock().now());
    {
      std::unique_lock lock(mutex_);
      const auto ready = [&] { return stopping_ || !tasks_.empty(); };
      if (next == kNever) {
        wake_.wait(lock, ready);
      } else {
        wake_.wait_until(lock, next, ready);
      }
      if (stopping_ && tasks_.empty()) break;
      tasks.swap(tasks_);
    }
    for (const auto& task : tasks) task();
    tasks.clear();
  }
  while (!streams_.empty()) finish(streams_.begin()->first, EndCode::kUnavailable, "the controller stops", true);
}

void Hub::run_authentication() {
  for (;;) {
    std::vector<AuthenticationRequest> requests;
    {
      std::unique_lock lock(mutex_);
      wake_authentication_.wait(lock, [&] { return stopping_ || !unauthenticated_.empty(); });
      if (stopping_) return;
      requests.swap(unauthenticated_);
    }
    for (const AuthenticationRequest& request : requests) {
      Result<Caller> caller = options_.authenticator->authenticate(request.credentials);
      post([this, id = request.stream, caller = std::move(caller)] { admit(id, caller); });
    }
  }
}

// What time makes necessary; returns when it is needed next.
MonotonicTime Hub::run_due(MonotonicTime now) {
  MonotonicTime next = kNever;
  std::vector<uint64_t> slow;
  std::vector<uint64_t> silent;
  std::vector<uint64_t> mute;
  for (auto& [id, stream] : streams_) {
    if (stream.writing) {
      if (now - stream.write_began >= options_.slow_after) slow.push_back(id);
      next = std::min(next, stream.write_began + options_.slow_after);
    }
    if (stream.purpose == Purpose::kRelay) continue;
    if (stream.admitted && !stream.session.greeted()) {
      if (now - stream.opened >= kHelloLimit) mute.push_back(id);
      next = std::min(next, stream.opened + kHelloLimit);
      continue;
    }
    if (!stream.session.greeted() || stream.retiring) continue;
    if (const auto since = stream.session.unanswered_since()) {
      if (now - *since >= options_.unanswered_after) silent.push_back(id);
      next = std::min(next, *since + options_.unanswered_after);
    }
    if (stream.writing) continue;
    if (now >= stream.retire_at && !stream.session.unanswered_since()) {
      ServerMessage message;
      message.mutable_goodbye()->set_reason("the connection is old");
      stream.retiring = true;
      send(stream, message);
      continue;
    }
    if (stream.retire_at > now) next = std::min(next, stream.retire_at);  // else it waits for an Ack
    if (const auto due = stream.session.due()) {
      if (*due > now) {
        next = std::min(next, *due);
        continue;
      }
      std::string part = stream.session.take_part(now);
      if (part.empty()) continue;
      stream.writing = true;
      stream.write_began = now;
      next = std::min(next, now + options_.slow_after);
      stream.outlet->write(std::move(part));
    }
  }
  for (const uint64_t id : slow) finish(id, EndCode::kResourceExhausted, "the stream is read too slowly", true);
  for (const uint64_t id : silent) {
    if (streams_.contains(id)) finish(id, EndCode::kUnavailable, "a Push was not answered in time", true);
  }
  for (const uint64_t id : mute) finish(id, EndCode::kInvalidArgument, "no Hello", true);
  return next;
}

// -- the controller ---------------------------------------------------------------------------------------------------

void Hub::publish(std::string_view set, std::shared_ptr<const translate::Output> output) {
  post([this, name = std::string(set), output = std::move(output)] {
    ResourceSetPtr& current = sets_[name];
    current = ResourceSet::make(current, *output);
    {
      const std::lock_guard lock(facts_mutex_);
      digests_[name] = current->digest();
    }
    for (auto& [id, stream] : streams_) {
      if (stream.session.greeted() && stream.set == name) stream.session.want(current);
    }
  });
}

void Hub::withdraw(std::string_view set) {
  post([this, name = std::string(set)] {
    sets_.erase(name);
    {
      const std::lock_guard lock(facts_mutex_);
      digests_.erase(name);
    }
    std::vector<uint64_t> ended;
    for (auto& [id, stream] : streams_) {
      if (stream.session.greeted() && stream.set == name) ended.push_back(id);
    }
    for (const uint64_t id : ended) finish(id, EndCode::kUnavailable, "the set is gone");
  });
}

std::vector<FactsPtr> Hub::facts() const {
  std::vector<FactsPtr> list;
  const std::lock_guard lock(facts_mutex_);
  for (const auto& [id, known] : facts_) list.push_back(known.facts);
  return list;
}

std::vector<FactsPtr> Hub::own_facts() const {
  std::vector<FactsPtr> list;
  const std::lock_guard lock(facts_mutex_);
  for (const auto& [id, known] : facts_) {
    if (known.own) list.push_back(known.facts);
  }
  return list;
}

uint64_t Hub::digest(std::string_view set) const {
  const std::lock_guard lock(facts_mutex_);
  const auto known = digests_.find(set);
  return known == digests_.end() ? 0 : known->second;
}

size_t Hub::streams() const {
  const std::lock_guard lock(mutex_);
  return open_;
}

void Hub::set_relay(std::function<void(const FactsPtr&)> relay) {
  post([this, relay = std::move(relay)]() mutable { relay_ = std::move(relay); });
}

// The same node may have two streams while one of them is dying, here or at another replica: the later one speaks for
// it, and the end of the other one means nothing.
void Hub::tell(uint64_t id, const ProxyFacts& facts, bool own) {
  auto shared = std::make_shared<const ProxyFacts>(facts);
  {
    const std::lock_guard lock(facts_mutex_);
    const auto known = facts_.find(facts.node().id());
    if (own && known != facts_.end() && known->second.own && known->second.stream > id) return;
    if (facts.gone()) {
      if (known == facts_.end() || known->second.stream != id) return;
      facts_.erase(known);
    } else {
      facts_[facts.node().id()] = {id, shared, own};
    }
  }
  if (own && relay_) relay_(shared);
  if (options_.on_change) options_.on_change(shared);
}

void Hub::forget(uint64_t id) {
  std::vector<ProxyFacts> gone;
  {
    const std::lock_guard lock(facts_mutex_);
    for (const auto& [node, known] : facts_) {
      if (known.stream == id) gone.push_back(*known.facts);
    }
  }
  const bool own = streams_.at(id).purpose == Purpose::kStream;
  for (ProxyFacts& facts : gone) {
    facts.set_gone(true);
    tell(id, facts, own);
  }
}

// -- streams ----------------------------------------------------------------------------------------------------------

uint64_t Hub::open(Outlet& outlet, Credentials credentials, Purpose purpose) {
  uint64_t id = 0;
  bool full = false;
  {
    const std::lock_guard lock(mutex_);
    id = ++next_id_;
    ++open_;
    full = open_ > options_.max_streams || unauthenticated_.size() >= kMaxUnauthenticated || stopping_;
  }
  post([this, id, full, purpose, out = &outlet, shown = std::move(credentials)]() mutable {
    Stream& stream = streams_.emplace(id, Stream(*out, purpose, options_.id)).first->second;
    stream.address = shown.address;
    stream.opened = system_clock().now();
    // Streams that began together must not end together.
    const auto age = std::chrono::duration_cast<Duration>(options_.max_connection_age);
    const auto spread = static_cast<uint64_t>(std::max<int64_t>(age.count() / 5, 1));
    stream.retire_at = stream.opened + age - age / 10 + Duration(static_cast<int64_t>(random_.below(spread)));
    if (full) {
      finish(id, EndCode::kUnavailable, "too many streams");
    } else if (options_.authenticator == nullptr) {
      Caller anybody;
      anybody.part = purpose == Purpose::kRelay ? Caller::Part::kReplica : Caller::Part::kDataplane;
      admit(id, anybody);
    } else {
      {
        const std::lock_guard lock(mutex_);
        unauthenticated_.push_back({id, std::move(shown)});
      }
      wake_authentication_.notify_one();
    }
  });
  return id;
}

void Hub::admit(uint64_t id, const Result<Caller>& caller) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  Stream& stream = found->second;
  if (!caller) {
    const bool denied = caller.error().code == Errc::kDenied;
    HG_LOG(kWarn, kControl, "stream refused", {"address", stream.address}, {"error", to_string(caller.error())});
    finish(id, denied ? EndCode::kUnauthenticated : EndCode::kUnavailable,
           denied || caller.error().code == Errc::kNotFound ? caller.error().detail
                                                            : "the caller could not be authenticated now");
    return;
  }
  stream.caller = *caller;
  if ((stream.purpose == Purpose::kRelay) != (caller->part == Caller::Part::kReplica)) {
    finish(id, EndCode::kPermissionDenied, "not a call for this kind of caller");
    return;
  }
  stream.admitted = true;
  stream.outlet->read();
}

void Hub::on_message(uint64_t id, std::string bytes) {
  post([this, id, bytes = std::move(bytes)] {
    const auto found = streams_.find(id);
    if (found == streams_.end()) return;
    if (found->second.purpose == Purpose::kRelay) {
      on_relayed(id, found->second, bytes);
    } else {
      on_client_message(id, found->second, bytes);
    }
  });
}

void Hub::on_client_message(uint64_t id, Stream& stream, const std::string& bytes) {
  ClientMessage message;
  bool ok = message.ParseFromString(bytes);
  std::string problem = ok ? "" : "a message that is no ClientMessage";
  if (ok) {
    switch (message.message_case()) {
      case ClientMessage::kHello:
        if (!on_hello(id, stream, std::move(*message.mutable_hello()))) return;
        break;
      case ClientMessage::kAck: ok = stream.session.on_ack(std::move(*message.mutable_ack())); break;
      case ClientMessage::kReport: ok = stream.session.on_report(message.report()); break;
      case ClientMessage::kPong: break;
      case ClientMessage::MESSAGE_NOT_SET: break;  // of a later version
    }
    if (!ok) problem = stream.session.problem();
  }
  if (!ok) {
    HG_LOG(kWarn, kControl, "stream violates the protocol", {"node", stream.session.facts().node().id()},
           {"address", stream.address}, {"problem", problem});
    finish(id, EndCode::kInvalidArgument, problem, true);
    return;
  }
  if (stream.session.greeted()) tell(id, stream.session.facts(), true);
  stream.outlet->read();
}

std::string Hub::contradiction(const control::v1::Node& node, const Caller& caller) {
  // What it does not claim it cannot claim wrongly: the credentials say it.
  const auto differs = [](const std::string& known, const std::string& claimed) {
    return !known.empty() && !claimed.empty() && known != claimed;
  };
  if (differs(caller.namespace_name, node.namespace_())) return "namespace";
  if (differs(caller.service_account, node.service_account())) return "service_account";
  if (differs(caller.pod, node.pod())) return "pod";
  if (differs(caller.pod_uid, node.pod_uid())) return "pod_uid";
  return "";
}

void Hub::fill_in(const Caller& caller, control::v1::Node& node) {
  if (!caller.namespace_name.empty()) node.set_namespace_(caller.namespace_name);
  if (!caller.service_account.empty()) node.set_service_account(caller.service_account);
  if (!caller.pod.empty()) node.set_pod(caller.pod);
  if (!caller.pod_uid.empty()) node.set_pod_uid(caller.pod_uid);
}

Result<std::string> Hub::chosen_set(const control::v1::Node& node, const Caller& caller) const {
  if (options_.choose_set) return options_.choose_set(node, caller);
  if (!node.config().empty()) return node.config();
  if (sets_.size() == 1) return sets_.begin()->first;
  return Error{.code = sets_.empty() ? Errc::kNotFound : Errc::kDenied, .detail = "Node.config must name a set"};
}

bool Hub::on_hello(uint64_t id, Stream& stream, control::v1::Hello hello) {
  const std::string lie = contradiction(hello.node(), stream.caller);
  if (!lie.empty()) {
    HG_LOG(kWarn, kControl, "stream refused: the node claims what its credentials do not say", {"field", lie},
           {"node", hello.node().id()}, {"address", stream.address});
    finish(id, EndCode::kPermissionDenied, "Node." + lie + " is not that of the credentials");
    return false;
  }
  const auto set = chosen_set(hello.node(), stream.caller);
  const auto found = set ? sets_.find(*set) : sets_.end();
  if (!set && set.error().code == Errc::kDenied) {
    finish(id, EndCode::kPermissionDenied, set.error().detail);
    return false;
  }
  // A dataplane that asks too early must not be told that everything it has is gone.
  if (found == sets_.end()) {
    finish(id, EndCode::kUnavailable, "not synchronized yet");
    return false;
  }
  fill_in(stream.caller, *hello.mutable_node());
  if (!stream.session.on_hello(std::move(hello))) {
    finish(id, EndCode::kInvalidArgument, stream.session.problem());
    return false;
  }
  stream.set = *set;
  stream.session.facts().set_set(*set);
  stream.session.want(found->second);
  HG_LOG(kInfo, kControl, "dataplane connected", {"node", stream.session.facts().node().id()},
         {"address", stream.address}, {"set", stream.set});
  ServerMessage welcome;
  welcome.mutable_welcome()->set_server_id(options_.id);
  welcome.mutable_welcome()->set_server_version(options_.version);
  send(stream, welcome);
  return true;
}

void Hub::on_relayed(uint64_t id, Stream& stream, const std::string& bytes) {
  ProxyFacts facts;
  if (!facts.ParseFromString(bytes) || (!facts.complete() && facts.node().id().empty())) {
    finish(id, EndCode::kInvalidArgument, "no ProxyFacts", true);
    return;
  }
  if (!facts.complete()) tell(id, facts, false);
  stream.outlet->read();
}

void Hub::send(Stream& stream, const google::protobuf::Message& message) {
  stream.writing = true;
  stream.write_began = system_clock().now();
  stream.outlet->write(message.SerializeAsString());
}

void Hub::on_written(uint64_t id) {
  post([this, id] {
    const auto found = streams_.find(id);
    if (found == streams_.end()) return;
    found->second.writing = false;
    if (found->second.retiring) finish(id, EndCode::kOk, "");
  });
}

void Hub::on_gone(uint64_t id) {
  post([this, id] {
    if (streams_.contains(id)) finish(id, EndCode::kUnavailable, "the stream is closed", true);
  });
}

void Hub::finish(uint64_t id, EndCode code, const std::string& reason, bool at_once) {
  const auto found = streams_.find(id);
  Stream& stream = found->second;
  if (stream.session.greeted()) {
    HG_LOG(kInfo, kControl, "dataplane disconnected", {"node", stream.session.facts().node().id()}, {"reason", reason});
  }
  forget(id);
  Outlet* const outlet = stream.outlet;
  streams_.erase(found);
  {
    const std::lock_guard lock(mutex_);
    --open_;
  }
  outlet->finish(code, reason, at_once);
}

}  // namespace headgate::publish
