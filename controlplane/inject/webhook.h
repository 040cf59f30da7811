// webhook.h -- serves the API server's questions about Pods: POST /inject over HTTPS, on Headgate's own HTTP server.
//
//   inject::Webhook webhook(settings, lookups);
//   webhook.start("0.0.0.0:9443", certificate, problem);
//   webhook.set_certificate(next);                        // for handshakes from now on
//
// A lookup may block (it may ask the API server), so reviews run on the server's thread pool; one that throws, or a
// pool that is full, is a 5xx, and the API server does as the webhook's failurePolicy says.
// Thread: all functions from any thread but the callbacks'.   Owner: main.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "controlplane/inject/admission.h"
#include "dataplane/base/result.h"
#include "dataplane/embed/server.h"

namespace headgate::inject {

struct Lookups {
  FindNamespace find_namespace;
  FindConfigMap find_config_map;
  // What became of a Pod, for an Event on what made it; never called for a dry run, nor for Pods that were left alone.
  // Must not block. Null: nobody is told.
  std::function<void(const Review& review)> report;
};

struct WebhookCertificate {
  std::string chain_pem;
  std::string key_pem;
};

class Webhook {
 public:
  Webhook(Settings settings, Lookups lookups);
  Webhook(const Webhook&) = delete;
  Webhook& operator=(const Webhook&) = delete;

  // The port; once. `problem` has a sentence when it fails.
  Result<uint16_t> start(const std::string& address, const WebhookCertificate& certificate, std::string& problem);
  // False: it cannot be used, and the one before stays.
  bool set_certificate(const WebhookCertificate& certificate);
  void set_settings(Settings settings);
  // Waits for the reviews in progress.
  void stop();

  // headgate_injections_total{result,reason}: how often each came. A 4xx or 5xx is {"error", "400"}.
  using Counts = std::map<std::pair<std::string, std::string>, uint64_t>;
  [[nodiscard]] Counts counts() const;

 private:
  void answer(const Request& request, Responder& responder);
  void count(const std::string& result, const std::string& reason);
  [[nodiscard]] std::shared_ptr<const Settings> settings() const;

  const Lookups lookups_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Settings> settings_;  // under mutex_
  Counts counts_;                             // under mutex_; reasons are ours, so they are few
  std::mutex server_mutex_;
  Server server_;  // under server_mutex_
};

}  // namespace headgate::inject
