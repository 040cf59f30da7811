#include "dataplane/filters/limit_key.h"

#include <array>
#include <cstring>

#include "dataplane/base/hash.h"

namespace headgate::filters {
namespace {

constexpr uint64_t mix(uint64_t a, uint64_t b) {
  uint64_t hash = (a ^ b) * 0x9e3779b97f4a7c15U;
  hash ^= hash >> 32;
  hash *= 0xd6e8feb86659fd93U;
  return hash ^ (hash >> 32);
}

}  // namespace

LimitKey::LimitKey(std::string_view name, std::optional<http::TextTemplate> text)
    : name_(keyed_hash(name)), text_(std::move(text)) {}

std::optional<uint64_t> LimitKey::of(http::Exchange& exchange) const {
  if (text_) {
    const std::string_view text = text_->expand(exchange);
    if (text.empty()) return std::nullopt;
    return mix(name_, keyed_hash(text));
  }
  const IpAddress& client = exchange.client_address;
  const auto* bytes = reinterpret_cast<const char*>(client.bytes().data());
  return mix(name_, keyed_hash({bytes, client.is_v4() ? size_t{16} : size_t{8}}));
}

std::optional<IpAddress> LimitKey::wide(http::Exchange& exchange) const {
  const auto key = of(exchange);
  if (!key) return std::nullopt;
  // Half of it the limit's name, so that two limits meet only when both halves do.
  std::array<uint8_t, 16> bytes;
  std::memcpy(bytes.data(), &*key, sizeof(*key));
  std::memcpy(bytes.data() + sizeof(*key), &name_, sizeof(name_));
  return IpAddress::v6(bytes);
}

}  // namespace headgate::filters
