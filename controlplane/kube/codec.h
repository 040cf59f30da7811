// codec.h -- JSON of the API server to the messages of proto/kubernetes, and the little that is read of it before that.
// Thread: decode() any; it is const.
#pragma once

#include <string>
#include <string_view>

#include "controlplane/kube/json_decoder.h"
#include "controlplane/kube/kinds.h"
#include "dataplane/base/result.h"

namespace headgate::kube {

class Codec {
 public:
  explicit Codec(ObjectKind kind);

  // kMalformed: no JSON, or a member of another type than the API says; `why` gets a text for people.
  Result<ObjectPtr> decode(std::string_view json, std::string& why) const;

 private:
  const KindRow& row_;
  JsonDecoder decoder_;
};

struct ObjectName {
  std::string_view name_space;
  std::string_view name;
};
ObjectName name_of(const google::protobuf::Message& object);
// Of an object as text, whatever else is wrong with it: views of `json`, empty when missing.
ObjectName name_of_json(std::string_view json);

// One line of a watch.
enum class EventType : uint8_t { kAdded, kModified, kDeleted, kBookmark, kError };
struct WatchEvent {
  EventType type = EventType::kError;
  std::string_view object;  // as text, inside the line
};
// kMalformed: not {"type": one we know, "object": {...}}.
Result<WatchEvent> parse_watch_event(std::string_view line);

// metadata.resourceVersion of an object, or resourceVersion of a list's metadata; empty when there is none.
std::string resource_version_of_object(std::string_view json);
std::string resource_version_of_metadata(std::string_view json);

}  // namespace headgate::kube
