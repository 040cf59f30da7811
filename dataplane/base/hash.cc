#include "dataplane/base/hash.h"

#include <array>
#include <cstring>

#include "dataplane/base/random.h"

namespace headgate {
namespace {

__extension__ using Wide = unsigned __int128;

struct Key {
  std::array<uint64_t, 2> words{};
  Key() { fill_secure_random({reinterpret_cast<uint8_t*>(words.data()), sizeof(words)}); }
};

uint64_t mix(uint64_t a, uint64_t b) {
  const auto product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

}  // namespace

uint64_t keyed_hash(std::string_view text) {
  static const Key key;
  // Multiply-fold over eight bytes at a time; both operands depend on the key.
  uint64_t hash = key.words[0] ^ text.size();
  const char* at = text.data();
  size_t left = text.size();
  while (left >= 8) {
    uint64_t word = 0;
    std::memcpy(&word, at, 8);
    hash = mix(hash ^ word, key.words[1] | 1);
    at += 8;
    left -= 8;
  }
  uint64_t tail = 0;
  if (left > 0) std::memcpy(&tail, at, left);
  return mix(hash ^ tail ^ 0x9e3779b97f4a7c15U, key.words[1] ^ key.words[0] ^ 0x8ebc6af09c88c6e3U);
}

}  // namespace headgate
