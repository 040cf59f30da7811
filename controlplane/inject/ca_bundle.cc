#include "controlplane/inject/ca_bundle.h"

#include "controlplane/inject/base64.h"
#include "controlplane/kube/backoff.h"
#include "controlplane/kube/json.h"
#include "dataplane/base/log.h"

namespace headgate::inject {
namespace {

constexpr const char* kCollection = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
constexpr const char* kSelector = "?labelSelector=headgate.dev%2Fwebhook%3Dtrue";
constexpr const char* kSuffix = ".headgate.dev";

}  // namespace

Json ca_bundle_patch(const Json& configuration, const std::string& bundle_base64) {
  Json patch = Json::array();
  const Json& webhooks = member(configuration, "webhooks");
  if (!webhooks.is_array()) return patch;
  for (size_t i = 0; i < webhooks.size(); ++i) {
    const std::string name = text_member(webhooks[i], "name");
    const Json& client = member(webhooks[i], "clientConfig");
    if (!name.ends_with(kSuffix) || !client.is_object() || text_member(client, "caBundle") == bundle_base64) continue;
    const std::string entry = "/webhooks/" + std::to_string(i);
    patch.push_back({{"op", "test"}, {"path", entry + "/name"}, {"value", name}});
    // "add" to an object replaces what is there.
    patch.push_back({{"op", "add"}, {"path", entry + "/clientConfig/caBundle"}, {"value", bundle_base64}});
  }
  return patch;
}

void CaBundle::set_roots(const std::string& roots_pem) {
  const std::lock_guard lock(mutex_);
  std::string bundle = encode_base64(roots_pem);
  if (bundle == bundle_) return;
  bundle_ = std::move(bundle);
  ++generation_;
  round_.request_stop();
  changed_.notify_all();
}

Result<void> CaBundle::start() {
  return thread_.start("ca-bundle", [this] { run(); });
}

void CaBundle::stop() {
  stop_.request_stop();
  {
    const std::lock_guard lock(mutex_);
    round_.request_stop();
  }
  thread_.join();
}

CaBundle::Counts CaBundle::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

// False: it is time to end.
bool CaBundle::wait_for_roots(std::string& bundle, uint64_t& seen, std::stop_token& round) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, stop_.get_token(), [this] { return !bundle_.empty(); });
  if (stop_.stop_requested()) return false;
  bundle = bundle_;
  seen = generation_;
  round_ = std::stop_source();
  round = round_.get_token();
  return true;
}

void CaBundle::run() {
  int tries = 0;
  MonotonicTime last_try{};
  std::string bundle;
  uint64_t seen = 0;
  uint64_t tried = 0;
  std::stop_token round;
  while (wait_for_roots(bundle, seen, round)) {
    std::string version;
    const Outcome outcome = synchronize(bundle, version);
    if (stop_.stop_requested()) return;
    const MonotonicTime now = system_clock().now();
    if (outcome == Outcome::kNothing) {
      wait_for_change(version, round);
      continue;
    }
    // New roots are a new start, and so is a calm time.
    if (seen != tried || now - last_try > options_.patience * 2) tries = 0;
    tried = seen;
    last_try = now;
    {
      const std::lock_guard lock(mutex_);
      ++(outcome == Outcome::kChanged ? counts_.written : counts_.failed);
    }
    kube::wait_for(++tries < kQuickTries ? options_.quick : options_.patience, round);
  }
}

CaBundle::Outcome CaBundle::synchronize(const std::string& bundle, std::string& version) {
  const kube::Rest rest(transport_, stop_.get_token(), {.tries = 1});
  const kube::Answer answer = rest.get(std::string(kCollection) + kSelector);
  if (!answer.ok()) {
    if (stop_.stop_requested()) return Outcome::kFailed;
    HG_LOG(kWarn, kControl, "webhook configurations cannot be read", {"reason", answer.why()});
    return Outcome::kFailed;
  }
  const Json list = kube::parse_json(answer.body);
  version = text_member(member(list, "metadata"), "resourceVersion");
  const Json& items = member(list, "items");
  Outcome outcome = Outcome::kNothing;
  for (size_t i = 0; items.is_array() && i < items.size(); ++i) {
    const Json patch = ca_bundle_patch(items[i], bundle);
    if (patch.empty()) continue;
    const std::string name = text_member(member(items[i], "metadata"), "name");
    const kube::Answer written = rest.patch(std::string(kCollection) + "/" + kube::encode_segment(name),
                                            kube::PatchType::kJson, kube::to_text(patch));
    if (written.ok()) {
      HG_LOG(kInfo, kControl, "webhook configuration has the roots now", {"name", name});
      if (outcome == Outcome::kNothing) outcome = Outcome::kChanged;
    } else {
      HG_LOG(kWarn, kControl, "webhook configuration cannot be changed", {"name", name}, {"reason", written.why()});
      outcome = Outcome::kFailed;
    }
  }
  return outcome;
}

// Returns at the first event, at the end of the watch, or when the roots have changed; what it was is looked up again.
void CaBundle::wait_for_change(const std::string& version, const std::stop_token& stop) {
  kube::HttpRequest request;
  request.target = std::string(kCollection) + kSelector +
                   "&watch=1&timeoutSeconds=300&resourceVersion=" + kube::encode_query(version);
  request.limit = Duration::zero();
  request.silence = std::chrono::seconds(330);
  const MonotonicTime began = system_clock().now();
  const auto response = transport_.stream(request, [](std::string_view) { return false; }, stop);
  const bool ended_at_once = system_clock().now() - began < std::chrono::seconds(1);
  const bool is_event = !response && response.error().code == Errc::kCanceled;
  if (ended_at_once && !is_event) kube::wait_for(std::chrono::seconds(5), stop);
}

}  // namespace headgate::inject
