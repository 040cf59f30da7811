// shape.h -- what may stand where in the users' file, as data: the reader, the printer and schema.json all use it.
// Thread: any (constant tables).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "proto/json/json_text.h"

namespace headgate::json {

struct Shape;

enum class Presence : uint8_t { kOptional, kRequired };

struct Key {
  std::string_view name;
  const Shape* shape;
  std::string_view doc;                // one sentence for editors
  std::string_view default_text = {};  // JSON that `print` fills in; empty: none, or it depends on other values
  Presence presence = Presence::kOptional;
};

// Further keys of an object, by the value of its tag key ("handler").
struct Case {
  std::string_view value;
  std::span<const Key> keys;
  std::span<const Key> more_keys;
  std::span<const Key> further_keys = {};
};

enum class ShapeKind : uint8_t {
  kBoolean,
  kInteger,    // minimum..maximum
  kNumber,     // minimum..maximum
  kString,     // one of `words`, or what `accepts` takes, or any
  kList,       // of `item`
  kOneOrMany,  // `item`, or a list of it; printed as a list
  kObject,     // `keys`, those of the matching case, and any other name with a value of `item` if there is one
  kMap,        // any name -> `item`; printed sorted
  kEither,     // one of `choices`, told apart by the kind of node
};

struct Shape {
  ShapeKind kind;
  std::string_view expected;  // for messages: "a number of seconds above 0"
  double minimum = 0;
  double maximum = 0;
  std::span<const std::string_view> words = {};
  bool (*accepts)(std::string_view) = nullptr;
  std::span<const Key> keys = {};
  std::string_view tag = {};
  std::span<const Case> cases = {};
  const Shape* item = nullptr;
  std::span<const Shape* const> choices = {};
  // kEither: keys of the object form that a string stands for; empty: the string form stays when printed.
  std::span<const std::string_view> string_keys = {};
  bool sorted = false;         // kList of objects: order has no meaning, print by "name"
  bool at_least_one = false;   // kList, kOneOrMany
  std::string_view name = {};  // its definition in schema.json; empty: written in place
};

// The whole file.
const Shape& file_shape();

// Calls `report(node, rule, message)` for each place below `id` that the shape does not allow. For unknown keys the
// node is the member itself.
using ShapeReport = std::function<void(NodeId, std::string_view rule, std::string message)>;
void check_shape(const Document& document, NodeId id, const Shape& shape, const ShapeReport& report);

// The keys an object of `shape` may have, given what its tag says. Visits in the order of the tables.
void each_key(const Document& document, NodeId object, const Shape& shape,
              const std::function<void(const Key&)>& visit);

// The choice for a node of this kind, or null.
const Shape* choose(const Shape& either, NodeKind kind);

}  // namespace headgate::json
