#include "controlplane/kube/lease.h"

#include <algorithm>

#include "controlplane/kube/kinds.h"
#include "controlplane/kube/timestamp.h"
#include "dataplane/base/log.h"

namespace headgate::kube {
namespace {

constexpr std::string_view kGroup = "coordination.k8s.io";
constexpr Duration kRequest = std::chrono::seconds(5);
constexpr Duration kShortestRequest = std::chrono::milliseconds(100);
constexpr Duration kRelease = std::chrono::seconds(3);

int64_t whole_seconds(Duration duration) { return std::chrono::duration_cast<std::chrono::seconds>(duration).count(); }

}  // namespace

Lease::Lease(Transport& transport, LeaseOptions options, OnChange on_change, const Clock& clock)
    : transport_(transport),
      options_(std::move(options)),
      on_change_(std::move(on_change)),
      clock_(clock),
      collection_("/apis/" + std::string(kGroup) + "/v1/namespaces/" + encode_segment(options_.name_space) + "/leases"),
      path_(object_path(kGroup, "v1", "leases", options_.name_space, options_.name)) {}

Result<void> Lease::start() {
  const bool sound = options_.duration > options_.renew_deadline && options_.renew_deadline > options_.retry * 6 / 5 &&
                     options_.retry > Duration::zero() && !options_.identity.empty();
  if (!sound) return Error{.code = Errc::kInvalid, .detail = "lease: duration > renew deadline > 1.2 * retry"};
  return thread_.start("lease", [this] {
    const std::stop_token stop = stop_.get_token();
    do {
      tick();
    } while (
        wait_for(options_.retry + std::chrono::duration_cast<Duration>(options_.retry * (random_.unit() / 5)), stop));
  });
}

void Lease::stop() {
  stop_.request_stop();
  thread_.join();
  if (leads()) release();
  set_leading(false);
}

bool Lease::leads() const {
  const std::lock_guard lock(mutex_);
  return leading_ && clock_.now() - renewed_at_ < options_.renew_deadline;
}

Lease::Leader Lease::leader() const {
  const std::lock_guard lock(mutex_);
  return leader_;
}

// A request must not outlive our right to lead.
Rest Lease::rest() const {
  Duration limit = kRequest;
  {
    const std::lock_guard lock(mutex_);
    if (leading_) limit = std::clamp(renewed_at_ + options_.renew_deadline - clock_.now(), kShortestRequest, kRequest);
  }
  return Rest(transport_, stop_.get_token(), {.tries = 1, .limit = limit});
}

void Lease::tick() {
  if (!leads()) set_leading(false);  // we slept through the deadline: said before anything else
  const MonotonicTime begin = clock_.now();  // the renewal may be as old as this
  if (acquire_or_renew()) {
    {
      const std::lock_guard lock(mutex_);
      renewed_at_ = begin;
    }
    set_leading(true);
  } else if (!leads()) {
    set_leading(false);
  }
}

void Lease::set_leading(bool leading) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(leading_, leading) == leading) return;
  }
  HG_LOG(kInfo, kControl, leading ? "this controller leads" : "this controller leads no more", {"lease", options_.name},
         {"identity", options_.identity});
  if (on_change_) on_change_(leading);
}

void Lease::observe(const Json& lease, MonotonicTime now) {
  const Json& spec = child_of(lease, "spec");
  if (std::string text = to_text(spec); text != observed_spec_) {
    observed_spec_ = std::move(text);
    observed_at_ = now;
  }
  Leader leader{.identity = text_at(spec, "holderIdentity")};
  const Json& annotations = child_of(child_of(lease, "metadata"), "annotations");
  for (const auto& [key, ignored] : options_.annotations) {
    if (std::string value = text_at(annotations, key); !value.empty()) leader.annotations[key] = std::move(value);
  }
  const std::lock_guard lock(mutex_);
  leader_ = std::move(leader);
}

