#include "controlplane/kube/codec.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "controlplane/kube/json_scan.h"
#include "dataplane/base/check.h"
#include "kubernetes/meta.pb.h"

namespace headgate::kube {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

constexpr int kMaxDepth = 64;
constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";
constexpr Error kMalformed{.code = Errc::kMalformed, .detail = "object of the API server"};

const Shape kWhole{};
const Shape kAnnotations{.of = Shape::Of::kAnnotations};

const Shape* find_member(const Shape& shape, std::string_view name) {
  const auto found = std::lower_bound(shape.members.begin(), shape.members.end(), name,
                                      [](const auto& member, std::string_view wanted) { return member.first < wanted; });
  return found != shape.members.end() && found->first == name ? found->second : nullptr;
}

// Copies the next value of `scan`, without the members that `shape` does not have.
bool copy_reduced(JsonScan& scan, const Shape& shape, std::string& out, int depth) {
  const char first = scan.peek();
  if (shape.of == Shape::Of::kWhole || (first != '{' && first != '[')) {
    const auto value = scan.take_value();
    if (value) out.append(*value);
    return value.has_value();
  }
  if (depth == kMaxDepth) return false;
  const char last = first == '{' ? '}' : ']';
  scan.take(first);
  out.push_back(first);
  if (scan.take(last)) {
    out.push_back(last);
    return true;
  }
  bool some = false;
  do {
    if (first == '[') {
      if (some) out.push_back(',');
      if (!copy_reduced(scan, shape, out, depth + 1)) return false;
      some = true;
      continue;
    }
    const auto name = scan.take_string();
    if (!name || !scan.take(':')) return false;
    const bool annotations = shape.of == Shape::Of::kAnnotations;
    const Shape* member = annotations ? (*name == kLastApplied ? nullptr : &kWhole) : find_member(shape, *name);
    if (member == nullptr) {
      if (!scan.take_value()) return false;
      continue;
    }
    if (some) out.push_back(',');
    out.append("\"").append(*name).append("\":");
    if (!copy_reduced(scan, *member, out, depth + 1)) return false;
    some = true;
  } while (scan.take(','));
  out.push_back(last);
  return scan.take(last);
}

// The member `wanted` of the object in `json`, as text.
std::optional<std::string_view> member_of(std::string_view json, std::string_view wanted) {
  JsonScan scan(json);
  if (!scan.take('{')) return std::nullopt;
  do {
    const auto name = scan.take_string();
    if (!name || !scan.take(':')) return std::nullopt;
    const auto value = scan.take_value();
    if (!value) return std::nullopt;
    if (*name == wanted) return value;
  } while (scan.take(','));
  return std::nullopt;
}

// The content of the text member `wanted`; names and versions never need an escape.
std::string_view text_of(std::string_view json, std::string_view wanted) {
  const auto value = member_of(json, wanted);
  if (!value || value->size() < 2 || value->front() != '"') return {};
  return value->substr(1, value->size() - 2);
}

}  // namespace

Codec::Codec(ObjectKind kind) : row_(row_of(kind)), root_(shape_of(*row_.prototype().GetDescriptor())) {}

const Shape* Codec::shape_of(const Descriptor& descriptor) {
  if (descriptor.full_name().starts_with("google.protobuf.")) return &kWhole;
  for (const auto& [known, shape] : shapes_) {
    if (known == &descriptor) return shape.get();
  }
  Shape& shape = *shapes_.emplace_back(&descriptor, std::make_unique<Shape>()).second;
  shape.of = Shape::Of::kMembers;
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor& field = *descriptor.field(i);
    const Shape* of_field = &kWhole;
    if (field.full_name() == "kubernetes.ObjectMeta.annotations") {
      of_field = &kAnnotations;
    } else if (!field.is_map() && field.message_type() != nullptr) {
      of_field = shape_of(*field.message_type());
    }
    shape.members.emplace_back(field.json_name(), of_field);
  }
  std::sort(shape.members.begin(), shape.members.end());
  return &shape;
}

Result<std::string> Codec::reduce(std::string_view json) const {
  JsonScan scan(json);
  std::string reduced;
  if (scan.peek() != '{' || !copy_reduced(scan, *root_, reduced, 0) || !scan.at_end()) return kMalformed;
  return reduced;
}

Result<ObjectPtr> Codec::decode(std::string_view json, std::string& why) const {
  const auto reduced = reduce(json);
  if (!reduced) {
    why = "not a JSON object";
    return reduced.error();
  }
  std::shared_ptr<google::protobuf::Message> object(row_.prototype().New());
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const auto parsed = google::protobuf::util::JsonStringToMessage(*reduced, object.get(), options);
  if (!parsed.ok()) {
    why = std::string(parsed.message());
    return kMalformed;
  }
  if (name_of(*object).name.empty()) {
    why = "metadata.name is missing";
    return kMalformed;
  }
  return ObjectPtr(std::move(object));
}

ObjectName name_of(const google::protobuf::Message& object) {
  const FieldDescriptor* field = object.GetDescriptor()->FindFieldByNumber(1);
  HG_CHECK(field != nullptr && field->message_type() == kubernetes::ObjectMeta::descriptor());
  const auto& metadata =
      static_cast<const kubernetes::ObjectMeta&>(object.GetReflection()->GetMessage(object, field));
  return {metadata.namespace_(), metadata.name()};
}

Result<WatchEvent> parse_watch_event(std::string_view line) {
  constexpr Error kBadEvent{.code = Errc::kMalformed, .detail = "event of a watch"};
  static constexpr std::pair<std::string_view, EventType> kTypes[] = {
      {"ADDED", EventType::kAdded},       {"MODIFIED", EventType::kModified}, {"DELETED", EventType::kDeleted},
      {"BOOKMARK", EventType::kBookmark}, {"ERROR", EventType::kError},
  };
  JsonScan scan(line);
  if (!scan.take('{')) return kBadEvent;
  WatchEvent event;
  bool typed = false;
  do {
    const auto name = scan.take_string();
    if (!name || !scan.take(':')) return kBadEvent;
    const auto value = scan.take_value();
    if (!value) return kBadEvent;
    if (*name == "object") event.object = *value;
    if (*name != "type" || value->size() < 2) continue;
    for (const auto& [text, type] : kTypes) {
      if (value->substr(1, value->size() - 2) != text) continue;
      event.type = type;
      typed = true;
    }
  } while (scan.take(','));
  if (!scan.take('}') || !scan.at_end() || !typed || !event.object.starts_with('{')) return kBadEvent;
  return event;
}

ObjectName name_of_json(std::string_view json) {
  const std::string_view metadata = member_of(json, "metadata").value_or("");
  return {text_of(metadata, "namespace"), text_of(metadata, "name")};
}

std::string resource_version_of_object(std::string_view json) {
  return resource_version_of_metadata(member_of(json, "metadata").value_or(""));
}

std::string resource_version_of_metadata(std::string_view json) { return std::string(text_of(json, "resourceVersion")); }

}  // namespace headgate::kube
