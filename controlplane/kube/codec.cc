#include "controlplane/kube/codec.h"

#include <google/protobuf/descriptor.h>

#include <memory>
#include <optional>
#include <utility>

#include "controlplane/kube/json_scan.h"
#include "dataplane/base/check.h"
#include "kubernetes/meta.pb.h"

namespace headgate::kube {
namespace {

using google::protobuf::FieldDescriptor;

constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";
constexpr Error kMalformed{.code = Errc::kMalformed, .detail = "object of the API server"};

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

Codec::Codec(ObjectKind kind) : row_(row_of(kind)), decoder_(*row_.prototype().GetDescriptor()) {
  decoder_.leave_out(std::string(kLastApplied));  // it repeats the object
}

Result<ObjectPtr> Codec::decode(std::string_view json, std::string& why) const {
  std::shared_ptr<google::protobuf::Message> object(row_.prototype().New());
  if (!decoder_.decode(json, *object, why)) return kMalformed;
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

std::string resource_version_of_metadata(std::string_view json) {
  return std::string(text_of(json, "resourceVersion"));
}

}  // namespace headgate::kube
