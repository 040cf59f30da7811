#include "controlplane/controller/kubernetes_source.h"

#include <utility>

#include "dataplane/base/log.h"

namespace headgate::controller {

using kube::ObjectKind;

namespace {

// What the chart and the manifests put on the Pods of dataplanes.
constexpr const char* kDataplanePods = "app.kubernetes.io/part-of=headgate";

std::vector<kube::ObjectSink*> sinks(world::Store& store, const std::vector<kube::ObjectSink*>& listeners) {
  std::vector<kube::ObjectSink*> all{&store};
  all.insert(all.end(), listeners.begin(), listeners.end());
  return all;
}

}  // namespace

void KubernetesSource::FanOut::on_replace(ObjectKind kind, std::vector<kube::ObjectPtr> objects) {
  for (kube::ObjectSink* sink : sinks_) sink->on_replace(kind, objects);
}
void KubernetesSource::FanOut::on_upsert(ObjectKind kind, kube::ObjectPtr object) {
  for (kube::ObjectSink* sink : sinks_) sink->on_upsert(kind, object);
}
void KubernetesSource::FanOut::on_delete(ObjectKind kind, std::string_view name_space, std::string_view name) {
  for (kube::ObjectSink* sink : sinks_) sink->on_delete(kind, name_space, name);
}

KubernetesSource::KubernetesSource(kube::Transport& transport, KubernetesSourceOptions options)
    : store_(std::move(options.on_change)),
      sinks_(sinks(store_, options.listeners)),
      own_namespace_(options.own_namespace) {
  for (const ObjectKind kind : {ObjectKind::kIngress, ObjectKind::kService, ObjectKind::kEndpointSlice,
                                ObjectKind::kSecret, ObjectKind::kConfigMap}) {
    add_watches(transport, kind, options.namespaces_watched);
  }
  add_watch(transport, sinks_, {.kind = ObjectKind::kIngressClass});
  if (!options.own_namespace.empty()) {
    add_watch(transport, sinks_,
              {.kind = ObjectKind::kPod, .name_space = options.own_namespace, .label_selector = kDataplanePods});
  }
  if (options.namespaces) add_watch(transport, sinks_, {.kind = ObjectKind::kNamespace});
  if (options.nodes) add_watch(transport, sinks_, {.kind = ObjectKind::kNode});
}

void KubernetesSource::add_watch(kube::Transport& transport, kube::ObjectSink& sink, kube::WatchOptions options) {
  kinds_.push_back(options.kind);
  watches_.push_back(std::make_unique<kube::Watch>(transport, sink, std::move(options)));
}

void KubernetesSource::add_watches(kube::Transport& transport, ObjectKind kind,
                                   const std::vector<std::string>& namespaces) {
  if (namespaces.size() < 2) {
    return add_watch(transport, sinks_, {.kind = kind, .name_space = namespaces.empty() ? "" : namespaces.front()});
  }
  unions_.push_back(std::make_unique<NamespaceUnion>(sinks_, namespaces.size()));
  for (size_t i = 0; i < namespaces.size(); ++i) {
    add_watch(transport, unions_.back()->part(i), {.kind = kind, .name_space = namespaces[i]});
  }
}

Result<void> KubernetesSource::start() {
  for (const auto& watch : watches_) HG_TRY(watch->start());
  return {};
}

void KubernetesSource::stop() {
  for (const auto& watch : watches_) watch->stop();
}

std::vector<std::pair<ObjectKind, kube::WatchCounts>> KubernetesSource::counts() const {
  std::vector<std::pair<ObjectKind, kube::WatchCounts>> all;
  for (const auto& watch : watches_) all.emplace_back(watch->kind(), watch->counts());
  return all;
}

identity::PodStanding KubernetesSource::standing(const publish::Caller& caller) const {
  // Pods elsewhere (sidecars) are not watched: there is what the TokenReview said, and no more.
  if (own_namespace_.empty() || caller.namespace_name != own_namespace_) return identity::PodStanding::kRuns;
  return pod_standing(store_.freeze(), caller);
}

identity::PodStanding pod_standing(const world::World& world, const publish::Caller& caller) {
  using identity::PodStanding;
  if (caller.pod.empty() && caller.pod_uid.empty()) return PodStanding::kRuns;  // bound to no Pod: that was reviewed
  std::shared_ptr<const kubernetes::Pod> pod;
  if (!caller.pod.empty()) {
    pod = world.find<kubernetes::Pod>(caller.namespace_name, caller.pod);
  } else {
    world.objects(ObjectKind::kPod).visit_all([&](const world::ObjectKey&, const kube::ObjectPtr& object) {
      const auto& metadata = world::metadata_of(*object);
      if (metadata.uid() != caller.pod_uid || metadata.namespace_() != caller.namespace_name) return;
      pod = std::static_pointer_cast<const kubernetes::Pod>(object);
    });
  }
  if (pod == nullptr) return PodStanding::kUnknown;
  if (!caller.pod_uid.empty() && pod->metadata().uid() != caller.pod_uid) return PodStanding::kEnded;
  if (pod->spec().service_account_name() != caller.service_account) return PodStanding::kEnded;
  const std::string& phase = pod->status().phase();
  return phase == "Succeeded" || phase == "Failed" ? PodStanding::kEnded : PodStanding::kRuns;
}

}  // namespace headgate::controller
