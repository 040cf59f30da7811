// watch_probe.cc -- watches one kind of a real API server and says on request what it has: for e2e/cluster.
//
//   watch_probe KUBECONFIG KIND        then, on standard input: "dump" or "quit"
//
// A dump is a line "NAMESPACE/NAME RESOURCE-VERSION" for each object, in order, then one with the counts of the watch,
// beginning with "#". Versions come from the objects themselves, so a missed change shows.
#include <cstdio>
#include <iostream>
#include <map>
#include <mutex>
#include <string>

#include "controlplane/kube/watch.h"
#include "kubernetes/meta.pb.h"

namespace headgate::kube {
namespace {

class Holder final : public ObjectSink {
 public:
  void on_replace(ObjectKind, std::vector<ObjectPtr> objects) override {
    const std::lock_guard lock(mutex_);
    versions_.clear();
    for (const auto& object : objects) keep(*object);
  }
  void on_upsert(ObjectKind, ObjectPtr object) override {
    const std::lock_guard lock(mutex_);
    keep(*object);
  }
  void on_delete(ObjectKind, std::string_view name_space, std::string_view name) override {
    const std::lock_guard lock(mutex_);
    versions_.erase(std::string(name_space) + "/" + std::string(name));
  }
  void print() {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, version] : versions_) std::printf("%s %s\n", name.c_str(), version.c_str());
  }

 private:
  void keep(const google::protobuf::Message& object) {
    const auto* field = object.GetDescriptor()->FindFieldByName("metadata");
    const auto& metadata = static_cast<const kubernetes::ObjectMeta&>(object.GetReflection()->GetMessage(object, field));
    versions_[metadata.namespace_() + "/" + metadata.name()] = metadata.resource_version();
  }

  std::mutex mutex_;
  std::map<std::string, std::string> versions_;
};

int run(const std::string& kubeconfig, const std::string& kind) {
  std::string problem;
  const auto config = find_config(kubeconfig, "", problem);
  if (!config) {
    std::fprintf(stderr, "%s\n", problem.c_str());
    return 2;
  }
  WatchOptions options;
  bool known = false;
  for (const auto& row : kinds()) {
    if (row.name != kind) continue;
    options.kind = row.kind;
    known = true;
  }
  if (!known) return 2;
  Transport transport(*config);
  Holder holder;
  Watch watch(transport, holder, options);
  if (!watch.start()) return 1;
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    holder.print();
    const WatchCounts counts = watch.counts();
    std::printf("# synced=%d lists=%llu watches=%llu events=%llu bookmarks=%llu failures=%llu undecodable=%llu\n", counts.synced,
                static_cast<unsigned long long>(counts.lists), static_cast<unsigned long long>(counts.watches),
                static_cast<unsigned long long>(counts.events), static_cast<unsigned long long>(counts.bookmarks),
                static_cast<unsigned long long>(counts.failures), static_cast<unsigned long long>(counts.undecodable));
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace headgate::kube

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  return headgate::kube::run(argv[1], argv[2]);
}
