// credentials.h -- the Authorization header: a token that kubelet rotates is read again every minute and after a 401.
// Thread: any.   Owner: Transport.
#pragma once

#include <mutex>
#include <string>

#include "controlplane/kube/config.h"
#include "dataplane/base/clock.h"

namespace headgate::kube {

class Credentials {
 public:
  Credentials(const Config& config, const Clock& clock) : config_(config), clock_(clock) {}

  // "Bearer ..." or "Basic ..."; empty: anonymous, or known by a client certificate. A token file that cannot be read
  // leaves the token read before.
  std::string authorization();
  // The API server refused it: the next call reads the file again.
  void forget();

 private:
  std::string token();

  const Config& config_;
  const Clock& clock_;
  std::mutex mutex_;
  std::string file_token_;
  MonotonicTime read_at_{};
  bool stale_ = true;
};

}  // namespace headgate::kube
