#include "controlplane/kube/json_decoder.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "controlplane/kube/json_scan.h"
#include "controlplane/kube/json_text.h"
#include "dataplane/base/check.h"
#include "dataplane/tls/crypto.h"

namespace headgate::kube {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr int kMaxDepth = 64;

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
  if (text.size() >= 2 && text.front() == '"') text = text.substr(1, text.size() - 2);
  Number value{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

struct JsonDecoder::Member {
  std::string name;
  const FieldDescriptor* field;
  const Shape* shape;  // of a message that is none of google.protobuf; else null
};

struct JsonDecoder::Shape {
  const Descriptor* descriptor;
  std::vector<Member> members;  // sorted by name

  [[nodiscard]] const Member* find(std::string_view name) const {
    const auto found =
        std::lower_bound(members.begin(), members.end(), name,
                         [](const Member& member, std::string_view wanted) { return member.name < wanted; });
    return found != members.end() && found->name == name ? &*found : nullptr;
  }
};

JsonDecoder::~JsonDecoder() = default;

JsonDecoder::JsonDecoder(const Descriptor& descriptor) : root_(shape_of(descriptor)) {}

const JsonDecoder::Shape* JsonDecoder::shape_of(const Descriptor& descriptor) {
  for (const auto& shape : shapes_) {
    if (shape->descriptor == &descriptor) return shape.get();
  }
  Shape& shape = *shapes_.emplace_back(std::make_unique<Shape>(Shape{&descriptor, {}}));
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor& field = *descriptor.field(i);
    const Shape* inner = nullptr;
    if (field.is_map()) {
      HG_CHECK(field.message_type()->map_key()->cpp_type() == FieldDescriptor::CPPTYPE_STRING);
      HG_CHECK(field.message_type()->map_value()->cpp_type() == FieldDescriptor::CPPTYPE_STRING);
    } else if (field.message_type() != nullptr && !field.message_type()->full_name().starts_with("google.protobuf.")) {
      inner = shape_of(*field.message_type());
    }
    HG_CHECK(field.cpp_type() != FieldDescriptor::CPPTYPE_ENUM && field.cpp_type() != FieldDescriptor::CPPTYPE_FLOAT);
    shape.members.push_back({field.json_name(), &field, inner});
  }
  std::sort(shape.members.begin(), shape.members.end(),
            [](const Member& a, const Member& b) { return a.name < b.name; });
  return &shape;
}

// One decode(): where it stands, and what went wrong.
class JsonDecoder::Run {
 public:
  Run(const JsonDecoder& decoder, std::string_view json, std::string& why)
      : decoder_(decoder), scan_(json), why_(why) {}

  bool whole(Message& into) {
    if (scan_.peek() != '{') return fail("not a JSON object");
    return object(into, *decoder_.root_, 0) && (scan_.at_end() || fail("more than one value"));
  }

 private:
  bool fail(const char* why) {
    why_ = path_.empty() ? why : path_ + ": " + why;
    return false;
  }

  // Calls `each` with every member's name; it takes the value.
  template <typename Each>
  bool members(const Each& each) {
    if (!scan_.take('{')) return fail("not an object");
    if (scan_.take('}')) return true;
    do {
      const auto name = scan_.take_string();
      if (!name || !scan_.take(':')) return fail("not JSON");
      if (!each(*name)) return false;
    } while (scan_.take(','));
    return scan_.take('}') || fail("not JSON");
  }

  template <typename Each>
  bool elements(const Each& each) {
    if (!scan_.take('[')) return fail("not a list");
    if (scan_.take(']')) return true;
    const size_t length = path_.size();
    size_t index = 0;
    do {
      path_ += "[" + std::to_string(index++) + "]";
      if (!each()) return false;
      path_.resize(length);
    } while (scan_.take(','));
    return scan_.take(']') || fail("not JSON");
  }

  bool object(Message& into, const Shape& shape, int depth) {
    if (depth > kMaxDepth) return fail("too deep");
    return members([&](std::string_view name) {
      const Member* member = shape.find(name);
      if (member == nullptr || scan_.peek() == 'n') {  // null is absence
        const auto value = scan_.take_value();
        return (value && (member == nullptr || *value == "null")) || fail("not JSON");
      }
      const size_t length = path_.size();
      if (length > 0) path_.push_back('.');
      path_.append(name);
      if (!field(into, *member, depth)) return false;
      path_.resize(length);
      return true;
    });
  }

