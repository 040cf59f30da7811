// injection.h -- the admission webhook in the controller: certificate, caBundle, what it looks up, whom it tells.
// Thread: start(), refresh(), stop() that of the loop; counts() any.   Owner: Controller.
#pragma once

#include <functional>
#include <string>

#include "controlplane/controller/kubernetes_source.h"
#include "controlplane/controller/options.h"
#include "controlplane/identity/serving_certificate.h"
#include "controlplane/inject/ca_bundle.h"
#include "controlplane/inject/webhook.h"
#include "controlplane/kube/events.h"
#include "controlplane/kube/rest.h"

namespace headgate::controller {

class Injection {
 public:
  // All of them outlive it.
  Injection(const Options& options, kube::Transport& transport, const KubernetesSource& cluster,
            const identity::Authority& authority, kube::EventRecorder& events);

  // Empty, or why not.
  std::string start(const std::string& address);
  // Renews the certificate, gives out new roots; the leader, or whoever starts first, writes them.
  Result<void> refresh(bool leads);
  void stop();
  [[nodiscard]] inject::Webhook::Counts counts() const { return webhook_.counts(); }

 private:
  [[nodiscard]] inject::NamespaceFacts find_namespace(const std::string& name) const;
  [[nodiscard]] inject::ConfigMapText find_config_map(const std::string& name_space, const std::string& name,
                                                      const std::string& key) const;
  void report(const inject::Review& review);

  const KubernetesSource& cluster_;
  const identity::Authority& authority_;
  kube::EventRecorder& events_;
  const kube::Rest rest_;
  inject::Webhook webhook_;
  inject::CaBundle bundle_;
  identity::ServingCertificate certificate_;
  inject::WebhookCertificate current_;
  bool started_ = false;
  bool writes_ = false;
};

}  // namespace headgate::controller
