#include "controlplane/kube/json.h"

namespace headgate::kube {

Json parse_json(std::string_view text) { return Json::parse(text.begin(), text.end(), nullptr, false); }

std::string to_text(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

const Json& child_of(const Json& json, std::string_view key) {
  static const Json kNothing;
  if (!json.is_object()) return kNothing;
  const auto found = json.find(key);
  return found == json.end() ? kNothing : *found;
}

std::string text_at(const Json& json, std::string_view key) {
  const Json& value = child_of(json, key);
  return value.is_string() ? value.get_ref<const std::string&>() : std::string();
}

uint64_t number_at(const Json& json, std::string_view key) {
  const Json& value = child_of(json, key);
  if (value.is_number_unsigned()) return value.get<uint64_t>();
  if (value.is_number_integer() && value.get<int64_t>() > 0) return static_cast<uint64_t>(value.get<int64_t>());
  return 0;
}

}  // namespace headgate::kube
