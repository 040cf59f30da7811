#include "dataplane/http2/field_rules.h"

#include <algorithm>
#include <cstring>

#include "dataplane/base/check.h"

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

// The high bit of a byte: it is below 0x20, or 0x7f. A borrow may mark one too many, which is looked at again.
uint64_t control_bits(uint64_t word) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  const uint64_t below = (word - kOnes * 0x20) & ~word;
  const uint64_t deleted = ((word ^ kOnes * 0x7f) - kOnes) & ~(word ^ kOnes * 0x7f);
  return (below | deleted) & (kOnes * 0x80);
}

template <typename Word>
uint64_t load(const char* from) {
  Word word;
  std::memcpy(&word, from, sizeof(word));
  return word;
}

bool is_space(char c) { return c == ' ' || c == '\t'; }

// The names we know in lower case.
class LowerNames {
 public:
  LowerNames() {
    for (size_t id = 0; id < kIds; ++id) {
      const std::string_view name = http::field_name(static_cast<FieldId>(id));
      HG_CHECK(name.size() <= kMaxName);
      std::transform(name.begin(), name.end(), texts_[id].begin(), to_lower);
      names_[id] = {texts_[id].data(), name.size()};
    }
  }
  LowerNames(const LowerNames&) = delete;
  LowerNames& operator=(const LowerNames&) = delete;
  [[nodiscard]] std::string_view of(FieldId id) const { return names_[static_cast<size_t>(id)]; }

 private:
  static constexpr size_t kIds = static_cast<size_t>(FieldId::kCount);
  static constexpr size_t kMaxName = 24;
  std::array<std::array<char, kMaxName>, kIds> texts_{};
  std::array<std::string_view, kIds> names_{};
};
const LowerNames kLowerNames;

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

std::string_view lower_name(FieldId id) { return kLowerNames.of(id); }

uint8_t flaws_of_name(std::string_view name) {
  uint8_t flaws = name.empty() ? kNameInvalid : 0;
  for (const char c : name) flaws |= kNameFlaws[static_cast<uint8_t>(c)];
  return flaws;
}

// The last word overlaps the one before: no value has a tail that is read byte by byte, but the shortest.
bool is_clean_value(std::string_view value) {
  const char* const text = value.data();
  const size_t size = value.size();
  if (size < 4) return is_field_value(value);
  uint64_t controls = 0;
  if (size < 8) {
    controls = control_bits(load<uint32_t>(text) | load<uint32_t>(text + size - 4) << 32);
  } else {
    for (size_t at = 0; at + 8 < size; at += 8) controls |= control_bits(load<uint64_t>(text + at));
    controls |= control_bits(load<uint64_t>(text + size - 8));
  }
  return controls == 0 || is_field_value(value);
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
  const auto is_alpha = [](char c) { return to_lower(c) >= 'a' && to_lower(c) <= 'z'; };
  return !text.empty() && is_alpha(text.front()) && std::all_of(text.begin(), text.end(), [&](char c) {
    return is_alpha(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
  });
}

}  // namespace headgate::http2