Json Lease::spec_of_ours(const Json& spec) const {
  Json ours = spec.is_object() ? spec : Json::object();
  const std::string now = micro_time(clock_.wall());
  const bool held_before = text_at(spec, "holderIdentity") == options_.identity;
  if (!held_before || text_at(spec, "acquireTime").empty()) {
    ours["acquireTime"] = now;
    ours["leaseTransitions"] = spec.is_object() ? number_at(spec, "leaseTransitions") + 1 : 0;
  }
  ours["holderIdentity"] = options_.identity;
  ours["leaseDurationSeconds"] = whole_seconds(options_.duration);
  ours["renewTime"] = now;
  return ours;
}

bool Lease::acquire_or_renew() {
  // The leader writes without reading: a 409 tells it that somebody else did.
  if (leads() && !ours_.is_null()) {
    if (write(rest(), ours_)) return true;
    ours_ = nullptr;
  }
  const Answer answer = rest().get(path_);
  if (answer.code == 404) return create(rest());
  Json lease = answer.ok() ? parse_json(answer.body) : Json();
  if (!lease.is_object()) {
    HG_LOG(kWarn, kControl, "the lease cannot be read", {"lease", options_.name}, {"error", answer.why()});
    return false;
  }
  const MonotonicTime now = clock_.now();
  observe(lease, now);
  const Json& spec = child_of(lease, "spec");
  const std::string holder = text_at(spec, "holderIdentity");
  const auto held_for = std::chrono::seconds(std::min<uint64_t>(number_at(spec, "leaseDurationSeconds"), 3600));
  if (!holder.empty() && holder != options_.identity && now - observed_at_ < held_for) return false;
  return write(rest(), std::move(lease));
}

bool Lease::create(const Rest& rest) {
  Json lease{{"apiVersion", "coordination.k8s.io/v1"},
             {"kind", "Lease"},
             {"metadata",
              {{"name", options_.name}, {"namespace", options_.name_space}, {"annotations", options_.annotations}}},
             {"spec", spec_of_ours(Json())}};
  const Answer answer = rest.post(collection_, to_text(lease));
  if (!answer.ok()) {
    HG_LOG(kWarn, kControl, "the lease cannot be created", {"lease", options_.name}, {"error", answer.why()});
    return false;
  }
  ours_ = parse_json(answer.body);
  observe(ours_, clock_.now());
  return true;
}

bool Lease::write(const Rest& rest, Json lease) {
  lease["spec"] = spec_of_ours(child_of(lease, "spec"));
  Json& metadata = lease["metadata"];
  if (!metadata.is_object()) return false;
  if (!options_.annotations.empty() && !child_of(metadata, "annotations").is_object()) {
    metadata["annotations"] = Json::object();
  }
  for (const auto& [key, value] : options_.annotations) metadata["annotations"][key] = value;
  const Answer answer = rest.put(path_, to_text(lease));
  if (!answer.ok()) {
    if (answer.code != 409) {
      HG_LOG(kWarn, kControl, "the lease cannot be written", {"lease", options_.name}, {"error", answer.why()});
    }
    return false;
  }
  ours_ = parse_json(answer.body);
  if (!ours_.is_object()) ours_ = nullptr;
  observe(ours_, clock_.now());
  return true;
}

// The stop token has been used up: a Rest of its own.
void Lease::release() {
  const Rest last(transport_, {}, {.tries = 1, .limit = kRelease});
  if (!ours_.is_object()) return;
  Json lease = ours_;
  lease["spec"]["holderIdentity"] = "";
  lease["spec"]["leaseDurationSeconds"] = 1;
  lease["spec"]["renewTime"] = lease["spec"]["acquireTime"] = micro_time(clock_.wall());
  const Answer answer = last.put(path_, to_text(lease));
  if (!answer.ok()) {
    HG_LOG(kWarn, kControl, "the lease was not given back; it runs out", {"lease", options_.name},
           {"error", answer.why()});
  }
}

}  // namespace headgate::kube
