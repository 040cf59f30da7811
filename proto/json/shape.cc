#include "proto/json/shape.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "dataplane/base/text.h"

namespace headgate::json {

namespace {

// Edit distance, for "did you mean"; names are short.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t up = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (to_lower(a[i - 1]) == to_lower(b[j - 1]) ? 0U : 1U)});
      diagonal = up;
    }
  }
  return row[b.size()];
}

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& known) {
  std::string_view best;
  size_t best_distance = word.size() < 4 ? 2 : 3;  // strictly below
  for (const std::string_view candidate : known) {
    const size_t d = word.size() > 64 ? best_distance : distance(word, candidate);
    if (d < best_distance) {
      best = candidate;
      best_distance = d;
    }
  }
  return best;
}

std::string join(const std::vector<std::string_view>& words) {
  std::string out;
  for (const std::string_view word : words) {
    if (!out.empty()) out += ", ";
    out += word;
  }
  return out;
}

class ShapeChecker {
 public:
  ShapeChecker(const Document& document, const ShapeReport& report) : doc_(document), report_(report) {}

  void check(NodeId id, const Shape& shape) {
    const Node& node = doc_.node(id);
    switch (shape.kind) {
      case ShapeKind::kBoolean: expect_kind(id, shape, NodeKind::kBoolean); return;
      case ShapeKind::kInteger:
      case ShapeKind::kNumber: check_number(id, shape); return;
      case ShapeKind::kString: check_string(id, shape); return;
      case ShapeKind::kList:
        if (expect_kind(id, shape, NodeKind::kArray)) check_items(id, shape);
        return;
      case ShapeKind::kOneOrMany:
        if (node.kind == NodeKind::kArray) {
          check_items(id, shape);
        } else {
          check(id, *shape.item);
        }
        return;
      case ShapeKind::kObject:
        if (expect_kind(id, shape, NodeKind::kObject)) check_object(id, shape);
        return;
      case ShapeKind::kMap:
        if (expect_kind(id, shape, NodeKind::kObject)) {
          for (NodeId child = doc_.first(id); child != kNoNode; child = doc_.next(child)) check(child, *shape.item);
        }
        return;
      case ShapeKind::kEither:
        if (const Shape* choice = choose(shape, node.kind)) {
          check(id, *choice);
        } else {
          wrong(id, shape);
        }
        return;
    }
  }

 private:
  void wrong(NodeId id, const Shape& shape) {
    report_(id, "type", "expected " + std::string(shape.expected) + ", found " + found(id));
  }

  std::string found(NodeId id) const {
    const Node& node = doc_.node(id);
    if (node.kind == NodeKind::kNumber) return std::string(node.text.substr(0, 40));
    if (node.kind == NodeKind::kString) return quote_json(node.text.substr(0, 80));
    if (node.kind == NodeKind::kBoolean) return node.boolean ? "true" : "false";
    return std::string(node_kind_name(node.kind));
  }

  bool expect_kind(NodeId id, const Shape& shape, NodeKind kind) {
    if (doc_.node(id).kind == kind) return true;
    wrong(id, shape);
    return false;
  }

  void check_number(NodeId id, const Shape& shape) {
    const Node& node = doc_.node(id);
    if (node.kind != NodeKind::kNumber) return wrong(id, shape);
    double value = 0;
    const auto [end, error] = std::from_chars(node.text.data(), node.text.data() + node.text.size(), value);
    const bool whole = shape.kind == ShapeKind::kNumber || value == std::floor(value);
    if (error != std::errc() || end != node.text.data() + node.text.size() || !whole || value < shape.minimum ||
        value > shape.maximum) {
      report_(id, "range", "expected " + std::string(shape.expected) + ", found " + found(id));
    }
  }

  void check_string(NodeId id, const Shape& shape) {
    const Node& node = doc_.node(id);
    if (node.kind != NodeKind::kString) return wrong(id, shape);
    const bool word = std::find(shape.words.begin(), shape.words.end(), node.text) != shape.words.end();
    if (shape.words.empty() && shape.accepts == nullptr) return;
    if (word || (shape.accepts != nullptr && shape.accepts(node.text))) return;
    std::string message = "expected " + std::string(shape.expected) + ", found " + found(id);
    const std::string_view near = nearest(node.text, {shape.words.begin(), shape.words.end()});
    if (!near.empty()) message += "; did you mean " + quote_json(near) + "?";
    report_(id, "value", std::move(message));
  }

