// kubernetes_source.h -- the watches of a cluster, and the frozen World they make.
// Thread: start(), stop() that of the owner; the rest any. `on_change` is called on threads of the watches.
// Owner: Controller.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "controlplane/controller/namespace_union.h"
#include "controlplane/identity/caller_authenticator.h"
#include "controlplane/kube/transport.h"
#include "controlplane/kube/watch.h"
#include "controlplane/publish/authenticator.h"
#include "controlplane/world/store.h"

namespace headgate::controller {

struct KubernetesSourceOptions {
  std::vector<std::string> namespaces_watched;  // empty: all
  std::string own_namespace;                    // where our dataplanes' Pods are
  bool nodes = false;                           // their addresses go into the status
  bool namespaces = false;                      // their labels ask for sidecars
  std::function<void()> on_change;
  std::vector<kube::ObjectSink*> listeners;  // hear what the World hears, after it
};

// Is the Pod of the caller there, with that ServiceAccount, and not at its end? Certificates name it by its UID.
identity::PodStanding pod_standing(const world::World& world, const publish::Caller& caller);

class KubernetesSource {
 public:
  KubernetesSource(kube::Transport& transport, KubernetesSourceOptions options);
  ~KubernetesSource() { stop(); }
  KubernetesSource(const KubernetesSource&) = delete;
  KubernetesSource& operator=(const KubernetesSource&) = delete;

  Result<void> start();
  void stop();

  // Every list has been answered: from now on a missing object is a missing object.
  [[nodiscard]] bool synced() const { return store_.synced(kinds_); }
  [[nodiscard]] uint64_t changes() const { return store_.changes(); }
  [[nodiscard]] world::World freeze() const { return store_.freeze(); }
  [[nodiscard]] std::vector<std::pair<kube::ObjectKind, kube::WatchCounts>> counts() const;

  // Of the dataplane's Pod, in the cache of the Pods we watch.
  [[nodiscard]] identity::PodStanding standing(const publish::Caller& caller) const;

 private:
  // One watch tells several.
  class FanOut final : public kube::ObjectSink {
   public:
    explicit FanOut(std::vector<kube::ObjectSink*> sinks) : sinks_(std::move(sinks)) {}
    void on_replace(kube::ObjectKind kind, std::vector<kube::ObjectPtr> objects) override;
    void on_upsert(kube::ObjectKind kind, kube::ObjectPtr object) override;
    void on_delete(kube::ObjectKind kind, std::string_view name_space, std::string_view name) override;

   private:
    const std::vector<kube::ObjectSink*> sinks_;
  };

  void add_watch(kube::Transport& transport, kube::ObjectSink& sink, kube::WatchOptions options);
  // Of one kind, in each of these namespaces; none: everywhere.
  void add_watches(kube::Transport& transport, kube::ObjectKind kind, const std::vector<std::string>& namespaces);

  world::Store store_;
  FanOut sinks_;
  const std::string own_namespace_;
  std::vector<kube::ObjectKind> kinds_;
  std::vector<std::unique_ptr<NamespaceUnion>> unions_;
  std::vector<std::unique_ptr<kube::Watch>> watches_;
};

}  // namespace headgate::controller
