// ca_bundle.h -- keeps the roots in our MutatingWebhookConfigurations, so that the API server trusts the webhook.
//
// It watches the configurations with the label headgate.dev/webhook=true and puts the roots into each webhook whose
// name ends with ".headgate.dev", whenever they differ: an upgrade of a chart that blanks them is mended at once.
// During a rotation the bundle has both roots. A change is guarded by a test of the entry's name, since lists may be
// reordered.
// After kQuickTries changes or failures in a row it waits kPatience before each: two installations that fight over one
// object, or an API server that refuses, are not made worse.
// Thread: one of its own; start(), stop() that of the owner, set_roots() any.   Owner: main; the Transport outlives it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <string>

#include "controlplane/inject/pod_editor.h"
#include "controlplane/kube/rest.h"
#include "controlplane/kube/thread.h"
#include "controlplane/kube/transport.h"

namespace headgate::inject {

// What makes the bundle of every webhook of ours `bundle_base64`; empty when it is so already.
Json ca_bundle_patch(const Json& configuration, const std::string& bundle_base64);

struct CaBundleOptions {
  Duration quick = std::chrono::milliseconds(100);
  Duration patience = std::chrono::seconds(60);
};

class CaBundle {
 public:
  static constexpr int kQuickTries = 5;

  CaBundle(kube::Transport& transport, CaBundleOptions options = {}) : transport_(transport), options_(options) {}
  CaBundle(const CaBundle&) = delete;
  CaBundle& operator=(const CaBundle&) = delete;
  ~CaBundle() { stop(); }

  // Nothing is written before the first one.
  void set_roots(const std::string& roots_pem);
  Result<void> start();
  void stop();

  struct Counts {
    uint64_t written = 0;
    uint64_t failed = 0;
  };
  [[nodiscard]] Counts counts() const;

 private:
  enum class Outcome : uint8_t { kNothing, kChanged, kFailed };

  void run();
  Outcome synchronize(const std::string& bundle, std::string& version);
  void wait_for_change(const std::string& version, const std::stop_token& stop);
  bool wait_for_roots(std::string& bundle, uint64_t& seen, std::stop_token& round);

  kube::Transport& transport_;
  const CaBundleOptions options_;
  kube::Thread thread_;
  std::stop_source stop_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::string bundle_;      // base64; under mutex_, like all below
  uint64_t generation_ = 0;  // of bundle_
  std::stop_source round_;   // ends a wait when the roots have changed
  Counts counts_;
};

}  // namespace headgate::inject
