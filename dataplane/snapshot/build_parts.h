// build_parts.h -- what the files of snapshot/build share: the state between builds, and one build under way.
// Thread: control.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/hash.h"
#include "dataplane/dns/zone.h"
#include "dataplane/filters/access.h"
#include "dataplane/filters/limit_key.h"
#include "dataplane/handlers/dns_forward.h"
#include "dataplane/handlers/forward_rule.h"
#include "dataplane/snapshot/build.h"
#include "dataplane/tls/certificate.h"
#include "dataplane/tls/client_rules.h"
#include "dataplane/tls/trust_store.h"
#include "google/protobuf/duration.pb.h"

namespace headgate::handlers {
struct ProxyBackend;
struct ProxyOptions;
}  // namespace headgate::handlers

namespace headgate::snapshot {

namespace v1 = config::v1;

// Equal for equal texts, and as good as never for others.
struct Fingerprint {
  uint64_t low = 0;
  uint64_t high = 0;

  Fingerprint() = default;
  Fingerprint(std::string_view text)  // NOLINT(google-explicit-constructor): a text is what is compared
      : low(stable_hash(text)), high(stable_hash(text, 0x9e3779b97f4a7c15U)) {}
  Fingerprint(const std::string& text) : Fingerprint(std::string_view(text)) {}  // NOLINT(google-explicit-constructor)
  [[nodiscard]] std::string text() const { return std::to_string(low) + ":" + std::to_string(high); }
  bool operator==(const Fingerprint&) const = default;
};

// A built object and the fingerprint of what it was built from.
template <typename T>
struct Remembered {
  Fingerprint fingerprint;
  std::shared_ptr<T> built;
  [[nodiscard]] bool is_of(const Fingerprint& other) const { return built != nullptr && fingerprint == other; }
};

// All there is to know about one name of an Upstream.
struct KnownUpstream {
  static constexpr uint32_t kNoSlot = UINT32_MAX;
  uint32_t slot = kNoSlot;
  uint32_t sticky = 0;  // routes that keep sessions on it
  Remembered<const upstream::UpstreamSettings> settings;
  Remembered<const upstream::Upstream> upstream;
  std::vector<const v1::EndpointShard*> shards;  // that feed it, by name; of the view that is known
};

// A RouteTable that is changed host by host, and its copy that Snapshots have.
struct KnownTable {
  routing::RouteTable table;
  std::shared_ptr<const routing::RouteTable> built;  // null: the table has changed since
  std::string print;                                 // of its message
};

struct KnownHost {
  Remembered<const routing::VirtualHost> host;
  KnownTable* in = nullptr;  // null: in no table
};

// A TLS listener and what its built form depends on.
struct KnownListenerTls {
  Remembered<const ListenerTls> tls;
  std::shared_ptr<const v1::Listener> message;  // of the view that is known
  uint64_t inputs = 0;                          // tls_inputs when it was built
};

class Builder::Parts {
 public:
  template <typename T>
  using ByText = std::unordered_map<std::string, T, TextHash, TextEqual>;

  // What nobody can say any more is forgotten: messages go, what was built stays.
  void forget_messages();

  EndpointResolver resolver;
  uint64_t version = 0;

  // -- what the latest build was shown, and what was drawn from it; nothing is known: the next one looks at everything
  bool knows_view = false;
  ResourceView view;
  std::string era;                            // the settings that every host and upstream may depend on
  std::set<std::string> named_upstreams;      // with host names among their endpoints: asked for each time
  std::set<std::string> upstreams_of_secrets; // made of TlsSecrets
  std::set<std::string> upstreams_of_clients; // that are told who the client is
  std::set<std::string> asking_hosts;         // for client certificates
  std::set<std::string> asking_tables;
  std::set<std::string> unbuilt_upstreams;    // failed
  std::set<std::string> unbuilt_hosts;
  uint64_t tls_inputs = 0;  // grows when something else than its message may change the TLS of a listener
  // Of messages that are looked at again and again: secrets, zones.
  std::unordered_map<const google::protobuf::Message*, std::string> prints;

  // -- what was built
  ByText<KnownUpstream> upstreams;
  upstream::UpstreamSlots slots;  // of the latest build
  ByText<KnownHost> hosts;
  std::map<std::string, KnownTable> tables;
  std::vector<std::string> gone_hosts;  // since the last retain()
  bool look_at_all = false;             // at the next retain(): more than hosts and upstreams may have gone

