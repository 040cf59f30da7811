#include "dataplane/http2/field_rules.h"

#include <algorithm>
#include <cstring>

namespace headgate::http2 {

using http::FieldId;

namespace {

constexpr std::array<uint8_t, 256> kNameFlaws = [] {
  std::array<uint8_t, 256> flaws{};
  for (int c = 0; c < 256; ++c) {
    if (!is_token_char(static_cast<char>(c))) flaws[c] = kNameInvalid;
    if (c >= 'A' && c <= 'Z') flaws[c] = kNameUpper;
  }
  return flaws;
}();

// Sixteen bytes at once, in the vectors that GCC and Clang have for every machine.
using Vector = uint8_t __attribute__((vector_size(16)));

Vector load(const char* from) {
  Vector vector;
  std::memcpy(&vector, from, sizeof(vector));
  return vector;
}

// 4 to 16 bytes; the second half overlaps the first.
template <typename Half>
Vector load_halves(std::string_view text) {
  std::array<Half, 16 / sizeof(Half)> halves;
  halves.fill(' ' * static_cast<Half>(0x0101010101010101));
  std::memcpy(&halves[0], text.data(), sizeof(Half));
  std::memcpy(&halves[1], text.data() + text.size() - sizeof(Half), sizeof(Half));
  Vector vector;
  std::memcpy(&vector, halves.data(), sizeof(vector));
  return vector;
}

// Ones where a byte is a control; a tab is taken for one.
Vector controls(Vector bytes) { return Vector((bytes < 0x20) | (bytes == 0x7f)); }

bool any(Vector flags) {
  std::array<uint64_t, 2> words;
  std::memcpy(words.data(), &flags, sizeof(words));
  return (words[0] | words[1]) != 0;
}

// Fields of HTTP/1's connections (RFC 9113 8.2.2).
bool is_of_connection(FieldId id) {
  switch (id) {
    case FieldId::kConnection:
    case FieldId::kKeepAlive:
    case FieldId::kProxyConnection:
    case FieldId::kTransferEncoding:
    case FieldId::kUpgrade: return true;
    default: return false;
  }
}

}  // namespace

uint8_t flaws_of_name(std::string_view name) {
  uint8_t flaws = name.empty() ? kNameInvalid : 0;
  for (const char c : name) flaws |= kNameFlaws[static_cast<uint8_t>(c)];
  return flaws;
}

bool is_clean_value(std::string_view value) {
  const size_t size = value.size();
  if (size < 4) return is_field_value(value);
  Vector found;
  if (size <= 8) {
    found = controls(load_halves<uint32_t>(value));
  } else if (size <= 16) {
    found = controls(load_halves<uint64_t>(value));
  } else {
    found = controls(load(value.data() + size - 16));
    for (size_t at = 0; at + 16 < size; at += 16) found |= controls(load(value.data() + at));
  }
  return !any(found) || is_field_value(value);
}

bool is_http2_value(std::string_view value) {
  if (value.empty()) return true;
  return !is_space(value.front()) && !is_space(value.back()) && is_clean_value(value);
}

PseudoField pseudo_field(std::string_view name) {
  switch (name.size()) {
    case 5: return name == ":path" ? PseudoField::kPath : PseudoField::kNone;
    case 7:
      if (name == ":method") return PseudoField::kMethod;
      if (name == ":scheme") return PseudoField::kScheme;
      return name == ":status" ? PseudoField::kStatus : PseudoField::kNone;
    case 9: return name == ":protocol" ? PseudoField::kProtocol : PseudoField::kNone;
    case 10: return name == ":authority" ? PseudoField::kAuthority : PseudoField::kNone;
    default: return PseudoField::kNone;
  }
}

bool FieldRules::allow(FieldId id, std::string_view name, std::string_view value) {
  allowed_ = 0;  // pseudo-fields come first
  const bool good_name = id != FieldId::kOther ? name == lower_name(id) : flaws_of_name(name) == 0;
  if (!good_name || !is_http2_value(value) || is_of_connection(id)) return false;
  return id != FieldId::kTe || equals_ignore_case(value, "trailers");
}

PseudoField FieldRules::allow_pseudo(std::string_view name, std::string_view value) {
  const PseudoField field = pseudo_field(name);
  const auto bit = static_cast<uint8_t>(field);
  if ((allowed_ & bit) == 0 || (seen_ & bit) != 0 || !is_http2_value(value)) return PseudoField::kNone;
  seen_ |= bit;
  return field;
}

bool is_scheme(std::string_view text) {
  return !text.empty() && is_alpha(text.front()) && std::all_of(text.begin(), text.end(), [](char c) {
    return is_alpha(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
  });
}

}  // namespace headgate::http2
