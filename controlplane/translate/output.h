// output.h -- what a translation gives: resources for dataplanes, notes for the objects they came from.
// Thread: any (a value).   Owner: the caller.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/translate/resource.h"

namespace headgate::translate {

// Something the author of an object should know; becomes an Event on it.
struct Note {
  control::v1::ObjectRef object;
  bool warning = true;
  std::string reason;   // CamelCase, stable; "AnnotationNotSupported"
  std::string message;  // what is wrong, and what to do

  bool operator==(const Note& other) const {
    return object.SerializeAsString() == other.object.SerializeAsString() && warning == other.warning &&
           reason == other.reason && message == other.message;
  }
};

using ObjectRefPtr = std::shared_ptr<const control::v1::ObjectRef>;

// What admitted objects, all of one kind, are sorted by.
struct AdmittedName {
  std::string_view name_space;
  std::string_view name;
  auto operator<=>(const AdmittedName&) const = default;
};
struct ByAdmittedName {
  AdmittedName operator()(const ObjectRefPtr& ref) const { return {ref->namespace_(), ref->name()}; }
};
using Admitted = SharedMap<ObjectRefPtr, ByAdmittedName>;

struct Output {
  Resources resources;
  std::vector<Note> notes;  // ordered by object
  Admitted admitted;        // Ingresses of our class: their status gets the addresses

  // Each counts up when its list changed: whoever has seen the number need not look at thousands again. (An object that
  // changed among those admitted is no change: who is admitted is.)
  struct Changes {
    uint64_t resources = 0;
    uint64_t notes = 0;
    uint64_t admitted = 0;
  };
  Changes changes;
};

}  // namespace headgate::translate
