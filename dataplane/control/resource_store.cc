#include "dataplane/control/resource_store.h"

#include <algorithm>

#include "dataplane/base/check.h"
#include "proto/check/normalize.h"

namespace headgate::control {

namespace cv = control::v1;
using check::Problem;
using config::v1::ProxySettings;

namespace {

// References are judged again after each round of fall-backs; every round lowers something, and chains are short
// (secret, upstream, route): this many rounds mean that two resources take turns.
constexpr int kMaxRounds = 64;

void fill_key(const ResourceKey& key, cv::ResourceKey& message) {
  message.set_kind(key.kind);
  message.set_name(key.name);
}

bool is_error(const Problem& problem) { return problem.severity == check::Severity::kError; }

bool equal(const google::protobuf::Message& left, const google::protobuf::Message& right) {
  return left.SerializeAsString() == right.SerializeAsString();
}

}  // namespace

ResourceStore::ResourceStore() : settings_(std::make_shared<ProxySettings>()) { check::normalize_settings(*settings_); }
ResourceStore::~ResourceStore() = default;

void ResourceStore::set_base(std::shared_ptr<config::v1::ResourceSet> base) {
  HG_CHECK(!on_trial_);
  base_ = std::move(base);
  base_changed_ = true;
  base_keys_.clear();
  if (base_ == nullptr) return;
  visit_resources(*base_, [&](cv::Kind kind, const auto& message) { base_keys_.insert({kind, message.name()}); });
}

// -- staging ----------------------------------------------------------------------------------------------------------------

bool ResourceStore::stage(cv::Push part) {
  const auto violated = [&](std::string problem) {
    drop_staged();
    problem_ = std::move(problem);
    return false;
  };
  if (part.push_id() == 0) return violated("a Push without an id");
  if (staged_whole_) return violated("a Push before the one before it was answered");
  if (staged_push_ != 0 && part.push_id() != staged_push_) return violated("a Push inside another one");
  staged_push_ = part.push_id();
  for (cv::Resource& resource : *part.mutable_upsert()) {
    ResourceKey key{resource.key().kind(), resource.key().name()};
    if (key.name.empty() || resource.version() == 0) return violated("a resource without a name or a version");
    staged_bytes_ += resource.body().size();
    if (staged_bytes_ > kMaxPushBytes) return violated("a Push above " + std::to_string(kMaxPushBytes) + " bytes");
    auto given = std::make_shared<Given>();
    given->version = resource.version();
    given->body = std::move(*resource.mutable_body());
    given->origin.assign(resource.origin().begin(), resource.origin().end());
    if (!staged_.emplace(std::move(key), std::move(given)).second) return violated("a resource twice in one Push");
  }
  for (const cv::ResourceKey& key : part.remove()) {
    if (!staged_.emplace(ResourceKey{key.kind(), key.name()}, nullptr).second) {
      return violated("a resource twice in one Push");
    }
  }
  staged_whole_ = !part.more();
  return true;
}

void ResourceStore::drop_staged() {
  staged_.clear();
  staged_push_ = 0;
  staged_whole_ = false;
  staged_bytes_ = 0;
}

// -- trial ------------------------------------------------------------------------------------------------------------------

bool ResourceStore::begin(std::time_t now) {
  HG_CHECK(!on_trial_);
  on_trial_ = true;
  trial_has_push_ = staged_whole_;
  now_ = now;
  trials_.clear();
  for (const auto& [key, given] : staged_) {
    if (!staged_whole_) break;
    if (given != nullptr) {
      trials_[key].given = given;
    } else if (entries_.contains(key)) {
      trials_[key];
    }
  }
  for (const ResourceKey& key : with_rejects_) {
    const auto [trial, fresh] = trials_.try_emplace(key);
    if (fresh) trial->second.given = (*entries_.find(key))->given;
  }
  trial_has_base_ = std::exchange(base_changed_, false);
  if (trial_has_base_) {
    count_all_references();
    trial_view_ = base_ == nullptr ? snapshot::ResourceView() : snapshot::ResourceView::shared(base_);
    entries_.visit_all([&](const StoredPtr& entry) {
      const auto [trial, fresh] = trials_.try_emplace(entry->key);
      if (fresh) trial->second.given = entry->given;
    });
  }
  start_settings();
  for (auto& [key, trial] : trials_) {
    trial.indexed = previous_of(key);
    if (key.kind != cv::KIND_PROXY_SETTINGS) start(key, trial);
  }
  compose();
  if (resolve_references()) return true;
  refuse("the resources of this Push contradict each other");
  return false;
}

// The settings come first: listeners and upstreams take defaults from them.
void ResourceStore::start_settings() {
  settings_key_ = {};
  std::shared_ptr<ProxySettings> counts;
  if (base_ != nullptr && base_->has_settings()) counts = {base_, base_->mutable_settings()};
  std::set<ResourceKey> all;
  const ResourceKey first{cv::KIND_PROXY_SETTINGS, ""};
  entries_.visit_from(first, [&](const StoredPtr& entry) {
    const bool settings = entry->key.kind == cv::KIND_PROXY_SETTINGS;
    if (settings) all.insert(entry->key);
    return settings;
  });
  for (auto it = trials_.lower_bound(first); it != trials_.end() && it->first.kind == cv::KIND_PROXY_SETTINGS; ++it) {
    all.insert(it->first);
  }
  for (const ResourceKey& key : all) {
    const auto [position, fresh] = trials_.try_emplace(key);
    Trial& trial = position->second;
    if (fresh) trial.given = (*entries_.find(key))->given;
    if (trial.given == nullptr) continue;
    start(key, trial);
    if (trial.message == nullptr) continue;
    if (counts != nullptr) {
      lower_whole(key, trial, {.kind = check::Kind::kSettings, .rule = "conflict", .message = "there are other settings"});
      trial.message = nullptr;
      trial.level = Level::kAbsent;
      continue;
    }
    counts = std::static_pointer_cast<ProxySettings>(trial.message);
    settings_key_ = key;
  }
  if (counts == nullptr) {
    counts = std::make_shared<ProxySettings>();
    check::normalize_settings(*counts);
  }
  if (!equal(*counts, *settings_)) {
    restart_all(cv::KIND_LISTENER);
    restart_all(cv::KIND_UPSTREAM);
  }
  settings_ = std::move(counts);
}

void ResourceStore::restart_all(cv::Kind kind) {
  entries_.visit_from(ResourceKey{kind, ""}, [&](const StoredPtr& entry) {
    if (entry->key.kind != kind) return false;
    const auto [trial, fresh] = trials_.try_emplace(entry->key);
    if (fresh) trial->second.given = entry->given;
    return true;
  });
}

MessagePtr ResourceStore::previous_of(const ResourceKey& key) const {
  const StoredPtr* const known = entries_.find(key);
  return known == nullptr ? nullptr : (*known)->serving;
}

// From bytes to a message that is right in itself, or what stands in for it.
void ResourceStore::start(const ResourceKey& key, Trial& trial) {
  if (trial.given == nullptr) return;
  const auto refused = [&](std::string_view rule, std::string message) {
    lower_whole(key, trial, {.rule = rule, .message = std::move(message)});
  };
  if (!is_known_kind(key.kind)) return refused("kind", "a kind of resource that this version does not know");
  if (base_keys_.contains(key)) {
    refused("conflict", "the configuration file has a resource of this name");
    trial.message = nullptr;
    trial.level = Level::kAbsent;
    return;
  }
  if (trial.given->body.size() > kMaxResourceBytes) {
    return refused("size", "larger than " + std::to_string(kMaxResourceBytes) + " bytes");
  }
  trial.message = parse_resource(key.kind, trial.given->body);
  if (trial.message == nullptr) return refused("encoding", "not a message of this kind");
  if (name_of(key.kind, *trial.message) != key.name) return refused("name", "its own name differs from that of its key");
  normalize_resource(key.kind, *trial.message, *settings_);
  settle(key, trial);
}

void ResourceStore::settle(const ResourceKey& key, Trial& trial) {
  // Each round lowers a part or the whole; a resource that serves already has passed.
  while (trial.message != nullptr) {
    check::Problems problems;
    check_resource(key.kind, *trial.message, now_, problems);
    std::vector<const Problem*> errors;
    for (const Problem& problem : problems.list()) {
      if (is_error(problem)) errors.push_back(&problem);
    }
    if (errors.empty() || !lower(key, trial, errors)) return;
  }
}

cv::Reject ResourceStore::reject_of(const ResourceKey& key, const Trial& trial, const Problem& problem) const {
  cv::Reject reject;
  fill_key(key, *reject.mutable_key());
  if (trial.given != nullptr) reject.set_version(trial.given->version);
  reject.set_rule(std::string(problem.rule));
  reject.set_message(problem.message);
  reject.set_field_path(problem.field_path);
  if (trial.given != nullptr) reject.mutable_origin()->Add(trial.given->origin.begin(), trial.given->origin.end());
  return reject;
}

void ResourceStore::lower_whole(const ResourceKey& key, Trial& trial, const Problem& problem) {
  if (!trial.whole) trial.whole = reject_of(key, trial, problem);
  MessagePtr previous = previous_of(key);
  trial.routes.clear();
  trial.left_out.clear();
  if (trial.level == Level::kGiven && previous != nullptr) {
    trial.level = Level::kPrevious;
    trial.message = std::move(previous);
  } else {
    trial.level = Level::kAbsent;
    trial.message = nullptr;
  }
}

// False: there is nothing left of it.
bool ResourceStore::lower(const ResourceKey& key, Trial& trial, const std::vector<const Problem*>& problems) {
  if (trial.message == nullptr) return false;
  if (key.kind == cv::KIND_VIRTUAL_HOST && lower_routes(key, trial, problems)) return true;
  if (key.kind == cv::KIND_LISTENER && leave_out_certificates(key, trial, problems)) return true;
  lower_whole(key, trial, *problems.front());
  return true;
}

// The Trial of a key that is at fault; null when that resource is not ours.
ResourceStore::Trial* ResourceStore::touch(const ResourceKey& key) {
  const auto known = trials_.find(key);
  if (known != trials_.end()) return &known->second;
  const StoredPtr* const entry = entries_.find(key);
  if (entry == nullptr) return nullptr;
  Trial& trial = trials_[key];
  trial.indexed = (*entry)->serving;
  trial.given = (*entry)->given;
  trial.message = (*entry)->serving;
  return &trial;
}

// True: something was lowered, nothing else is at fault.
bool ResourceStore::lower_all(const std::vector<Problem>& problems) {
  std::map<ResourceKey, std::vector<const Problem*>> by_key;
  for (const Problem& problem : problems) {
    if (is_error(problem)) by_key[{kind_of(problem.kind), problem.resource}].push_back(&problem);
  }
  if (by_key.empty()) return false;
  for (const auto& [key, list] : by_key) {
    Trial* const trial = base_keys_.contains(key) ? nullptr : touch(key);
    if (trial == nullptr || !lower(key, *trial, list)) return false;
    settle(key, *trial);
  }
  compose();
  return true;
}

bool ResourceStore::resolve_references() {
  if (references_are_sound()) return true;
  // Something may be wrong: what, and whose fault it is, only a look at everything tells.
  for (int round = 0; round < kMaxRounds; ++round) {
    check::Problems problems;
    check::check_references(trial(), problems);
    if (!problems.has_errors()) return true;
    if (!lower_all(problems.list())) return false;
  }
  return false;
}

bool ResourceStore::blame(const std::vector<Problem>& problems) {
  if (!on_trial_) return false;
  return lower_all(problems) && resolve_references();
}

// What the trials say is put into the view; all else is there already.
void ResourceStore::compose() {
  trial_set_ = nullptr;
  std::shared_ptr<const ProxySettings> settings = settings_;
  for (const auto& [key, trial] : trials_) {
    if (!is_known_kind(key.kind) || base_keys_.contains(key)) continue;
    if (key.kind == cv::KIND_PROXY_SETTINGS) {
      if (key == settings_key_ && trial.message != nullptr) settings = std::static_pointer_cast<ProxySettings>(trial.message);
    } else if (trial.message != nullptr) {
      trial_view_.set(check_kind_of(key.kind), trial.message);
    } else {
      trial_view_.erase(check_kind_of(key.kind), key.name);
    }
  }
  trial_view_.set_settings(std::move(settings));
  count_references();
}

const config::v1::ResourceSet& ResourceStore::trial() const {
  if (trial_set_ == nullptr) {
    trial_set_ = std::make_unique<BorrowedSet>();
    trial_set_->add_all(trial_view_);
  }
  return trial_set_->set();
}

// -- references -------------------------------------------------------------------------------------------------------------

void ResourceStore::count_references(const ResourceKey& key, Trial& trial) {
  if (trial.message == trial.indexed || !is_known_kind(key.kind)) return;
  const check::Kind kind = check_kind_of(key.kind);
  if (trial.indexed != nullptr) references_.erase(kind, *trial.indexed);
  if (trial.message != nullptr) references_.insert(kind, *trial.message);
  trial.indexed = trial.message;
}

void ResourceStore::count_references() {
  for (auto& [key, trial] : trials_) count_references(key, trial);
}

void ResourceStore::count_all_references() {
  references_.clear();
  if (base_ != nullptr) {
    visit_resources(*base_, [&](cv::Kind kind, const auto& message) { references_.insert(check_kind_of(kind), message); });
  }
  entries_.visit_all([&](const StoredPtr& entry) {
    if (entry->serving != nullptr) references_.insert(check_kind_of(entry->key.kind), *entry->serving);
  });
}

bool ResourceStore::references_are_sound() const {
  return !trial_has_base_ && std::all_of(trials_.begin(), trials_.end(), [&](const auto& one) {
    const MessagePtr before = previous_of(one.first);
    if (before == one.second.message || !is_known_kind(one.first.kind)) return true;
    return references_.is_sound(check_kind_of(one.first.kind), before.get(), one.second.message.get());
  });
}

// -- outcome ----------------------------------------------------------------------------------------------------------------

std::vector<cv::Reject> ResourceStore::rejects_of(const ResourceKey&, const Trial& trial) {
  std::vector<cv::Reject> rejects;
  if (trial.whole) {
    rejects.push_back(*trial.whole);
    rejects.back().set_kept_previous(trial.level == Level::kPrevious);
  }
  for (const RouteTrial& route : trial.routes) {
    if (route.level == RouteLevel::kGiven) continue;
    rejects.push_back(route.reject);
    rejects.back().set_kept_previous(route.level == RouteLevel::kPrevious);
  }
  rejects.insert(rejects.end(), trial.left_out.begin(), trial.left_out.end());
  return rejects;
}

void ResourceStore::commit() {
  HG_CHECK(on_trial_);
  apply_outcome();
}

void ResourceStore::apply_outcome() {
  on_trial_ = false;
  for (auto& [key, trial] : trials_) {
    with_rejects_.erase(key);
    if (const StoredPtr* const before = entries_.find(key)) digest_ ^= (*before)->given->version;
    if (trial.given == nullptr) {
      entries_.erase(key);
      continue;
    }
    digest_ ^= trial.given->version;
    auto entry = std::make_shared<StoredResource>();
    entry->key = key;
    entry->rejects = rejects_of(key, trial);
    entry->given = std::move(trial.given);
    entry->serving = std::move(trial.message);
    if (!entry->rejects.empty()) with_rejects_.insert(key);
    entries_.set(std::move(entry));
  }
  trials_.clear();
  served_view_ = trial_view_;
  if (trial_has_push_) drop_staged();
}

void ResourceStore::refuse(const std::string& why) {
  HG_CHECK(on_trial_);
  trial_view_ = served_view_;
  for (auto position = trials_.begin(); position != trials_.end();) {
    const ResourceKey& key = position->first;
    Trial& trial = position->second;
    const auto staged = staged_.find(key);
    if (!trial_has_push_ || staged == staged_.end() || trial.given == nullptr) {
      trial.message = previous_of(key);
      count_references(key, trial);
      position = trials_.erase(position);
      continue;
    }
    trial.message = previous_of(key);
    trial.level = trial.message == nullptr ? Level::kAbsent : Level::kPrevious;
    trial.routes.clear();
    trial.left_out.clear();
    trial.whole = reject_of(key, trial, {.rule = "push", .message = why});
    ++position;
  }
  compose();
  apply_outcome();
}

std::vector<cv::Reject> ResourceStore::rejects() const {
  std::vector<cv::Reject> all;
  for (const ResourceKey& key : with_rejects_) {
    for (const cv::Reject& reject : (*entries_.find(key))->rejects) {
      if (all.size() < kMaxRejects) all.push_back(reject);
    }
  }
  return all;
}

std::vector<cv::KnownVersion> ResourceStore::known() const {
  std::vector<cv::KnownVersion> list;
  list.reserve(entries_.size());
  entries_.visit_all([&](const StoredPtr& entry) {
    cv::KnownVersion known;
    fill_key(entry->key, *known.mutable_key());
    // What has rejects is named, too, so that the controller can say that it is gone; with no version it is sent again.
    known.set_version(entry->rejects.empty() ? entry->given->version : 0);
    list.push_back(std::move(known));
  });
  return list;
}

bool StoredResource::fill(cv::Resource& resource) const {
  if (serving == nullptr) return false;
  fill_key(key, *resource.mutable_key());
  resource.mutable_origin()->Add(given->origin.begin(), given->origin.end());
  resource.set_version(given->version);
  resource.set_body(rejects.empty() ? given->body : serving->SerializeAsString());
  // Another content than the controller's has another version, so that it is sent again.
  if (!rejects.empty()) resource.set_version(~given->version | 1);
  return true;
}

}  // namespace headgate::control
