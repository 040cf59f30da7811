// hash.h -- hashes for tables (keyed: a client cannot aim at one bucket) and for balancing (stable for ever).
// Thread: any.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace headgate {

// FNV-1a with a final mix. Stable across versions and machines: balancing and content versions rely on it.
constexpr uint64_t stable_hash(std::string_view text, uint64_t seed = 0) {
  uint64_t hash = 0xcbf29ce484222325U ^ seed;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3U;
  hash ^= hash >> 32;
  hash *= 0xd6e8feb86659fd93U;
  return hash ^ (hash >> 32);
}

// Different in every process: for tables that hold what clients send.
uint64_t keyed_hash(std::string_view text);

// For unordered containers with std::string keys looked up by string_view without a copy.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return keyed_hash(text); }
};
using TextEqual = std::equal_to<>;

}  // namespace headgate
