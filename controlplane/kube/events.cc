#include "controlplane/kube/events.h"

#include <algorithm>
#include <array>
#include <optional>

#include "controlplane/kube/json.h"
#include "controlplane/kube/kinds.h"
#include "controlplane/kube/timestamp.h"
#include "dataplane/base/log.h"
#include "dataplane/base/number.h"
#include "dataplane/base/random.h"

namespace headgate::kube {
namespace {

constexpr size_t kMaxNote = 1000;  // the API takes 1 KiB
constexpr size_t kMaxWord = 128;   // reason, action, reporting controller and instance
constexpr size_t kMaxSeries = 4096;
constexpr double kSecondsPerAllowance = 300;
constexpr std::string_view kGroup = "events.k8s.io";

// Cuts at a character, not inside one.
std::string cut(std::string text, size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
  text.resize(limit);
  return text;
}

std::string event_name(const std::string& object) {
  std::array<uint8_t, 8> bytes{};
  fill_secure_random(bytes);
  uint64_t number = 0;
  for (const uint8_t byte : bytes) number = number << 8 | byte;
  std::array<char, 16> text{};
  const char* end = write_hex(text.data(), number);
  return object.substr(0, 200) + "." + std::string(text.data(), static_cast<size_t>(end - text.data()));
}

const std::string& namespace_of(const ObjectReference& object) {
  static const std::string kDefault = "default";
  return object.name_space.empty() ? kDefault : object.name_space;
}

}  // namespace

EventRecorder::EventRecorder(Transport& transport, EventOptions options, const Clock& clock)
    : options_(std::move(options)), clock_(clock), rest_(transport, stop_.get_token(), {.tries = 3}) {}

Result<void> EventRecorder::start() {
  return thread_.start("events", [this] { run(); });
}

void EventRecorder::stop() {
  stop_.request_stop();
  thread_.join();
}

void EventRecorder::record(Event event) {
  event.note = cut(std::move(event.note), kMaxNote);
  event.reason = cut(std::move(event.reason), kMaxWord);
  event.action = cut(std::move(event.action), kMaxWord);
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= options_.queue) {
      ++counts_.dropped;
      return;
    }
    queue_.push_back(std::move(event));
  }
  more_.notify_one();
}

size_t EventRecorder::room() const {
  const std::lock_guard lock(mutex_);
  return options_.queue - std::min(options_.queue, queue_.size());
}

EventCounts EventRecorder::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void EventRecorder::run() {
  const std::stop_token stop = stop_.get_token();
  while (!stop.stop_requested()) {
    std::optional<Event> event;
    {
      std::unique_lock lock(mutex_);
      more_.wait_for(lock, stop, options_.refresh, [this] { return !queue_.empty(); });
      if (stop.stop_requested()) return;
      if (!queue_.empty()) {
        event = std::move(queue_.front());
        queue_.pop_front();
      }
    }
    if (event) take(*event);
    if (clock_.now() - refreshed_at_ >= options_.refresh) refresh();
  }
}

void EventRecorder::take(const Event& event) {
  const MonotonicTime now = clock_.now();
  auto found = series_.find(event);
  if (found == series_.end() && !allow(event.regarding)) {
    const std::lock_guard lock(mutex_);
    ++counts_.limited;
    return;
  }
  if (found == series_.end()) {
    if (series_.size() >= kMaxSeries) {
      series_.erase(std::min_element(series_.begin(), series_.end(), [](const auto& a, const auto& b) {
        return a.second.seen_at < b.second.seen_at;
      }));
    }
    found = series_.emplace(event, Series{}).first;
  }
  Series& series = found->second;
  ++series.count;
  series.seen_at = now;
  series.last = clock_.wall();
  if (series.count == 1) create(event, series);
}

bool EventRecorder::allow(const ObjectReference& object) {
  const MonotonicTime now = clock_.now();
  if (allowances_.size() >= kMaxSeries) {
    std::erase_if(allowances_, [&](const auto& entry) { return now - entry.second.at > std::chrono::minutes(5); });
  }
  auto [found, is_new] = allowances_.try_emplace(object, Allowance{static_cast<double>(options_.burst), now});
  Allowance& allowance = found->second;
  allowance.left += to_seconds(now - allowance.at) / kSecondsPerAllowance;
  allowance.left = std::min(allowance.left, static_cast<double>(options_.burst));
  allowance.at = now;
  if (allowance.left < 1) return false;
  allowance.left -= 1;
  return true;
}

void EventRecorder::create(const Event& event, Series& series) {
  const ObjectReference& object = event.regarding;
  const std::string name = event_name(object.name);
  const std::string& name_space = namespace_of(object);
  Json regarding{{"apiVersion", object.api_version}, {"kind", object.kind}, {"name", object.name}};
  if (!object.name_space.empty()) regarding["namespace"] = object.name_space;
  if (!object.uid.empty()) regarding["uid"] = object.uid;
  const Json json{{"apiVersion", "events.k8s.io/v1"},
                  {"kind", "Event"},
                  {"metadata", {{"name", name}, {"namespace", name_space}}},
                  {"eventTime", micro_time(series.last)},
                  {"reportingController", cut(options_.controller, kMaxWord)},
                  {"reportingInstance", cut(options_.instance, kMaxWord)},
                  {"action", event.action},
                  {"reason", event.reason},
                  {"regarding", regarding},
                  {"note", event.note},
                  {"type", event.warning ? "Warning" : "Normal"}};
  const std::string path = object_path(kGroup, "v1", "events", name_space, name);
  const Answer answer = rest_.post(path.substr(0, path.rfind('/')), to_text(json));
  series.written = series.count;
  series.written_at = clock_.now();
  series.path = answer.ok() ? path : "";
  const std::lock_guard lock(mutex_);
  answer.ok() ? ++counts_.written : ++counts_.failed;
  if (!answer.ok()) {
    HG_LOG(kDebug, kControl, "an Event was refused", {"object", object.name}, {"reason", event.reason},
           {"error", answer.why()});
  }
}

void EventRecorder::write_series(const Event& event, Series& series) {
  if (series.path.empty()) {  // the first write failed
    create(event, series);
    return;
  }
  const Json patch{{"series", {{"count", series.count}, {"lastObservedTime", micro_time(series.last)}}}};
  const Answer answer = rest_.patch(series.path, PatchType::kMerge, to_text(patch));
  series.written = series.count;
  series.written_at = clock_.now();
  if (answer.code == 404) {  // Events live for an hour
    create(event, series);
    return;
  }
  const std::lock_guard lock(mutex_);
  answer.ok() ? ++counts_.written : ++counts_.failed;
}

void EventRecorder::refresh() {
  const MonotonicTime now = refreshed_at_ = clock_.now();
  for (auto entry = series_.begin(); entry != series_.end();) {
    Series& series = entry->second;
    if (stop_.stop_requested()) return;
    if (series.count > series.written && now - series.written_at >= options_.refresh) {
      write_series(entry->first, series);
    }
    entry = now - series.seen_at > options_.series && series.count == series.written ? series_.erase(entry)
                                                                                     : std::next(entry);
  }
}

}  // namespace headgate::kube