  void check_items(NodeId id, const Shape& shape) {
    if (shape.at_least_one && doc_.node(id).size == 0) {
      report_(id, "empty", "expected " + std::string(shape.expected) + ", found an empty list");
    }
    for (NodeId child = doc_.first(id); child != kNoNode; child = doc_.next(child)) check(child, *shape.item);
  }

  void check_object(NodeId id, const Shape& shape) {
    std::vector<const Key*> keys;
    each_key(doc_, id, shape, [&](const Key& key) { keys.push_back(&key); });
    for (NodeId child = doc_.first(id); child != kNoNode; child = doc_.next(child)) {
      const std::string_view name = doc_.node(child).key;
      const auto known = std::find_if(keys.begin(), keys.end(), [&](const Key* key) { return key->name == name; });
      if (known != keys.end()) {
        check(child, *(*known)->shape);
      } else if (shape.item != nullptr) {
        check(child, *shape.item);
      } else {
        unknown_key(id, child, shape, keys);
      }
    }
    for (const Key* key : keys) {
      if (key->presence == Presence::kRequired && doc_.find(id, key->name) == kNoNode) {
        report_(id, "missing-key",
                "the key " + quote_json(key->name) + " is missing; expected " + std::string(key->shape->expected));
      }
    }
  }

  void unknown_key(NodeId object, NodeId member, const Shape& shape, const std::vector<const Key*>& keys) {
    const std::string_view name = doc_.node(member).key;
    if (!shape.tag.empty()) {
      const NodeId tag = doc_.find(object, shape.tag);
      const bool tag_known = tag != kNoNode && doc_.node(tag).kind == NodeKind::kString;
      std::vector<std::string_view> owners;
      bool case_found = false;
      for (const Case& one : shape.cases) {
        const auto has = [&](std::span<const Key> list) {
          return std::any_of(list.begin(), list.end(), [&](const Key& key) { return key.name == name; });
        };
        if (has(one.keys) || has(one.more_keys) || has(one.further_keys)) owners.push_back(one.value);
        case_found = case_found || (tag_known && doc_.node(tag).text == one.value);
      }
      if (!case_found && !owners.empty()) return;  // the missing or wrong tag is reported already
      if (!owners.empty()) {
        report_(member, "unknown-key",
                "the key " + quote_json(name) + " has no meaning with " + std::string(shape.tag) + " " +
                    quote_json(doc_.node(tag).text) + "; it belongs to " + join(owners));
        return;
      }
    }
    std::vector<std::string_view> names;
    for (const Key* key : keys) names.push_back(key->name);
    const std::string_view near = nearest(name, names);
    std::string message = "unknown key " + quote_json(name.substr(0, 80));
    message += near.empty() ? "; expected one of " + join(names) : "; did you mean " + quote_json(near) + "?";
    report_(member, "unknown-key", std::move(message));
  }

  const Document& doc_;
  const ShapeReport& report_;
};

}  // namespace

const Shape* choose(const Shape& either, NodeKind kind) {
  for (const Shape* choice : either.choices) {
    switch (choice->kind) {
      case ShapeKind::kBoolean:
        if (kind == NodeKind::kBoolean) return choice;
        break;
      case ShapeKind::kInteger:
      case ShapeKind::kNumber:
        if (kind == NodeKind::kNumber) return choice;
        break;
      case ShapeKind::kString:
        if (kind == NodeKind::kString) return choice;
        break;
      case ShapeKind::kList:
        if (kind == NodeKind::kArray) return choice;
        break;
      case ShapeKind::kObject:
      case ShapeKind::kMap:
        if (kind == NodeKind::kObject) return choice;
        break;
      case ShapeKind::kOneOrMany:
      case ShapeKind::kEither: return choice;
    }
  }
  return nullptr;
}

void check_shape(const Document& document, NodeId id, const Shape& shape, const ShapeReport& report) {
  ShapeChecker(document, report).check(id, shape);
}

void each_key(const Document& document, NodeId object, const Shape& shape,
              const std::function<void(const Key&)>& visit) {
  for (const Key& key : shape.keys) visit(key);
  if (shape.tag.empty()) return;
  const NodeId tag = document.find(object, shape.tag);
  if (tag == kNoNode || document.node(tag).kind != NodeKind::kString) return;
  for (const Case& one : shape.cases) {
    if (one.value != document.node(tag).text) continue;
    for (const Key& key : one.keys) visit(key);
    for (const Key& key : one.more_keys) visit(key);
    for (const Key& key : one.further_keys) visit(key);
  }
}

}  // namespace headgate::json
