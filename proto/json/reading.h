// reading.h -- what the sections of the file share while it is read.
// Thread: any; one per read_config() call.   Owner: config_file.cc.
// The shape of the text is checked before; sections find each value absent or of the right kind, or skip it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "headgate/config/v1/resources.pb.h"
#include "proto/check/check.h"
#include "proto/json/config_file.h"
#include "proto/json/uri.h"

namespace headgate::json {

// Where each field of a message came from.
class Positions {
 public:
  void add(check::Kind kind, std::string_view resource, std::string_view field_path, NodeId node);
  // For long lists: element i of `field_path` came from nodes[i].
  void add_list(check::Kind kind, std::string_view resource, std::string_view field_path, std::vector<NodeId> nodes);
  // The nearest enclosing field that is known; kNoNode if the resource is not.
  [[nodiscard]] NodeId find(check::Kind kind, std::string_view resource, std::string_view field_path) const;

 private:
  std::unordered_map<std::string, NodeId> nodes_;
  std::unordered_map<std::string, std::vector<NodeId>> lists_;
};

// A listener as the other sections see it.
struct ListenerEntry {
  std::string name;
  Uri uri;
  bool usable = false;  // its address could be read
  int index = -1;       // into resources.listeners()
  NodeId node = kNoNode;
  enum class Use : uint8_t { kNone, kHttp, kStream } use = Use::kNone;  // what the rules so far make of it
};

struct UpstreamEntry {
  int index = -1;          // into resources.upstreams(); -1: its targets could not be read
  bool undecided = false;  // only unix:// targets: the first rule that uses it decides what is spoken
};

class Reading {
 public:
  Reading(const Document& document, const ReadOptions& read_options, ConfigFile& result)
      : doc(document), options(read_options), out(result), set(result.resources) {}

  // rule: stable name for tests.
  void error(NodeId node, std::string_view rule, std::string message);
  void warning(NodeId node, std::string_view rule, std::string message);
  // For unknown keys: the place is the key, not the value.
  void error_at_key(NodeId node, std::string_view rule, std::string message);
  void add_check_problems(const std::vector<check::Problem>& problems);

  // Values of a member; nullopt when absent or of another kind (which is reported already).
  [[nodiscard]] NodeId member(NodeId object, std::string_view key) const {
    return object == kNoNode ? kNoNode : doc.find(object, key);
  }
  [[nodiscard]] std::optional<std::string_view> text(NodeId node) const;
  [[nodiscard]] std::optional<std::string_view> text(NodeId object, std::string_view key) const {
    return text(member(object, key));
  }
  [[nodiscard]] std::optional<double> number(NodeId node) const;
  [[nodiscard]] std::optional<double> number(NodeId object, std::string_view key) const {
    return number(member(object, key));
  }
  [[nodiscard]] std::optional<bool> truth(NodeId object, std::string_view key) const;
  // The elements of a list, or the value itself when it is none.
  [[nodiscard]] std::vector<NodeId> each(NodeId node) const;
  [[nodiscard]] std::vector<std::string> texts(NodeId object, std::string_view key) const;
  [[nodiscard]] bool is_object(NodeId node) const {
    return node != kNoNode && doc.node(node).kind == NodeKind::kObject;
  }

  template <typename Unsigned>
  [[nodiscard]] std::optional<Unsigned> whole(NodeId object, std::string_view key) const {
    const auto value = number(object, key);
    if (!value || *value < 0) return std::nullopt;
    return static_cast<Unsigned>(*value);
  }
  // Seconds with fractions -> Duration of whole nanoseconds.
  bool duration(NodeId object, std::string_view key, google::protobuf::Duration* into) const;
  // The same into what `field()` gives, which is only made when there is a value.
  template <typename Field>
  void duration(NodeId object, std::string_view key, const Field& field) const {
    if (google::protobuf::Duration value; duration(object, key, &value)) *field() = value;
  }

  [[nodiscard]] std::string resolve(std::string_view path) const;  // against the folder of the file
  // Reads the file that `node` names; nullopt after reporting.
  std::optional<std::string> contents(NodeId node);

  // TLS material, each file once. Empty when it could not be read, which is reported.
  std::string certificate_secret(NodeId holder, NodeId cert, NodeId key);
  std::string authority_secret(NodeId file);

  // The upstream for the target `uri` written at `node` (no upstream://) with the tls and proxy_protocol of `rule`;
  // made at first use. `http`: what is spoken over unix://. Empty after reporting.
  std::string inline_upstream(const Uri& uri, NodeId node, NodeId rule, bool http);
  // Fills tls and proxy_protocol of an upstream out of `holder`.
  void upstream_tls(config::v1::Upstream& upstream, NodeId holder, bool tls_targets);
  bool balance(NodeId holder, config::v1::LoadBalancing* into);
  // The object `retry` of `holder`. False: there is none.
  bool retry(NodeId holder, config::v1::RetryPolicy* into);
  // Everything of resilience.cc that an upstream may say.
  void resilience(config::v1::Upstream& upstream, NodeId node);

  ListenerEntry* listener(std::string_view name);

  const Document& doc;
  const ReadOptions& options;
  ConfigFile& out;
  config::v1::ResourceSet& set;
  Positions positions;
  std::vector<ListenerEntry> listeners;
  std::map<std::string, UpstreamEntry, std::less<>> upstreams;  // the named ones

 private:
  void report(Severity severity, uint32_t offset, NodeId node, std::string_view rule, std::string message);
  [[nodiscard]] bool has_error_within(NodeId node) const;

  std::set<NodeId> error_nodes_;  // where the reader itself found something
  std::map<std::pair<std::string, std::string>, std::string> certificates_;
  std::map<std::string, std::string> authorities_;
  std::set<std::string> inline_upstreams_;
};

// One per section, in the order they are called.
void read_listen(Reading& reading, NodeId root);
void read_tls(Reading& reading, NodeId root);       // tls of the file and of each listener
void read_timeouts(Reading& reading, NodeId root);  // timeouts and limits, of the file and of listeners
void read_logging(Reading& reading, NodeId root);   // logging, admin, temp_dir, trusted_proxies
void read_upstreams(Reading& reading, NodeId root);
void read_dns(Reading& reading, NodeId root);
void read_dispatch(Reading& reading, NodeId root);

}  // namespace headgate::json