  bool field(Message& into, const Member& member, int depth) {
    const Reflection& reflection = *into.GetReflection();
    const FieldDescriptor* field = member.field;
    if (field->is_map()) {
      return members([&](std::string_view raw) { return map_entry(into, field, raw); });
    }
    if (field->is_repeated()) {
      return elements([&] {
        if (field->message_type() == nullptr) return scalar(into, field);
        Message* element = reflection.AddMessage(&into, field);
        return member.shape != nullptr ? object(*element, *member.shape, depth + 1) : foreign(*element);
      });
    }
    if (field->message_type() == nullptr) return scalar(into, field);
    Message* inner = reflection.MutableMessage(&into, field);
    return member.shape != nullptr ? object(*inner, *member.shape, depth + 1) : foreign(*inner);
  }

  bool map_entry(Message& into, const FieldDescriptor* field, std::string_view raw_key) {
    if (raw_key == decoder_.left_out_) return scan_.take_value().has_value() || fail("not JSON");
    std::string key;
    if (!append_unescaped(raw_key, key)) return fail("a key that is no text");
    if (scan_.peek() == 'n') {
      const auto value = scan_.take_value();
      return (value && *value == "null") || fail("not JSON");
    }
    Message* entry = into.GetReflection()->AddMessage(&into, field);
    entry->GetReflection()->SetString(entry, field->message_type()->map_key(), std::move(key));
    return scalar(*entry, field->message_type()->map_value());
  }

  bool scalar(Message& into, const FieldDescriptor* field) {
    const Reflection& reflection = *into.GetReflection();
    const auto set = [&](auto value, auto setter, auto adder) {
      if (field->is_repeated()) {
        (reflection.*adder)(&into, field, std::move(value));
      } else {
        (reflection.*setter)(&into, field, std::move(value));
      }
      return true;
    };
    const auto value = scan_.take_value();
    if (!value) return fail("not JSON");
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING: {
        std::string text;
        if (value->size() < 2 || value->front() != '"') return fail("not a text");
        if (!append_unescaped(value->substr(1, value->size() - 2), text)) return fail("not a text of UTF-8");
        if (field->type() == FieldDescriptor::TYPE_BYTES) {
          auto bytes = tls::base64_decode(text);
          if (!bytes) return fail("not base64");
          text = *std::move(bytes);
        }
        return set(std::move(text), &Reflection::SetString, &Reflection::AddString);
      }
      case FieldDescriptor::CPPTYPE_BOOL:
        if (*value != "true" && *value != "false") return fail("not true or false");
        return set(*value == "true", &Reflection::SetBool, &Reflection::AddBool);
      case FieldDescriptor::CPPTYPE_INT32:
        if (const auto number = number_of<int32_t>(*value)) {
          return set(*number, &Reflection::SetInt32, &Reflection::AddInt32);
        }
        return fail("not a whole number of 32 bits");
      case FieldDescriptor::CPPTYPE_INT64:
        if (const auto number = number_of<int64_t>(*value)) {
          return set(*number, &Reflection::SetInt64, &Reflection::AddInt64);
        }
        return fail("not a whole number of 64 bits");
      case FieldDescriptor::CPPTYPE_UINT32:
        if (const auto number = number_of<uint32_t>(*value)) {
          return set(*number, &Reflection::SetUInt32, &Reflection::AddUInt32);
        }
        return fail("not a whole number of 32 bits");
      case FieldDescriptor::CPPTYPE_UINT64:
        if (const auto number = number_of<uint64_t>(*value)) {
          return set(*number, &Reflection::SetUInt64, &Reflection::AddUInt64);
        }
        return fail("not a whole number of 64 bits");
      case FieldDescriptor::CPPTYPE_DOUBLE:
        if (const auto number = number_of<double>(*value)) {
          return set(*number, &Reflection::SetDouble, &Reflection::AddDouble);
        }
        return fail("not a number");
      case FieldDescriptor::CPPTYPE_FLOAT:
      case FieldDescriptor::CPPTYPE_ENUM:
      case FieldDescriptor::CPPTYPE_MESSAGE:
        break;
    }
    return fail("of a type that is not read");
  }

  // google.protobuf.Value as a text or a number is common (targetPort); the rest is left to protobuf.
  bool foreign(Message& into) {
    const auto value = scan_.take_value();
    if (!value) return fail("not JSON");
    if (auto* any = dynamic_cast<google::protobuf::Value*>(&into)) {
      if (value->front() == '"') {
        return append_unescaped(value->substr(1, value->size() - 2), *any->mutable_string_value()) ||
               fail("not a text of UTF-8");
      }
      if (const auto number = number_of<double>(*value)) {
        any->set_number_value(*number);
        return true;
      }
    }
    return google::protobuf::util::JsonStringToMessage(std::string(*value), &into).ok() || fail("not as expected");
  }

  const JsonDecoder& decoder_;
  JsonScan scan_;
  std::string& why_;
  std::string path_;
};

bool JsonDecoder::decode(std::string_view json, Message& into, std::string& why) const {
  return Run(*this, json, why).whole(into);
}

}  // namespace headgate::kube