  // A slot whose Upstream has gone is given to another one only when no Snapshot is left that knew it: a request that
  // waits by an older one must not come to a stranger.
  struct RestingSlot {
    uint32_t slot;
    uint64_t version;  // the first Snapshot without the Upstream
  };
  std::vector<std::pair<uint64_t, std::weak_ptr<const Snapshot>>> living;  // by version
  std::vector<RestingSlot> resting_slots;                                 // by version
  std::vector<uint32_t> free_slots;
  void free_rested_slots();
  std::vector<std::string> new_slots;  // names that got theirs since the last retain()
  uint32_t next_slot = 0;
  upstream::UpstreamSlots retained;  // of the last retain()
  upstream::CellRegistry endpoint_cells;
  CellRegistry process_cells;
  const std::shared_ptr<std::atomic<uint32_t>> dns_ttl_cap_s = std::make_shared<std::atomic<uint32_t>>(0);
  std::unordered_map<std::string, Remembered<const tls::Certificate>> certificates;
  std::unordered_map<std::string, Remembered<const tls::TrustStore>> trust_stores;
  std::unordered_map<std::string, KnownListenerTls> listener_tls;
  std::unordered_map<std::string, Remembered<const observe::AccessLog>> access_logs;
  std::unordered_map<std::string, Remembered<const net::StreamHandler>> stream_handlers;
  std::unordered_map<std::string, Remembered<const net::DatagramHandler>> datagram_handlers;
  std::unordered_map<std::string, Remembered<const dns::ZoneSet>> zone_sets;  // by the names of their zones
  std::unordered_map<std::string, Remembered<const handlers::DnsForwardSettings>> dns_resolvers;
};

// One build: reads messages, fills a Snapshot, collects problems.
class Build {
 public:
  Build(Builder::Parts& parts, const ResourceView& view) : parts_(parts), view_(view) {}
  BuildOutcome run();

 private:
  // build_changes.cc: what is to be built. From the view before to this one, and what failed or must be asked for again.
  void find_changes();
  [[nodiscard]] std::string era() const;
  void find_gone();
  void note_secrets(const ResourceView& before);
  void note_zones(const ResourceView& before);
  void note_tables(const ResourceView& before);
  void note_hosts(const ResourceView& before);
  void note_upstreams(const ResourceView& before);
  void note_shards(const ResourceView& before);
  void count_sessions(const v1::VirtualHost& host, int by);
  void rebuild_hosts_of(const std::set<std::string>& upstreams);

  // build_tls.cc
  std::shared_ptr<const tls::Certificate> certificate(const std::string& secret);
  std::shared_ptr<const tls::TrustStore> trust_store(const std::string& secret);
  std::shared_ptr<const ListenerTls> listener_tls(const std::shared_ptr<const v1::Listener>& message);
  std::shared_ptr<const ListenerTls> make_listener_tls(const v1::Listener& listener,
                                                       std::shared_ptr<const tls::ClientRules> rules,
                                                       const std::string& rules_print, const ListenerTls* before);
  // The certificates that the hosts of a route table ask for; null: none does.
  std::shared_ptr<const tls::ClientRules> client_rules(const std::string& table, std::string* fingerprint);
  std::shared_ptr<const tls::ClientSettings> client_tls(const v1::UpstreamTls& message, const v1::Upstream& upstream);
  const v1::TlsSecret* secret(const std::string& name) const { return view_.find<v1::TlsSecret>(name); }
  // Of the secret as it is now; empty: there is none.
  const std::string& print_of_secret(const std::string& name);

  // build_upstreams.cc
  void build_upstreams();
  std::shared_ptr<const upstream::Upstream> upstream(const v1::Upstream& message, KnownUpstream& known);
  std::shared_ptr<const upstream::UpstreamSettings> upstream_settings(const v1::Upstream& message, KnownUpstream& known);
  std::vector<upstream::Endpoint> endpoints(const v1::Upstream& message, const KnownUpstream& known);
  uint32_t slot_of(const std::string& upstream);

  // build_routes.cc
  void build_hosts();
  void build_tables();
  std::shared_ptr<const routing::VirtualHost> virtual_host(const v1::VirtualHost& message, const v1::RouteTable& table,
                                                           const std::string& table_print, KnownHost& known);
  std::shared_ptr<const routing::Route> route(const v1::Route& message, const v1::VirtualHost& host,
                                              const v1::RouteTable& table);
  bool add_match(const v1::RouteMatch& message, routing::Route& route);
  using HeadChanges = std::vector<std::shared_ptr<const http::HeadChange>>;
  std::shared_ptr<const http::Handler> handler(const v1::Route& message, const v1::RouteTable& table,
                                               HeadChanges changes);

