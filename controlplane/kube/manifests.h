// manifests.h -- Kubernetes objects out of YAML or JSON files, as people keep them in folders.
// Thread: any (pure).   Owner: the caller.
// Scalars are typed as kubectl types them (YAML 1.1: an unquoted `on` is a boolean), so what the API server would
// refuse because of its type is an error here, too. Several documents per file and kind `List` are taken apart.
// Limits: 16 MiB per file, 100 levels, a million nodes after aliases.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "controlplane/kube/object_sink.h"

namespace headgate::kube {

struct ManifestFile {
  std::string name;  // for messages; "manifests/shop.yaml"
  std::string text;
};

struct ManifestObject {
  ObjectKind kind;
  ObjectPtr object;   // namespaced ones without a namespace are in "default"
  std::string where;  // "manifests/shop.yaml:12"
};

struct Manifests {
  std::vector<ManifestObject> objects;
  std::vector<std::string> errors;   // "FILE:LINE: what is wrong"
  std::vector<std::string> ignored;  // "FILE:LINE: Deployment shop/cart": kinds that nobody here reads
};

Manifests read_manifests(const std::vector<ManifestFile>& files);

}  // namespace headgate::kube
