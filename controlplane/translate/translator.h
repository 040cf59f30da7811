// translator.h -- the whole translation: a World into resources for dataplanes and notes for authors.
// Thread: one at a time.   Owner: the controller.
//
// translate() is a pure function. Translator gives the same for each World it is shown, but looks only at what changed
// since the one before: each result remembers which objects it was made from. An Ingress that changed costs its
// reading, the hosts it names and the Upstreams it uses; an EndpointSlice its shard; a Secret its readers; the
// controller's ConfigMap everything.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/translate/globals.h"
#include "controlplane/translate/merge.h"
#include "controlplane/translate/output.h"

namespace headgate::translate {

class Translator {
 public:
  explicit Translator(Settings settings) : settings_(std::move(settings)) {}

  // Valid until the next call.
  const Output& update(const world::World& world);

  // Does the last output depend on this object? Secrets that nobody reads need not be kept.
  [[nodiscard]] bool reads(world::ObjectKind kind, const world::ObjectKey& key) const;

 private:
  struct IngressEntry {
    IngressPtr model;
    std::vector<ReadKey> reads;
  };
  struct UpstreamUser {
    UpstreamPtr spec;
    std::optional<config::v1::LoadBalancing> balance;
  };
  struct HostEntry {
    std::map<Precedence, IngressPtr> ingresses;
    NameWishes wishes;
    std::vector<std::string> resources;  // names of VirtualHosts
    HostCertificates certificates;       // of its names
  };
  // The slices of which Service, at which of their ports.
  struct Feed {
    world::ObjectKey service{};
    std::string port_name{};
    bool udp = false;
    bool operator==(const Feed&) const = default;
  };
  struct SecretUse {
    std::shared_ptr<const SecretContent> content;
    std::set<Precedence> users;
  };

  void reset();
  bool refresh_globals(const world::World& world, const std::set<ReadKey>& changed);
  void read_again(const world::World& world, const world::ObjectKey& key);
  void withdraw(const IngressModel& model);
  void enter(const IngressPtr& model);
  void enter_upstream(const UpstreamPtr& spec, const Precedence& user,
                      const std::optional<config::v1::LoadBalancing>& balance);
  void leave_upstream(const std::string& name, const Precedence& user);
  void settle_names();
  void rebuild_host(const std::string& name);
  void feed_from(const std::string& name, const Feed& now);
  void rebuild_upstream(const std::string& name);
  void rebuild_shards(const world::World& world);
  void rebuild_secrets();
  void rebuild_listeners();
  // Replaces routes that the validator refuses by a 503: nothing that is emitted is refused as a whole.
  bool hold_against_check(MergedHost& host, std::vector<Note>& notes);

  void put(control::v1::Kind kind, const std::string& name, ResourcePtr resource);
  void put_message(control::v1::Kind kind, const std::string& name, const google::protobuf::Message& message,
                   std::vector<control::v1::ObjectRef> origin);
  void set_notes(const std::string& source, std::vector<Note> notes);
  void finish();

  const Settings settings_;
  world::World world_;
  bool fresh_ = true;
  SecretCache secrets_;
  Globals globals_;
  std::set<ReadKey> global_reads_;

  std::map<world::ObjectKey, IngressEntry> ingresses_;
  std::map<ReadKey, std::set<world::ObjectKey>> readers_;
  std::map<std::string, HostEntry> hosts_;
  std::map<std::string, std::set<std::pair<Precedence, std::string>>> claims_;  // name -> hosts that want it besides
  std::map<std::string, std::map<Precedence, UpstreamUser>> upstreams_;
  std::map<world::ObjectKey, std::set<std::string>> upstreams_of_service_;
  std::map<std::string, SecretUse> secret_uses_;
  std::map<std::string, Feed> feeds_;  // by Upstream
  std::map<std::string, std::vector<Note>> notes_of_;        // by source

  // Of one update.
  std::set<std::string> dirty_hosts_;
  std::set<std::string> dirty_upstreams_;
  std::set<std::string> dirty_secrets_;
  std::set<world::ObjectKey> dirty_services_;
  std::set<world::ObjectKey> dirty_slices_;
  bool dirty_listeners_ = false;
  std::map<std::pair<control::v1::Kind, std::string>, ResourcePtr> changed_resources_;  // null: it is gone

  struct NotePlace {
    std::string object;
    std::string source;
    auto operator<=>(const NotePlace&) const = default;
    bool operator==(const NotePlace&) const = default;
  };
  std::vector<NotePlace> note_places_;  // parallel to output_.notes
  Output output_;
};

Output translate(const world::World& world, const Settings& settings);

}  // namespace headgate::translate
