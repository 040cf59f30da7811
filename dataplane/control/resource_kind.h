// resource_kind.h -- what is the same for resources of every kind: from bytes to a message, its checks, its place in a set.
// Thread: any (pure).   Owner: -.
#pragma once

#include <compare>
#include <ctime>
#include <memory>
#include <string>

#include <google/protobuf/message.h>

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
check::Kind check_kind_of(control::v1::Kind kind);
control::v1::Kind kind_of(check::Kind kind);

// Null: the bytes are not a message of this kind. `kind` is known, here and below.
MessagePtr parse_resource(control::v1::Kind kind, const std::string& body);
const std::string& name_of(control::v1::Kind kind, const google::protobuf::Message& message);
void normalize_resource(control::v1::Kind kind, google::protobuf::Message& message,
                        const config::v1::ProxySettings& settings);
void check_resource(control::v1::Kind kind, const google::protobuf::Message& message, std::time_t now,
                    check::Problems& problems);

// A ResourceSet of messages that belong to somebody else: composing it copies pointers. What is added must outlive it.
class BorrowedSet {
 public:
  BorrowedSet() = default;
  ~BorrowedSet() { clear(); }
  BorrowedSet(const BorrowedSet&) = delete;
  BorrowedSet& operator=(const BorrowedSet&) = delete;

  void add(control::v1::Kind kind, google::protobuf::Message& message);
  void add_all(config::v1::ResourceSet& set);
  void clear();
  [[nodiscard]] const config::v1::ResourceSet& set() const { return set_; }

 private:
  config::v1::ResourceSet set_;
};

}  // namespace headgate::control
