// pod_editor.h -- changes a Pod as a tree and remembers each change as an operation of a JSON patch.
//
// The Pod is never written out again, only the patch: what we do not know survives.
// Spec: RFC 6902 (add, replace, remove), RFC 6901.
// Thread: any.   Owner: mutate().   Errors: none; what has another shape than a Pod reads as absent.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "controlplane/inject/annotations.h"

namespace headgate::inject {

using Json = nlohmann::json;

// The member; null when `json` is no object or has none.
const Json& member(const Json& json, std::string_view key);
std::string text_member(const Json& json, std::string_view key);
bool true_member(const Json& json, std::string_view key);
// An object of texts, as labels and annotations are.
TextMap text_map(const Json& json);
// The element of that name; null.
const Json& named(const Json& list, std::string_view name);

// Has `existing` all that `wanted` says? It may have more: fields that the API server filled in, mounts of others.
bool covers(const Json& existing, const Json& wanted);

class PodEditor {
 public:
  explicit PodEditor(const Json& pod) : pod_(pod) {}

  void set_annotation(std::string_view key, const std::string& value);
  void remove_annotation(std::string_view key);
  // Of a list of the spec: the element with the name of `element` becomes it; a new one goes to the front or to the
  // back. With `keep_covering` one that covers it stays as it is.
  enum class Place : uint8_t { kFront, kBack };
  void set_named(std::string_view list, const Json& element, Place place, bool keep_covering);
  void remove_named(std::string_view list, std::string_view name);

  [[nodiscard]] const Json& pod() const { return pod_; }
  [[nodiscard]] const Json& patch() const { return patch_; }

 private:
  void add_operation(const char* verb, const std::string& path, const Json* value);
  Json& parent(const char* first, std::string_view second, const Json& empty);

  Json pod_;
  Json patch_ = Json::array();
};

}  // namespace headgate::inject
