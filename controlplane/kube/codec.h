// codec.h -- JSON of the API server to the messages of proto/kubernetes.
// What the messages do not have is cut out of the text before protobuf's parser sees it (managedFields are half of many
// objects), and so are the annotations of kubectl's apply, which repeat the object.
// Thread: decode() any; it is const.
#pragma once

#include <google/protobuf/descriptor.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "controlplane/kube/kinds.h"
#include "dataplane/base/result.h"

namespace headgate::kube {

// The members that are kept at one place of an object.
struct Shape {
  enum class Of : unsigned char { kWhole, kMembers, kAnnotations };
  Of of = Of::kWhole;
  std::vector<std::pair<std::string, const Shape*>> members;  // sorted
};

class Codec {
 public:
  explicit Codec(ObjectKind kind);

  // kMalformed: no JSON, or a member of another type than the API says; `why` gets a text for people.
  Result<ObjectPtr> decode(std::string_view json, std::string& why) const;
  // What decode() hands to the parser. kMalformed: the text is no JSON object, or nested deeper than 64.
  Result<std::string> reduce(std::string_view json) const;

 private:
  const Shape* shape_of(const google::protobuf::Descriptor& descriptor);

  const KindRow& row_;
  std::vector<std::pair<const google::protobuf::Descriptor*, std::unique_ptr<Shape>>> shapes_;
  const Shape* root_;
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
