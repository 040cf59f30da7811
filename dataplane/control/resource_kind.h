// resource_kind.h -- what is the same for resources of every kind: from bytes to a message, its checks, its place in a set.
// Thread: any (pure).   Owner: -.
#pragma once

#include <compare>
#include <ctime>
#include <memory>
#include <string>

#include <google/protobuf/message.h>

#include "dataplane/snapshot/resource_view.h"
#include "headgate/config/v1/resources.pb.h"
#include "headgate/control/v1/resource.pb.h"
#include "proto/check/check.h"

namespace headgate::control {

struct ResourceKey {
  control::v1::Kind kind = control::v1::KIND_UNSPECIFIED;
  std::string name;
  auto operator<=>(const ResourceKey&) const = default;
};

using MessagePtr = std::shared_ptr<google::protobuf::Message>;

// A kind this version knows.
bool is_known_kind(control::v1::Kind kind);
// One that holds private keys.
bool is_secret(control::v1::Kind kind);
check::Kind check_kind_of(control::v1::Kind kind);
control::v1::Kind kind_of(check::Kind kind);

// Null: the bytes are not a message of this kind. `kind` is known, here and below.
MessagePtr parse_resource(control::v1::Kind kind, const std::string& body);
const std::string& name_of(control::v1::Kind kind, const google::protobuf::Message& message);
void normalize_resource(control::v1::Kind kind, google::protobuf::Message& message,
                        const config::v1::ProxySettings& settings);
void check_resource(control::v1::Kind kind, const google::protobuf::Message& message, std::time_t now,
                    check::Problems& problems);

// visit(kind, message) for each resource of a set but its settings.
template <typename Visitor>
void visit_resources(const config::v1::ResourceSet& set, const Visitor& visit) {
  for (const auto& message : set.listeners()) visit(control::v1::KIND_LISTENER, message);
  for (const auto& message : set.route_tables()) visit(control::v1::KIND_ROUTE_TABLE, message);
  for (const auto& message : set.virtual_hosts()) visit(control::v1::KIND_VIRTUAL_HOST, message);
  for (const auto& message : set.upstreams()) visit(control::v1::KIND_UPSTREAM, message);
  for (const auto& message : set.endpoint_shards()) visit(control::v1::KIND_ENDPOINT_SHARD, message);
  for (const auto& message : set.tls_secrets()) visit(control::v1::KIND_TLS_SECRET, message);
  for (const auto& message : set.ticket_keys()) visit(control::v1::KIND_TICKET_KEYS, message);
  for (const auto& message : set.dns_zones()) visit(control::v1::KIND_DNS_ZONE, message);
}

// A ResourceSet of messages that belong to somebody else, to be read: composing it copies pointers. What is added must
// outlive it.
class BorrowedSet {
 public:
  BorrowedSet() = default;
  ~BorrowedSet() { clear(); }
  BorrowedSet(const BorrowedSet&) = delete;
  BorrowedSet& operator=(const BorrowedSet&) = delete;

  void add_all(const snapshot::ResourceView& view);
  void clear();
  [[nodiscard]] const config::v1::ResourceSet& set() const { return set_; }

 private:
  config::v1::ResourceSet set_;
};

}  // namespace headgate::control
