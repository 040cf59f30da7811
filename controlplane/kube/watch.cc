#include "controlplane/kube/watch.h"

#include <algorithm>

#include "controlplane/kube/rest.h"
#include "controlplane/kube/splitter.h"
#include "dataplane/base/log.h"

namespace headgate::kube {
namespace {

// The version is gone, or the server's cache has not come to it yet: neither helps to be asked for again.
bool is_version_unusable(const Status& status) {
  return status.code == 410 || status.reason == "Expired" || status.reason == "Gone" ||
         status.cause == "ResourceVersionTooLarge";
}

bool is_overload(int code) { return code == 429 || code >= 500; }

constexpr Error kEndOfWatch{.code = Errc::kCanceled, .detail = "watch ended by an error event"};

}  // namespace

Watch::Watch(Transport& transport, ObjectSink& sink, WatchOptions options)
    : transport_(transport),
      sink_(sink),
      options_(std::move(options)),
      row_(row_of(options_.kind)),
      codec_(options_.kind),
      backoff_(options_.backoff) {}

Result<void> Watch::start() {
  return thread_.start(std::string("w-" + std::string(row_.plural)).substr(0, 15).c_str(), [this] { run(); });
}

void Watch::stop() {
  stop_.request_stop();
  thread_.join();
}

WatchCounts Watch::counts() const {
  return {.lists = counts_.lists,
          .watches = counts_.watches,
          .events = counts_.events,
          .bookmarks = counts_.bookmarks,
          .failures = counts_.failures,
          .undecodable = counts_.undecodable,
          .synced = counts_.synced};
}

void Watch::run() {
  const std::stop_token stop = stop_.get_token();
  Next next = Next::kList;
  while (!stop.stop_requested()) {
    Duration pause = Duration::zero();
    switch (next) {
      case Next::kList:
      case Next::kWatch:
        break;
      case Next::kListNewest:
        list_version_.clear();
        pause = backoff_.next(system_clock().now());
        break;
      case Next::kListLater:
      case Next::kWatchLater:
        pause = backoff_.next(system_clock().now());
        break;
      case Next::kAbsent:
        pause = options_.absent;
        break;
    }
    if (next == Next::kListLater || next == Next::kWatchLater) ++counts_.failures;
    if (pause > Duration::zero() && !wait_for(pause, stop)) return;
    next = next == Next::kWatch || next == Next::kWatchLater ? watch() : list();
  }
}

std::string Watch::target(const std::string& query) const {
  std::string target = collection_path(row_, options_.name_space) + "?" + query;
  if (!options_.label_selector.empty()) target += "&labelSelector=" + encode_query(options_.label_selector);
  if (!options_.field_selector.empty()) target += "&fieldSelector=" + encode_query(options_.field_selector);
  return target;
}

Watch::Next Watch::list() {
  ++counts_.lists;
  ListSplitter splitter;
  std::vector<ObjectPtr> objects;
  Error broken;
  bool is_broken = false;
  const OnText on_item = [&](std::string_view text) -> Result<void> {
    if (ObjectPtr object = decoded(text)) objects.push_back(std::move(object));
    return {};
  };
  const BodyReceiver receiver = [&](std::string_view piece) {
    const auto fed = splitter.feed(piece, on_item);
    if (!fed) broken = fed.error();
    is_broken = !fed;
    return !is_broken;
  };
  HttpRequest request;
  request.target = target("resourceVersion=" + encode_query(list_version_));
  request.limit = options_.list_limit;
  const auto response = transport_.stream(request, receiver, stop_.get_token());
  if (stop_.stop_requested()) return Next::kListLater;
  if (is_broken) {
    log_failure("list failed", to_string(broken));
    return Next::kListLater;
  }
  if (!response || response->status != 200) return after_list_failure(response);
  version_ = resource_version_of_metadata(splitter.metadata());
  if (!splitter.complete() || version_.empty()) {
    log_failure("list failed", "the answer is no list");
    return Next::kListLater;
  }
  list_version_ = version_;
  if (!exists_) HG_LOG(kInfo, kControl, "the API server has this kind now", {"kind", row_.name});
  exists_ = true;
  sink_.on_replace(row_.kind, std::move(objects));
  counts_.synced = true;
  return Next::kWatch;
}

Watch::Next Watch::after_list_failure(const Result<HttpResponse>& response) {
  if (!response) {
    log_failure("list failed", to_string(response.error()));
    return Next::kListLater;
  }
  const Status status = parse_status(response->status, response->body);
  if (status.code == 404) {
    if (exists_) {
      HG_LOG(kInfo, kControl, "the API server does not have this kind; looked for again now and then",
             {"kind", row_.name}, {"group", row_.group});
      sink_.on_replace(row_.kind, {});
      counts_.synced = true;
    }
    exists_ = false;
    list_version_ = "0";
    return Next::kAbsent;
  }
  if (is_version_unusable(status)) return Next::kListNewest;
  log_failure("list failed", std::to_string(status.code) + " " + status.reason + " " + status.message);
  return Next::kListLater;
}

Watch::Next Watch::watch() {
  ++counts_.watches;
  error_event_ = {};
  LineSplitter splitter;
  Error broken;
  bool is_broken = false;
  const OnText each_line = [this](std::string_view line) { return on_line(line); };
  const BodyReceiver receiver = [&](std::string_view piece) {
    const auto fed = splitter.feed(piece, each_line);
    if (!fed) broken = fed.error();
    is_broken = !fed;
    return !is_broken;
  };
  const auto seconds = std::max<int64_t>(1, std::chrono::duration_cast<std::chrono::seconds>(options_.session).count());
  const uint64_t asked = static_cast<uint64_t>(seconds) + random_.below(static_cast<uint64_t>(seconds) + 1);
  HttpRequest request;
  request.target = target("watch=1&allowWatchBookmarks=true&resourceVersion=" + encode_query(version_) +
                          "&timeoutSeconds=" + std::to_string(asked));
  request.limit = std::chrono::seconds(asked) + options_.silence;
  request.silence = options_.silence;
  const MonotonicTime begin = system_clock().now();
  const auto response = transport_.stream(request, receiver, stop_.get_token());
  if (stop_.stop_requested()) return Next::kWatchLater;
  if (is_broken && error_event_.code == 0) {
    log_failure("watch failed", to_string(broken));
    return Next::kListLater;
  }
  return after_watch(response, system_clock().now() - begin);
}

Watch::Next Watch::after_watch(const Result<HttpResponse>& response, Duration lasted) {
  Status status = error_event_;
  if (status.code == 0 && response && response->status != 200) status = parse_status(response->status, response->body);
  if (status.code == 0) {
    // It ended, in order or not: what came is applied, and the version says where to go on.
    const bool connected = response || response.error().retry != Retry::kYes;
    if (connected && lasted >= options_.short_watch) return Next::kWatch;
    log_failure("watch ended at once", response ? "in order" : to_string(response.error()));
    return Next::kWatchLater;
  }
  if (is_version_unusable(status)) return Next::kListNewest;
  if (status.code == 404) {
    list_version_ = "0";
    return Next::kListLater;
  }
  log_failure("watch failed", std::to_string(status.code) + " " + status.reason + " " + status.message);
  return is_overload(status.code) ? Next::kWatchLater : Next::kListLater;
}

Result<void> Watch::on_line(std::string_view line) {
  const auto event = parse_watch_event(line);
  if (!event) return event.error();
  if (event->type == EventType::kError) {
    on_error_event(event->object);
    return kEndOfWatch;
  }
  const std::string version = resource_version_of_object(event->object);
  if (version.empty()) return Error{.code = Errc::kMalformed, .detail = "event without a version"};
  if (event->type == EventType::kBookmark) {
    ++counts_.bookmarks;
  } else {
    ++counts_.events;
    on_object(*event);
  }
  version_ = version;
  list_version_ = version;
  return {};
}

void Watch::on_error_event(std::string_view object) {
  error_event_ = parse_status(0, object);
  if (error_event_.code == 0) error_event_.code = 500;
}

void Watch::on_object(const WatchEvent& event) {
  if (event.type == EventType::kDeleted) {
    const ObjectName name = name_of_json(event.object);
    return sink_.on_delete(row_.kind, name.name_space, name.name);
  }
  if (ObjectPtr object = decoded(event.object)) sink_.on_upsert(row_.kind, std::move(object));
}

ObjectPtr Watch::decoded(std::string_view json) {
  std::string why;
  auto object = codec_.decode(json, why);
  if (object) return *std::move(object);
  ++counts_.undecodable;
  HG_LOG(kError, kControl, "an object cannot be read and is left as it was", {"kind", row_.name}, {"error", why});
  return nullptr;
}

void Watch::log_failure(const char* what, const std::string& why) {
  HG_LOG(kWarn, kControl, "trouble with the API server", {"kind", row_.name}, {"what", what}, {"error", why});
}

}  // namespace headgate::kube
