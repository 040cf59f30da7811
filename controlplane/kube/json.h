// json.h -- JSON documents as trees, for objects that are changed and sent back: fields we do not know survive.
// Objects that are only read are messages of proto/kubernetes instead (codec.h).
// Thread: any.   Errors: what is missing or of another type reads as empty; nothing throws.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace headgate::kube {

using Json = nlohmann::json;

// A discarded value (is_discarded()) when `text` is no JSON.
Json parse_json(std::string_view text);
// Bytes that are no UTF-8 become replacement characters.
std::string to_text(const Json& json);

// The member `key`; null when there is none or `json` is no object.
const Json& child_of(const Json& json, std::string_view key);
std::string text_at(const Json& json, std::string_view key);
uint64_t number_at(const Json& json, std::string_view key);  // 0 for what is no whole number from 0 on

}  // namespace headgate::kube
