// notes.h -- collects what the author of one object should know.
// Thread: any (a value).   Owner: whoever reads the object.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "controlplane/translate/output.h"
#include "kubernetes/meta.pb.h"

namespace headgate::translate {

inline control::v1::ObjectRef reference_to(std::string group, std::string kind,
                                           const kubernetes::ObjectMeta& metadata) {
  control::v1::ObjectRef ref;
  ref.set_group(std::move(group));
  ref.set_kind(std::move(kind));
  ref.set_namespace_(metadata.namespace_());
  ref.set_name(metadata.name());
  ref.set_generation(metadata.generation());
  ref.set_uid(metadata.uid());
  return ref;
}

class Notes {
 public:
  Notes() = default;
  explicit Notes(control::v1::ObjectRef object) : object_(std::move(object)) {}

  void warn(std::string reason, std::string message) { add(true, std::move(reason), std::move(message)); }
  void inform(std::string reason, std::string message) { add(false, std::move(reason), std::move(message)); }
  [[nodiscard]] const control::v1::ObjectRef& object() const { return object_; }
  [[nodiscard]] const std::vector<Note>& list() const { return list_; }
  [[nodiscard]] std::vector<Note> take() { return std::move(list_); }

 private:
  void add(bool warning, std::string reason, std::string message) {
    list_.push_back({object_, warning, std::move(reason), std::move(message)});
  }

  control::v1::ObjectRef object_;
  std::vector<Note> list_;
};

}  // namespace headgate::translate
