#include "controlplane/inject/pod_editor.h"

#include <algorithm>

namespace headgate::inject {
namespace {

// RFC 6901 3.
std::string escape(std::string_view key) {
  std::string escaped;
  for (const char c : key) {
    if (c == '~') {
      escaped += "~0";
    } else if (c == '/') {
      escaped += "~1";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

size_t index_of(const Json& list, std::string_view name) {
  for (size_t i = 0; i < list.size(); ++i) {
    if (text_member(list[i], "name") == name) return i;
  }
  return list.size();
}

}  // namespace

const Json& member(const Json& json, std::string_view key) {
  static const Json kNull;
  if (!json.is_object()) return kNull;
  const auto found = json.find(std::string(key));
  return found == json.end() ? kNull : *found;
}

std::string text_member(const Json& json, std::string_view key) {
  const Json& value = member(json, key);
  return value.is_string() ? value.get_ref<const std::string&>() : std::string();
}

bool true_member(const Json& json, std::string_view key) {
  const Json& value = member(json, key);
  return value.is_boolean() && value.get<bool>();
}

TextMap text_map(const Json& json) {
  TextMap map;
  if (!json.is_object()) return map;
  for (const auto& [key, value] : json.items()) {
    if (value.is_string()) map.emplace(key, value.get_ref<const std::string&>());
  }
  return map;
}

const Json& named(const Json& list, std::string_view name) {
  static const Json kNull;
  if (!list.is_array()) return kNull;
  const size_t at = index_of(list, name);
  return at == list.size() ? kNull : list[at];
}

bool covers(const Json& existing, const Json& wanted) {
  if (wanted.is_object()) {
    if (!existing.is_object()) return false;
    for (const auto& [key, value] : wanted.items()) {
      const auto found = existing.find(key);
      if (found == existing.end() || !covers(*found, value)) return false;
    }
    return true;
  }
  // Lists of objects are sets to Kubernetes (ports, mounts); lists of texts are not (arguments).
  const bool is_set = wanted.is_array() && !wanted.empty() && wanted.front().is_object();
  if (!is_set) return existing == wanted;
  if (!existing.is_array()) return false;
  return std::ranges::all_of(wanted, [&](const Json& one) {
    return std::ranges::any_of(existing, [&](const Json& other) { return covers(other, one); });
  });
}

void PodEditor::add_operation(const char* verb, const std::string& path, const Json* value) {
  Json operation = {{"op", verb}, {"path", path}};
  if (value != nullptr) operation["value"] = *value;
  patch_.push_back(std::move(operation));
}

// pod.FIRST.SECOND, made empty where it is missing.
Json& PodEditor::parent(const char* first, std::string_view second, const Json& empty) {
  static const Json kObject = Json::object();
  const std::string path = std::string("/") + first;
  if (!member(pod_, first).is_object()) {
    pod_[first] = kObject;
    add_operation("add", path, &kObject);
  }
  Json& holder = pod_[first];
  const std::string key(second);
  if (member(holder, key).type() != empty.type()) {
    holder[key] = empty;
    add_operation("add", path + "/" + key, &empty);
  }
  return holder[key];
}

void PodEditor::set_annotation(std::string_view key, const std::string& value) {
  Json& annotations = parent("metadata", "annotations", Json::object());
  const std::string name(key);
  const auto found = annotations.find(name);
  if (found != annotations.end() && *found == value) return;
  const Json text = value;
  add_operation(found == annotations.end() ? "add" : "replace", "/metadata/annotations/" + escape(key), &text);
  annotations[name] = text;
}

void PodEditor::remove_annotation(std::string_view key) {
  const std::string name(key);
  if (!member(member(pod_, "metadata"), "annotations").contains(name)) return;
  pod_["metadata"]["annotations"].erase(name);
  add_operation("remove", "/metadata/annotations/" + escape(key), nullptr);
}

void PodEditor::set_named(std::string_view list, const Json& element, Place place, bool keep_covering) {
  Json& elements = parent("spec", list, Json::array());
  const std::string path = "/spec/" + std::string(list) + "/";
  const size_t at = index_of(elements, text_member(element, "name"));
  if (at < elements.size()) {
    if (keep_covering ? covers(elements[at], element) : elements[at] == element) return;
    elements[at] = element;
    add_operation("replace", path + std::to_string(at), &element);
    return;
  }
  elements.insert(place == Place::kFront ? elements.begin() : elements.end(), element);
  add_operation("add", path + (place == Place::kFront ? "0" : "-"), &element);
}

void PodEditor::remove_named(std::string_view list, std::string_view name) {
  const Json& elements = member(member(pod_, "spec"), list);
  if (!elements.is_array()) return;
  const size_t at = index_of(elements, name);
  if (at == elements.size()) return;
  pod_["spec"][std::string(list)].erase(at);
  add_operation("remove", "/spec/" + std::string(list) + "/" + std::to_string(at), nullptr);
}

}  // namespace headgate::inject
