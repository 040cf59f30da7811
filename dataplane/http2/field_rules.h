// field_rules.h -- which fields a message of HTTP/2 may have: names in lower case, values without controls, pseudo-fields
// first and once, nothing that speaks of the connection.
//
// A message that breaks a rule is malformed, whatever HTTP/1 would make of it: these are the ways in which requests are
// smuggled past a proxy that speaks HTTP/1 behind.
// Spec: RFC 9113 8.2, 8.3.   Thread: any (values).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "dataplane/base/text.h"
#include "dataplane/http/header_map.h"

namespace headgate::http2 {

// The names we know as HTTP/2 writes them; static texts. That of kOther is empty.
class LowerNames {
 public:
  LowerNames();
  LowerNames(const LowerNames&) = delete;
  LowerNames& operator=(const LowerNames&) = delete;
  [[nodiscard]] std::string_view of(http::FieldId id) const { return names_[static_cast<size_t>(id)]; }

 private:
  static constexpr size_t kIds = static_cast<size_t>(http::FieldId::kCount);
  static constexpr size_t kMaxName = 24;
  std::array<std::array<char, kMaxName>, kIds> texts_{};
  std::array<std::string_view, kIds> names_{};
};
extern const LowerNames kLowerNames;

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
