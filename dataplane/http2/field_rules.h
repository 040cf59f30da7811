// field_rules.h -- which fields a message of HTTP/2 may have: names in lower case, values without controls, pseudo-fields
// first and once, nothing that speaks of the connection.
//
// A message that breaks a rule is malformed, whatever HTTP/1 would make of it: these are the ways in which requests are
// smuggled past a proxy that speaks HTTP/1 behind.
// Spec: RFC 9113 8.2, 8.3.   Thread: any (values).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/base/text.h"
#include "dataplane/http/field_id.h"

namespace headgate::http2 {

inline constexpr auto kLowerNames = [] {
  std::array<std::array<char, 24>, http::kFieldIds> texts{};
  for (size_t id = 0; id < texts.size(); ++id) {
    for (size_t at = 0; at < http::kFieldNames[id].size(); ++at) texts[id][at] = to_lower(http::kFieldNames[id][at]);
  }
  return texts;
}();
// The names we know as HTTP/2 writes them; static. Empty for kOther.
constexpr std::string_view lower_name(http::FieldId id) {
  return {kLowerNames[static_cast<size_t>(id)].data(), http::field_name(id).size()};
}

// Bits, so that one pass over a name finds both.
inline constexpr uint8_t kNameInvalid = 1;  // not a token
inline constexpr uint8_t kNameUpper = 2;    // not in lower case
uint8_t flaws_of_name(std::string_view name);
// As is_field_value(), sixteen bytes at a time.
bool is_clean_value(std::string_view value);
// The same, and no white space at either end.
bool is_http2_value(std::string_view value);

enum class PseudoField : uint8_t {
  kNone = 0,
  kMethod = 1,
  kScheme = 2,
  kAuthority = 4,
  kPath = 8,
  kProtocol = 16,
  kStatus = 32,
};
PseudoField pseudo_field(std::string_view name);

// The fields of one header block, in the order in which they come.
class FieldRules {
 public:
  // `pseudo`: bits of PseudoField that may come; none in trailers.
  explicit constexpr FieldRules(uint8_t pseudo) : allowed_(pseudo) {}
  static constexpr uint8_t kRequest = 31;
  static constexpr uint8_t kResponse = 32;
  static constexpr uint8_t kTrailers = 0;

  // False: malformed. `id` is field_id(name).
  [[nodiscard]] bool allow(http::FieldId id, std::string_view name, std::string_view value);
  // A field whose name begins with a colon; kNone: malformed.
  [[nodiscard]] PseudoField allow_pseudo(std::string_view name, std::string_view value);
  [[nodiscard]] bool has(PseudoField field) const { return (seen_ & static_cast<uint8_t>(field)) != 0; }

 private:
  uint8_t allowed_;
  uint8_t seen_ = 0;
};

// :scheme (RFC 3986 3.1).
bool is_scheme(std::string_view text);

}  // namespace headgate::http2
