// schema.cc -- JSON Schema (draft-07) out of the tables of file_shape.cc.
#include <map>
#include <string>
#include <vector>

#include "proto/json/json_writer.h"
#include "proto/json/print.h"
#include "proto/json/shape.h"

namespace headgate::json {

namespace {

class SchemaWriter {
 public:
  std::string write() {
    out_.open('{');
    member("$schema", "http://json-schema.org/draft-07/schema#");
    member("title", "Headgate configuration file");
    collect(file_shape());
    object(file_shape());
    out_.key("definitions");
    out_.open('{');
    for (const auto& [name, shape] : definitions_) {
      out_.key(name);
      out_.open('{');
      body(*shape);
      out_.close('}');
    }
    out_.close('}');
    out_.close('}');
    return out_.take();
  }

 private:
  void member(std::string_view key, std::string_view text) {
    out_.key(key);
    out_.string(text);
  }
  void number(std::string_view key, double value) {
    out_.key(key);
    out_.raw(value == 0.001 ? "0.001" : std::to_string(static_cast<int64_t>(value)));
  }

  void collect(const Shape& shape) {
    if (!shape.name.empty() && !definitions_.emplace(std::string(shape.name), &shape).second) return;
    for (const Key& key : shape.keys) collect(*key.shape);
    for (const Case& one : shape.cases) {
      for (const Key& key : one.keys) collect(*key.shape);
      for (const Key& key : one.more_keys) collect(*key.shape);
      for (const Key& key : one.further_keys) collect(*key.shape);
    }
    if (shape.item != nullptr) collect(*shape.item);
    for (const Shape* choice : shape.choices) collect(*choice);
  }

  // A value in braces: a reference, or the shape in place.
  void schema(const Shape& shape, const Key* key) {
    out_.open('{');
    if (key != nullptr) {
      member("description", key->doc);
      if (!key->default_text.empty() && key->default_text != "{}") {
        out_.key("default");
        out_.raw(key->default_text);
      }
    }
    if (shape.name.empty()) {
      body(shape);
    } else if (key != nullptr) {
      // draft-07 ignores what stands beside $ref.
      out_.key("allOf");
      out_.open('[');
      out_.element();
      reference(shape);
      out_.close(']');
    } else {
      member("$ref", "#/definitions/" + std::string(shape.name));
    }
    out_.close('}');
  }

  void reference(const Shape& shape) {
    out_.open('{');
    member("$ref", "#/definitions/" + std::string(shape.name));
    out_.close('}');
  }

  void body(const Shape& shape) {
    switch (shape.kind) {
      case ShapeKind::kBoolean: member("type", "boolean"); return;
      case ShapeKind::kInteger:
      case ShapeKind::kNumber:
        member("type", shape.kind == ShapeKind::kInteger ? "integer" : "number");
        number("minimum", shape.minimum);
        number("maximum", shape.maximum);
        return;
      case ShapeKind::kString: string_body(shape); return;
      case ShapeKind::kList: list_body(shape); return;
      case ShapeKind::kOneOrMany:
        out_.key("anyOf");
        out_.open('[');
        out_.element();
        schema(*shape.item, nullptr);
        out_.element();
        out_.open('{');
        list_body(shape);
        out_.close('}');
        out_.close(']');
        return;
      case ShapeKind::kObject:
        if (shape.cases.empty()) {
          object(shape);
        } else {
          tagged(shape);
        }
        return;
      case ShapeKind::kMap:
        member("type", "object");
        out_.key("additionalProperties");
        schema(*shape.item, nullptr);
        return;
      case ShapeKind::kEither:
        out_.key("anyOf");
        out_.open('[');
        for (const Shape* choice : shape.choices) {
          out_.element();
          schema(*choice, nullptr);
        }
        out_.close(']');
        return;
    }
  }

  void string_body(const Shape& shape) {
    member("type", "string");
    if (shape.words.empty() || shape.accepts != nullptr) return;
    out_.key("enum");
    out_.open('[');
    for (const std::string_view word : shape.words) {
      out_.element();
      out_.string(word);
    }
    out_.close(']');
  }

  void list_body(const Shape& shape) {
    member("type", "array");
    if (shape.at_least_one) number("minItems", 1);
    out_.key("items");
    schema(*shape.item, nullptr);
  }

  void property(const Key& key, std::vector<std::string_view>& required) {
    out_.key(key.name);
    schema(*key.shape, &key);
    if (key.presence == Presence::kRequired) required.push_back(key.name);
  }

  void required_list(const std::vector<std::string_view>& required) {
    if (required.empty()) return;
    out_.key("required");
    out_.open('[');
    for (const std::string_view name : required) {
      out_.element();
      out_.string(name);
    }
    out_.close(']');
  }

  void object(const Shape& shape) {
    member("type", "object");
    out_.key("properties");
    out_.open('{');
    std::vector<std::string_view> required;
    for (const Key& key : shape.keys) property(key, required);
    out_.close('}');
    required_list(required);
    out_.key("additionalProperties");
    if (shape.item != nullptr) {
      schema(*shape.item, nullptr);
    } else {
      out_.raw("false");
    }
  }

  // One object per value of the tag, each closed.
  void tagged(const Shape& shape) {
    out_.key("oneOf");
    out_.open('[');
    for (const Case& one : shape.cases) {
      out_.element();
      out_.open('{');
      member("type", "object");
      out_.key("properties");
      out_.open('{');
      std::vector<std::string_view> required;
      for (const Key& key : shape.keys) {
        if (key.name != shape.tag) {
          property(key, required);
          continue;
        }
        out_.key(key.name);
        out_.open('{');
        member("const", one.value);
        out_.close('}');
        required.push_back(key.name);
      }
      for (const Key& key : one.keys) property(key, required);
      for (const Key& key : one.more_keys) property(key, required);
      for (const Key& key : one.further_keys) property(key, required);
      out_.close('}');
      required_list(required);
      out_.key("additionalProperties");
      out_.raw("false");
      out_.close('}');
    }
    out_.close(']');
  }

  JsonWriter out_;
  std::map<std::string, const Shape*> definitions_;
};

}  // namespace

std::string print_schema() { return SchemaWriter().write(); }

}  // namespace headgate::json
