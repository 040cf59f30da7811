// rest.h -- the verbs of the API server; failures come back as its Status, and what may be tried again is.
// Retries: 429 and 5xx that say when (Retry-After); 429 without it; a connection that was refused; for GET also one
// that broke. Nothing else: a write that broke may have happened.
// Thread: any.   Owner: the caller; the Transport outlives it.
#pragma once

#include <string>
#include <string_view>

#include "controlplane/kube/backoff.h"
#include "controlplane/kube/status.h"
#include "controlplane/kube/transport.h"

namespace headgate::kube {

// The path of an object or of a collection, each name percent-encoded where it must be.
std::string encode_segment(std::string_view name);
std::string encode_query(std::string_view value);

struct Answer {
  int code = 0;     // 0: there was none, see error
  std::string body; // of a 2xx
  Status status;    // of anything else
  Error error;

  [[nodiscard]] bool ok() const { return code >= 200 && code < 300; }
  // For logs: "409 Conflict: the object has been modified", "refused: no connection to the API server".
  [[nodiscard]] std::string why() const;
};

enum class PatchType : uint8_t { kMerge, kJson, kApply };

struct Effort {
  int tries = 5;
  Duration limit = std::chrono::seconds(30);  // of each
  BackoffLimits backoff{.first = std::chrono::milliseconds(500), .most = std::chrono::seconds(10)};
};

class Rest {
 public:
  explicit Rest(Transport& transport, std::stop_token stop = {}, Effort effort = {})
      : transport_(transport), stop_(std::move(stop)), effort_(effort) {}

  [[nodiscard]] Answer get(const std::string& path) const;
  [[nodiscard]] Answer post(const std::string& path, std::string body) const;
  [[nodiscard]] Answer put(const std::string& path, std::string body) const;
  [[nodiscard]] Answer patch(const std::string& path, PatchType type, std::string body) const;
  [[nodiscard]] Answer remove(const std::string& path) const;

  [[nodiscard]] const std::stop_token& stop() const { return stop_; }

 private:
  [[nodiscard]] Answer perform(const HttpRequest& request) const;

  Transport& transport_;
  const std::stop_token stop_;
  const Effort effort_;
};

}  // namespace headgate::kube
