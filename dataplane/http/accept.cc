#include "dataplane/http/accept.h"

#include "dataplane/base/text.h"

namespace headgate::http {

namespace {

constexpr uint16_t kUnset = UINT16_MAX;
constexpr std::array<std::string_view, kCodings> kNames = {"identity", "gzip", "br", "zstd"};

}  // namespace

std::string_view coding_name(Coding coding) {
  return coding == Coding::kIdentity ? std::string_view() : kNames[static_cast<size_t>(coding)];
}

std::optional<uint16_t> parse_weight(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return std::nullopt;
  uint16_t weight = text[0] == '1' ? 1000 : 0;
  if (text.size() == 1) return weight;
  if (text[1] != '.') return std::nullopt;
  uint16_t scale = 100;
  for (const char c : text.substr(2)) {
    if (!is_digit(c)) return std::nullopt;
    weight = static_cast<uint16_t>(weight + (c - '0') * scale);
    scale = static_cast<uint16_t>(scale / 10);
  }
  if (weight > 1000) return std::nullopt;
  return weight;
}

AcceptEncoding AcceptEncoding::parse(const HeaderMap& headers) {
  AcceptEncoding accept;
  if (!headers.has(FieldId::kAcceptEncoding)) {
    accept.weights_[0] = 1000;
    return accept;
  }
  std::array<uint16_t, kCodings> named{};
  named.fill(kUnset);
  uint16_t others = kUnset;  // "*"
  for (const Field& field : headers.fields()) {
    if (field.id != FieldId::kAcceptEncoding) continue;
    std::string_view rest = field.value;
    while (const auto element = next_list_element(rest)) {
      const size_t semicolon = element->find(';');
      const std::string_view name = trim(element->substr(0, semicolon));
      uint16_t weight = 1000;
      if (semicolon != std::string_view::npos) {
        const std::string_view parameter = trim(element->substr(semicolon + 1));
        const auto parsed = starts_with_ignore_case(parameter, "q=") ? parse_weight(parameter.substr(2)) : std::nullopt;
        if (!parsed) continue;
        weight = *parsed;
      }
      if (name == "*") others = weight;
      for (size_t i = 0; i < kCodings; ++i) {
        if (equals_ignore_case(name, kNames[i])) named[i] = weight;
      }
      if (equals_ignore_case(name, "x-gzip")) named[static_cast<size_t>(Coding::kGzip)] = weight;  // 8.4.1.3
    }
  }
  for (size_t i = 0; i < kCodings; ++i) {
    accept.weights_[i] = named[i] != kUnset ? named[i] : others != kUnset ? others : 0;
  }
  // Identity is acceptable unless excluded, by name or by "*;q=0"; unnamed, anything else that is acceptable beats it.
  if (named[0] == kUnset) accept.weights_[0] = others == 0 ? 0 : 1;
  return accept;
}

Coding AcceptEncoding::choose(std::span<const Coding> available) const {
  Coding best = Coding::kIdentity;
  uint16_t best_weight = 0;
  for (const Coding coding : available) {
    if (weight(coding) > best_weight) {
      best = coding;
      best_weight = weight(coding);
    }
  }
  // A client that prefers identity by name gets it.
  return best_weight >= weight(Coding::kIdentity) ? best : Coding::kIdentity;
}

}  // namespace headgate::http
