// sha256.h -- the digest of what comes in parts; tls/crypto.h has it for what is there at once.
// Spec: FIPS 180-4.   Thread: one at a time.
#pragma once

#include <memory>
#include <string_view>

#include "dataplane/tls/crypto.h"

namespace headgate::tls {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void add(std::string_view part);
  // Once, after all parts.
  Sha256Digest take();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace headgate::tls
