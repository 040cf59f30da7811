#include "dataplane/control/remote_config.h"

#include <algorithm>
#include <ctime>

#include "dataplane/base/log.h"
#include "dataplane/control/last_good.h"
#include "dataplane/control/load_memory.h"

namespace headgate::control {

namespace cv = control::v1;

namespace {

// After so many resources at once, what they passed through on their way is given back to the system.
constexpr size_t kManyResources = 1'000;

}  // namespace

RemoteConfig::RemoteConfig(event::Loop& loop, Publisher& publisher, SocketBroker& broker, LinkOpener& opener,
                           cv::Node node, RemoteOptions options, RemoteConfigObserver& observer)
    : loop_(loop),
      publisher_(publisher),
      options_(std::move(options)),
      observer_(observer),
      source_(loop, opener, std::move(node), *this),
      pump_timer_(loop.timers(), event::Timer::call<&RemoteConfig::pump>, this),
      alone_timer_(loop.timers(), event::Timer::call<&RemoteConfig::on_alone>, this),
      stale_timer_(loop.timers(), event::Timer::call<&RemoteConfig::on_stale>, this),
      retry_timer_(loop.timers(), event::Timer::call<&RemoteConfig::on_retry>, this),
      save_timer_(loop.timers(), event::Timer::call<&RemoteConfig::save>, this),
      writer_(loop, broker, options_.state_dir, options_.persist_secrets, [this] { on_saved(); }) {}

RemoteConfig::~RemoteConfig() = default;

void RemoteConfig::start(std::string_view kept, std::shared_ptr<config::v1::ResourceSet> base, Publisher::Done done) {
  last_good_ = load(kept);
  alone_timer_.arm(options_.alone_after);
  stale_timer_.arm(kStaleAfter);
  source_.start();
  set_base(std::move(base), std::move(done));
}

bool RemoteConfig::load(std::string_view kept) {
  std::string bytes(kept);
  if (!is_last_good(bytes) && !options_.state_dir.empty()) {
    auto read = read_last_good(options_.state_dir);
    if (!read) {
      if (read.error().code != Errc::kNotFound) {
        HG_LOG(kWarn, kControl, "the last-good file cannot be used", {"error", to_string(read.error())});
      }
      return false;
    }
    bytes = std::move(*read);
  }
  if (bytes.empty()) return false;
  auto push = decode_last_good(bytes);
  if (!push) {
    HG_LOG(kWarn, kControl, "the last-good file cannot be used", {"error", to_string(push.error())});
    return false;
  }
  const int resources = push->upsert_size();
  push->set_push_id(1);
  push->set_more(false);
  if (!store_.stage(std::move(*push))) {
    HG_LOG(kWarn, kControl, "the last-good file cannot be used", {"error", store_.problem()});
    return false;
  }
  HG_LOG(kInfo, kControl, "last-good resources loaded", {"resources", resources});
  return true;
}

void RemoteConfig::set_base(std::shared_ptr<config::v1::ResourceSet> base, Publisher::Done done) {
  next_base_ = std::move(base);
  base_waits_ = true;
  base_done_.push_back(std::move(done));
  pump();
}

void RemoteConfig::republish() {
  build_waits_ = true;
  pump();
}

// -- trials -----------------------------------------------------------------------------------------------------------------

void RemoteConfig::pump() {
  if (trying_ || !(base_waits_ || build_waits_ || store_.has_whole_push())) return;
  if (publisher_.busy()) {
    pump_timer_.arm(std::chrono::milliseconds(10));
    return;
  }
  trying_ = true;
  build_waits_ = false;
  trying_base_ = std::exchange(base_waits_, false);
  trying_push_ = store_.has_whole_push();
  if (trying_base_) store_.set_base(next_base_);
  if (!store_.begin(std::time(nullptr))) {
    HG_LOG(kError, kControl, "resources of the controller contradict each other; what served before stays");
  }
  attempt();
}

void RemoteConfig::attempt() {
  publisher_.publish(store_.view(), [this](const PublishOutcome& outcome) { on_outcome(outcome); });
}

void RemoteConfig::on_outcome(const PublishOutcome& outcome) {
  if (outcome.in_force) return finish_trial(outcome);
  std::vector<check::Problem> problems;
  for (const check::Problem& problem : outcome.problems) {
    if (problem.severity == check::Severity::kError) problems.push_back(problem);
  }
  for (size_t i = 0; i < outcome.unbound.size(); ++i) {
    problems.push_back({.kind = check::Kind::kListener,
                        .resource = outcome.unbound[i],
                        .field_path = "address",
                        .rule = "bind",
                        .message = outcome.failures[i]});
  }
  if (store_.blame(problems)) return attempt();
  finish_trial(outcome);
}

void RemoteConfig::finish_trial(const PublishOutcome& outcome) {
  if (outcome.in_force) {
    if (store_.on_trial()) store_.commit();
    if (trying_base_) base_ = next_base_;
    for (const std::string& failure : outcome.failures) HG_LOG(kError, kControl, failure);
    observer_.on_remote_applied(store_.view().settings());
  } else {
    std::string why = outcome.failures.empty() ? "cannot be built" : outcome.failures.front();
    for (const check::Problem& problem : outcome.problems) {
      if (problem.severity == check::Severity::kError) why = check::to_string(problem);
    }
    HG_LOG(kError, kControl, "refused; what served before stays", {"reason", why});
    if (store_.on_trial()) store_.refuse(why);
    if (trying_base_) store_.set_base(base_);
  }
  trying_ = false;
  if (std::exchange(trying_push_, false)) {
    if (push_completes_ && push_stream_ != 0) complete_ = true;
    answer();
    save_later();
  }
  report_listeners();
  const auto rejects = store_.rejects();
  const bool unbound = std::any_of(rejects.begin(), rejects.end(), [](const auto& one) { return one.rule() == "bind"; });
  if (!unbound) {
    retry_timer_.cancel();
  } else if (!retry_timer_.armed()) {
    retry_timer_.arm(kRetry);
  }
  if (std::exchange(trying_base_, false)) {
    for (const Publisher::Done& done : std::exchange(base_done_, {})) done(outcome);
  }
  if (complete_) become_ready();
  pump();
}

// The Ack of the Push, if the stream it came on is still the one that is open.
void RemoteConfig::answer() {
  if (push_stream_ == 0) return;
  cv::Ack ack;
  ack.set_push_id(push_id_);
  for (cv::Reject& reject : store_.rejects()) {
    HG_LOG(kWarn, kControl, "resource rejected", {"kind", cv::Kind_Name(reject.key().kind())},
           {"name", reject.key().name()}, {"path", reject.field_path()}, {"rule", reject.rule()},
           {"problem", reject.message()}, {"kept_previous", reject.kept_previous() ? "yes" : "no"});
    *ack.add_rejects() = std::move(reject);
  }
  ack.set_digest(store_.digest());
  source_.acknowledge(push_stream_, ack);
}

void RemoteConfig::on_retry() { republish(); }

// -- stream -----------------------------------------------------------------------------------------------------------------

void RemoteConfig::fill_hello(cv::Hello& hello) {
  for (cv::KnownVersion& known : store_.known()) *hello.add_known() = std::move(known);
  for (cv::Reject& reject : store_.rejects()) *hello.add_open_rejects() = std::move(reject);
}

bool RemoteConfig::on_push(cv::Push part, std::string& problem) {
  const uint64_t id = part.push_id();
  const bool completes = part.initial_complete();
  unsaved_resources_ += static_cast<size_t>(part.upsert_size());
  if (!store_.stage(std::move(part))) {
    problem = "the controller violates the protocol: " + store_.problem();
    return false;
  }
  push_id_ = id;
  push_stream_ = source_.number();
  push_completes_ = completes;
  pump();
  return true;
}

void RemoteConfig::on_stream_open() {
  state_ = "connected";
  stale_timer_.cancel();
  publisher_.cap_dns_ttls(0);
  told_.clear();
  cv::Report report;
  report.set_lifecycle(draining_ ? cv::LIFECYCLE_DRAINING : ready_ ? cv::LIFECYCLE_READY : cv::LIFECYCLE_STARTING);
  source_.report(report);
  report_listeners();
}

void RemoteConfig::on_stream_closed(const std::string& reason) {
  state_ = reason;
  if (!stale_timer_.armed()) stale_timer_.arm(kStaleAfter);
  // Half a Push is worth nothing; a whole one that is on trial goes on, and what it brings is in the next Hello.
  if (!store_.has_whole_push()) store_.drop_staged();
}

void RemoteConfig::report_listeners() {
  if (!source_.open() || publisher_.current() == nullptr) return;
  std::map<std::string, cv::ListenerState> states;
  for (const auto& listener : publisher_.current()->listeners) {
    if (!store_.has({cv::KIND_LISTENER, listener->name})) continue;  // of the file
    states[listener->name].set_state(cv::ListenerState::BOUND);
  }
  for (const cv::Reject& reject : store_.rejects()) {
    if (reject.rule() != "bind") continue;
    cv::ListenerState& state = states[reject.key().name()];
    state.set_state(cv::ListenerState::BIND_FAILED);
    state.set_message(reject.message());
  }
  cv::Report report;
  for (auto& [name, state] : states) {
    state.set_name(name);
    if (draining_ && state.state() == cv::ListenerState::BOUND) state.set_state(cv::ListenerState::DRAINING);
    std::string bytes = state.SerializeAsString();
    if (std::exchange(told_[name], bytes) != bytes) *report.add_listeners() = state;
  }
  std::erase_if(told_, [&](const auto& one) { return !states.contains(one.first); });
  if (report.listeners_size() > 0) source_.report(report);
}

// -- readiness --------------------------------------------------------------------------------------------------------------

void RemoteConfig::become_ready() {
  if (std::exchange(ready_, true)) return;
  alone_timer_.cancel();
  if (!draining_) {
    cv::Report report;
    report.set_lifecycle(cv::LIFECYCLE_READY);
    source_.report(report);
  }
  observer_.on_remote_ready();
}

void RemoteConfig::on_alone() {
  const bool serves = publisher_.current() != nullptr && !publisher_.current()->listeners.empty();
  if (!serves && !last_good_) {
    HG_LOG(kWarn, kControl, "nothing to serve before the controller answers", {"reason", state_});
    alone_timer_.arm(options_.alone_after);
    return;
  }
  HG_LOG(kWarn, kControl, "no complete configuration from the controller yet; ready with what there is",
         {"reason", state_});
  become_ready();
}

void RemoteConfig::on_stale() { publisher_.cap_dns_ttls(kStaleTtl); }

void RemoteConfig::tell_draining() {
  draining_ = true;
  if (save_timer_.armed() || writer_.busy()) {  // there may be no later
    writer_.finish();
    save_timer_.cancel();
    save();
    writer_.finish();
  }
  cv::Report report;
  report.set_lifecycle(cv::LIFECYCLE_DRAINING);
  source_.report(report);
  report_listeners();
}

// -- last good --------------------------------------------------------------------------------------------------------------

void RemoteConfig::save_later() {
  const MonotonicTime now = loop_.now();
  if (!save_timer_.armed()) unsaved_since_ = now;
  save_timer_.arm_at(std::min(now + kSaveAfter, unsaved_since_ + kSaveAtLatest));
}

void RemoteConfig::save() {
  if (writer_.busy()) return save_timer_.arm(kSaveAfter);  // what it began with is older
  writer_.start(store_.stored());
}

void RemoteConfig::on_saved() {
  if (std::exchange(unsaved_resources_, 0) >= kManyResources) release_load_memory();
}

}  // namespace headgate::control