  // build_proxy.cc
  std::shared_ptr<const http::Handler> proxy(const v1::ProxyAction& action, const v1::RouteTable& table,
                                             HeadChanges changes);
  bool backend_filters(const google::protobuf::RepeatedPtrField<v1::HttpFilter>& messages,
                       handlers::ProxyBackend& backend);
  std::string balance_refusal(const v1::ProxyAction& action) const;  // empty: nothing is wrong
  bool choices(const v1::ProxyAction& action, handlers::ProxyOptions& options);

  // build_refusals.cc
  void refuse_what_is_not_built();
  static std::string unbuilt_option(const v1::ProxyAction& action);  // empty: none

  // build_filters.cc
  struct PhasedFilter {
    int phase;
    std::shared_ptr<const http::Filter> filter;
    bool certificate = false;  // judges client certificates
  };
  // Of one route, while they are gathered from its table, its host and itself.
  struct RouteFilters {
    HeadChanges* head_changes = nullptr;  // null: the handler sends nothing upstream
    std::vector<PhasedFilter> list{};
    std::vector<std::shared_ptr<const filters::AccessCheck>> access{};
    bool any_access = false;
    bool asks_certificate = false;
    bool compresses = false;
    bool drop_authorization = false;
  };
  // `scope`: a name for limits that have none of their own.
  void add_filters(const google::protobuf::RepeatedPtrField<v1::HttpFilter>& messages, const std::string& scope,
                   RouteFilters& into);
  void finish_access(RouteFilters& filters);
  std::shared_ptr<const http::Filter> filter(const v1::HttpFilter& message);
  std::shared_ptr<const filters::AccessCheck> access_check(const v1::HttpFilter& message);
  void add_client_certificate(const v1::ClientCertificateAccess& message, RouteFilters& into);
  std::shared_ptr<const http::Filter> error_pages(const v1::ErrorPages& message, std::string* why);
  std::shared_ptr<const filters::AccessCheck> external_auth(const v1::ExternalAuth& message);
  std::optional<filters::LimitKey> limit_key(const std::string& name, const std::string& text, std::string* why);
  // The slots of the Upstreams that filters name: part of the fingerprint of what is built from them.
  std::string slots_of(const google::protobuf::RepeatedPtrField<v1::HttpFilter>& messages);

  // build_listeners.cc
  void build_listeners();
  std::shared_ptr<const Listener> listener(const std::shared_ptr<const v1::Listener>& shared);
  std::shared_ptr<const observe::AccessLog> access_log();
  void add_http(const v1::Listener& message, Listener& listener);

  // build_forward.cc
  void add_handlers(const v1::Listener& message, Listener& listener);
  void add_forward(const v1::Listener& message, Listener& listener);
  handlers::ForwardRule forward_rule(const v1::Listener& listener, const v1::ForwardRule& message);

  // build_dns.cc
  void add_dns(const v1::Listener& message, Listener& listener);
  std::shared_ptr<const dns::ZoneSet> zone_set(const v1::DnsService& service);
  std::shared_ptr<const handlers::DnsForwardSettings> resolvers(const v1::DnsService& service);

  // Remembered: for messages whose changes build_changes.cc takes note of.
  const std::string& print_of(const google::protobuf::Message& message);
  void error(check::Kind kind, std::string_view resource, std::string_view field, std::string message);
  [[nodiscard]] bool failed() const { return errors_ > 0; }

  Builder::Parts& parts_;
  const ResourceView& view_;
  std::set<std::string> dirty_upstreams_;
  std::set<std::string> dirty_hosts_;
  std::shared_ptr<Snapshot> snapshot_;
  std::vector<check::Problem> problems_;
  size_t errors_ = 0;  // among them
  std::string filter_scope_;    // of the filter being built
  std::string host_name_;       // VirtualHost being built: for problems
  std::string matched_prefix_;  // of the Route being built: what a prefix rewrite replaces
};

// build_routes.cc
Result<http::TextMatcher> text_matcher_of(const v1::TextMatch& message, std::string* why);
std::string without_final_slash(std::string path);
// build_tls.cc: the name of the tls::ClientRule that serves it.
std::string client_rule_name(const v1::ClientCertificateAccess& message);

inline Duration to_duration(const google::protobuf::Duration& message) {
  return std::chrono::seconds(message.seconds()) + std::chrono::nanoseconds(message.nanos());
}
// Equal texts: equal messages. Serialization is deterministic because resource bodies have no map fields.
template <typename... Messages>
std::string fingerprint_of(const Messages&... messages) {
  std::string bytes;
  (messages.AppendToString(&bytes), ...);
  return bytes.size() <= 64 ? bytes : std::to_string(bytes.size()) + ":" + Fingerprint(bytes).text();
}

}  // namespace headgate::snapshot
