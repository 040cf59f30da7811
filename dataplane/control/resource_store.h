// resource_store.h -- what the controller has sent, and what of it can be served: a pure state machine.
//
//   stage(part)* -> begin() -> trial() -> [builder or sockets object: blame() -> trial()]* -> commit() | refuse()
//
// Nothing that was staged is visible before commit(). What is bad is left out as narrowly as possible:
//   a Route          falls back to the Route of that name that serves now; without one it answers 500; when its match is
//                    what is bad, it is left out
//   a certificate    of a Listener, which cannot be found, is left out of the Listener
//   anything else    falls back to the resource of that name that serves now; without one it is left out
// and each of these is a Reject, which stands until the resource is sent again or what it lacked has come: resources
// with rejects are tried again, as they were given, with every Push.
// A base (the resources of a file) may lie below: its names are taken, its settings count.
// Thread: control.   Owner: RemoteConfig.
#pragma once

#include <cstdint>
#include <ctime>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "dataplane/base/shared_map.h"
#include "dataplane/control/resource_kind.h"
#include "dataplane/snapshot/resource_view.h"
#include "headgate/control/v1/control.pb.h"
#include "proto/check/reference_index.h"

namespace headgate::control {

// One resource as it was given, and what of it serves.
struct StoredResource {
  struct Given {
    uint64_t version = 0;
    std::string body;
    std::vector<control::v1::ObjectRef> origin;
  };
  ResourceKey key;
  std::shared_ptr<const Given> given;
  MessagePtr serving;  // null: left out
  std::vector<control::v1::Reject> rejects;

  // True: `resource` is what serves of it, as it could have been sent. False: nothing serves.
  bool fill(control::v1::Resource& resource) const;
};
using StoredPtr = std::shared_ptr<const StoredResource>;

struct ByResourceKey {
  const ResourceKey& operator()(const StoredPtr& stored) const { return stored->key; }
};
using StoredResources = SharedMap<StoredPtr, ByResourceKey>;

class ResourceStore {
 public:
  static constexpr size_t kMaxResourceBytes = size_t{16} << 20;
  static constexpr size_t kMaxPushBytes = size_t{512} << 20;
  static constexpr size_t kMaxRejects = 1'000;  // that are told; all are acted on

  ResourceStore();
  ~ResourceStore();

  // Null: none. Counts from the next begin(). Normalized and checked.
  void set_base(std::shared_ptr<config::v1::ResourceSet> base);

  // One part of a Push. False: the protocol is violated (problem() says how), the staged parts are dropped.
  bool stage(control::v1::Push part);
  void drop_staged();
  [[nodiscard]] const std::string& problem() const { return problem_; }

  [[nodiscard]] bool has_whole_push() const { return staged_whole_; }
  // Begins a trial of everything there is now: base, what serves, what is staged if it is whole. `now`: for dates of
  // certificates. False: refused as by refuse(), nothing changes.
  bool begin(std::time_t now);
  // What is to be built, and then what serves.
  [[nodiscard]] const snapshot::ResourceView& view() const { return trial_view_; }
  // The same as one message, for who looks at everything. Valid until the next call of anything here.
  [[nodiscard]] const config::v1::ResourceSet& trial() const;
  // The trial could not be used because of these. True: view() is another one now. False: nothing here is at fault, or
  // nothing is left to try.
  bool blame(const std::vector<check::Problem>& problems);
  // The trial serves.
  void commit();
  // It does not and will not: what serves stays as it is, each resource that was staged has a Reject that says `why`.
  void refuse(const std::string& why);

  [[nodiscard]] bool on_trial() const { return on_trial_; }
  [[nodiscard]] bool has(const ResourceKey& key) const { return entries_.contains(key); }
  [[nodiscard]] size_t size() const { return entries_.size(); }
  // All that stand.
  [[nodiscard]] std::vector<control::v1::Reject> rejects() const;
  // xor of the versions of all that was given.
  [[nodiscard]] uint64_t digest() const { return digest_; }
  // What is served as it was given: key and version. The rest a controller should send again.
  [[nodiscard]] std::vector<control::v1::KnownVersion> known() const;
  // Everything that was given, as it is now: costs next to nothing, and stays as it is.
  [[nodiscard]] StoredResources stored() const { return entries_; }

 private:
  using Given = StoredResource::Given;
  enum class Level : uint8_t { kGiven, kPrevious, kAbsent };  // of a whole resource
  enum class RouteLevel : uint8_t { kGiven, kPrevious, kAnswers500, kAbsent };
  struct RouteTrial {
    RouteLevel level = RouteLevel::kGiven;
    control::v1::Reject reject;
  };
  // One resource in the trial that differs, or may differ, from what serves.
  struct Trial {
    std::shared_ptr<const Given> given;  // null: removed
    MessagePtr message;                  // null: left out
    Level level = Level::kGiven;
    std::optional<control::v1::Reject> whole;    // why it is not kGiven
    std::vector<RouteTrial> routes;              // of a VirtualHost: parallel to message.routes(); empty: all as given
    std::vector<control::v1::Reject> left_out;   // parts that are gone from `message`
    MessagePtr indexed;                          // what of it `references_` counts; null: nothing
  };
  using Trials = std::map<ResourceKey, Trial>;

  void apply_outcome();
  Trial* touch(const ResourceKey& key);
  void start(const ResourceKey& key, Trial& trial);
  void restart_all(control::v1::Kind kind);
  void start_settings();
  void settle(const ResourceKey& key, Trial& trial);
  bool lower(const ResourceKey& key, Trial& trial, const std::vector<const check::Problem*>& problems);
  bool lower_routes(const ResourceKey& key, Trial& trial, const std::vector<const check::Problem*>& problems);
  bool leave_out_certificates(const ResourceKey& key, Trial& trial, const std::vector<const check::Problem*>& problems);
  void lower_whole(const ResourceKey& key, Trial& trial, const check::Problem& problem);
  control::v1::Reject reject_of(const ResourceKey& key, const Trial& trial, const check::Problem& problem) const;
  bool resolve_references();
  void count_references();
  void count_references(const ResourceKey& key, Trial& trial);
  void count_all_references();
  [[nodiscard]] bool references_are_sound() const;
  bool lower_all(const std::vector<check::Problem>& problems);
  void compose();
  static std::vector<control::v1::Reject> rejects_of(const ResourceKey& key, const Trial& trial);
  [[nodiscard]] MessagePtr previous_of(const ResourceKey& key) const;

  StoredResources entries_;
  std::set<ResourceKey> with_rejects_;
  std::shared_ptr<config::v1::ResourceSet> base_;
  std::set<ResourceKey> base_keys_;
  bool base_changed_ = false;
  uint64_t digest_ = 0;
  check::ReferenceIndex references_;  // of the base and of what serves; during a trial, of the trial

  std::map<ResourceKey, std::shared_ptr<const Given>> staged_;  // null: removal
  uint64_t staged_push_ = 0;
  bool staged_whole_ = false;
  size_t staged_bytes_ = 0;
  std::string problem_;

  bool on_trial_ = false;
  bool trial_has_push_ = false;
  bool trial_has_base_ = false;  // another one than before
  std::time_t now_ = 0;
  Trials trials_;
  ResourceKey settings_key_;                             // of the resource whose settings count; no name: none
  std::shared_ptr<config::v1::ProxySettings> settings_;  // that listeners and upstreams were normalized with
  snapshot::ResourceView served_view_;
  snapshot::ResourceView trial_view_;  // between trials the same
  mutable std::unique_ptr<BorrowedSet> trial_set_;  // of trial_view_; null: nobody has asked
};

}  // namespace headgate::control
