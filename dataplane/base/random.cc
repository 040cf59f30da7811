#include "dataplane/base/random.h"

#include <sys/random.h>

#include <bit>

#include "dataplane/base/check.h"

namespace headgate {
namespace {

__extension__ using Wide = unsigned __int128;

uint64_t split_mix(uint64_t& state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15U);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

}  // namespace

void fill_secure_random(std::span<uint8_t> into) {
  while (!into.empty()) {
    const ssize_t count = ::getrandom(into.data(), into.size(), 0);
    if (count < 0) continue;  // EINTR; the call cannot fail otherwise once the pool is ready
    into = into.subspan(static_cast<size_t>(count));
  }
}

Random::Random() : state_{} {
  fill_secure_random({reinterpret_cast<uint8_t*>(state_.data()), sizeof(state_)});
  state_[0] |= 1;  // the all-zero state is the only bad one
}

Random::Random(uint64_t seed) : state_{} {
  for (uint64_t& word : state_) word = split_mix(seed);
}

uint64_t Random::next() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

uint64_t Random::below(uint64_t bound) {
  HG_DCHECK(bound > 0);
  // Multiply-shift: the bias is below 2^-64 * bound, far under anything that balancing can see.
  return static_cast<uint64_t>((static_cast<Wide>(next()) * bound) >> 64);
}

double Random::unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

}  // namespace headgate
