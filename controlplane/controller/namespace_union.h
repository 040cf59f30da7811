// namespace_union.h -- one kind, watched in several namespaces, told to a sink as if it were one watch.
//
// The sink hears of nothing until every namespace has been listed: what is missing then is missing. A later list of one
// namespace becomes a list of all, so that what has gone from it goes, and nothing else does.
// Thread: part() that of the owner; the parts any, the sink hears one at a time.   Owner: KubernetesSource.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "controlplane/kube/object_sink.h"

namespace headgate::controller {

class NamespaceUnion {
 public:
  // `sink` outlives the union, the union the watches of its parts.
  NamespaceUnion(kube::ObjectSink& sink, size_t namespaces);

  // What the watch of namespace `index` tells.
  [[nodiscard]] kube::ObjectSink& part(size_t index) { return *parts_[index]; }

 private:
  class Part final : public kube::ObjectSink {
   public:
    explicit Part(NamespaceUnion& all) : all_(all) {}
    void on_replace(kube::ObjectKind kind, std::vector<kube::ObjectPtr> objects) override;
    void on_upsert(kube::ObjectKind kind, kube::ObjectPtr object) override;
    void on_delete(kube::ObjectKind kind, std::string_view name_space, std::string_view name) override;

   private:
    friend class NamespaceUnion;

    NamespaceUnion& all_;
    bool listed_ = false;
    std::map<std::string, kube::ObjectPtr, std::less<>> objects_;  // by name
  };

  [[nodiscard]] bool all_listed() const;

  kube::ObjectSink& sink_;
  std::mutex mutex_;  // over the parts, and held while the sink hears: a list is never older than what came before it
  std::vector<std::unique_ptr<Part>> parts_;
};

}  // namespace headgate::controller
