#include "dataplane/http2/field_rules.h"

#include <algorithm>

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

bool is_space(char c) { return c == ' ' || c == '\t'; }

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
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kHigh = 0x8080808080808080;
  const char* at = value.data();
  size_t left = value.size();
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word = 0;
    std::memcpy(&word, at, sizeof(word));
    // The high bit of a byte: it is below 0x20; it is 0x7f. A borrow may mark one too many, which is looked at again.
    const uint64_t below = (word - kOnes * 0x20) & ~word;
    const uint64_t deleted = ((word ^ kOnes * 0x7f) - kOnes) & ~(word ^ kOnes * 0x7f);
    if (((below | deleted) & kHigh) != 0 && !is_field_value({at, 8})) return false;
  }
  return is_field_value({at, left});
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
  if (flaws_of_name(name) != 0 || !is_http2_value(value) || is_of_connection(id)) return false;
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
  const auto is_alpha = [](char c) { return to_lower(c) >= 'a' && to_lower(c) <= 'z'; };
  return !text.empty() && is_alpha(text.front()) && std::all_of(text.begin(), text.end(), [&](char c) {
    return is_alpha(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
  });
}

}  // namespace headgate::http2
