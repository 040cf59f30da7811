// kinds.h -- the table of the kinds that are watched: where the API serves them, and the message they are decoded into.
// Thread: any (constant).
#pragma once

#include <google/protobuf/message.h>

#include <span>
#include <string>
#include <string_view>

#include "controlplane/kube/object_sink.h"

namespace headgate::kube {

struct KindRow {
  ObjectKind kind;
  std::string_view name;     // "Ingress"
  std::string_view group;    // "" for the core group; "networking.k8s.io"
  std::string_view version;  // "v1"
  std::string_view plural;   // "ingresses"
  bool namespaced;
  const google::protobuf::Message& (*prototype)();
};

std::span<const KindRow> kinds();
const KindRow& row_of(ObjectKind kind);

// "/apis/networking.k8s.io/v1/namespaces/shop/ingresses"; `name_space` empty: of every namespace. What is of no
// namespace has one collection.
std::string collection_path(const KindRow& row, std::string_view name_space);
// Of any kind, known here or not: group "", version "v1", plural "services".
std::string object_path(std::string_view group, std::string_view version, std::string_view plural,
                        std::string_view name_space, std::string_view name);

}  // namespace headgate::kube
