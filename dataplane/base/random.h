// random.h -- per-worker generator (xoshiro256**), seeded from getrandom(2). Not for secrets.
// Thread: one owner.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace headgate {

class Random {
 public:
  Random();                                // seeded by the kernel
  explicit Random(uint64_t seed);          // reproducible, for tests
  uint64_t next();
  // Uniform in [0, bound); bound > 0.
  uint64_t below(uint64_t bound);
  // Uniform in [0, 1).
  double unit();

 private:
  std::array<uint64_t, 4> state_;
};

// Unpredictable bytes from the kernel: keys, identifiers.
void fill_secure_random(std::span<uint8_t> into);

}  // namespace headgate
