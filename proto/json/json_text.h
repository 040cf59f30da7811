// json_text.h -- a strict JSON reader that keeps where everything stood.
// Spec: RFC 8259, plus // and /* */ comments. Trailing commas, duplicate keys, lone surrogates, invalid UTF-8, NUL in
// strings and anything after the value are errors; all but the first unreadable place are collected.
// Unit: at most 64 MiB of text, 64 levels.   Thread: any.   Owner: the caller; nodes and views live as long as the
// Document.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace headgate::json {

inline constexpr size_t kMaxText = size_t{64} << 20;
inline constexpr size_t kMaxDepth = 64;

enum class NodeKind : uint8_t { kNull, kBoolean, kNumber, kString, kArray, kObject };
std::string_view node_kind_name(NodeKind kind);  // "a string"

using NodeId = uint32_t;
inline constexpr NodeId kNoNode = 0xffffffff;

struct Node {
  NodeKind kind = NodeKind::kNull;
  bool boolean = false;
  uint32_t offset = 0;      // of the value in the text
  uint32_t key_offset = 0;  // of the key, in members of an object
  uint32_t index = 0;       // position in the array
  NodeId parent = kNoNode;
  NodeId first_child = kNoNode;
  NodeId next = kNoNode;  // next sibling
  uint32_t size = 0;      // children
  std::string_view text;  // kString: decoded; kNumber: as written
  std::string_view key;   // decoded; members of an object
};

// 1-based; columns count bytes of the line, as compilers do.
struct TextPosition {
  uint32_t line = 0;
  uint32_t column = 0;
};

struct SyntaxError {
  uint32_t offset = 0;
  NodeId node = kNoNode;  // where in the tree, as far as it was read
  std::string message;
  bool recovered = false;  // reading went on: the tree is complete
};

class Document {
 public:
  Document() = default;
  Document(const Document&) = delete;  // nodes point into the text
  Document& operator=(const Document&) = delete;

  // Reads `text`, which is kept. False: errors() says what is wrong; nodes read until then are there.
  bool read(std::string text);

  [[nodiscard]] const std::vector<SyntaxError>& errors() const { return errors_; }
  [[nodiscard]] NodeId root() const { return nodes_.empty() ? kNoNode : 0; }
  [[nodiscard]] const Node& node(NodeId id) const { return nodes_[id]; }
  [[nodiscard]] NodeId find(NodeId object, std::string_view key) const;  // kNoNode when absent or no object
  [[nodiscard]] TextPosition position(uint32_t offset) const;
  // "$.dispatch[1].headers[\"X-Scheme\"]"; "$" for the root.
  [[nodiscard]] std::string path(NodeId id) const;
  [[nodiscard]] size_t node_count() const { return nodes_.size(); }
  [[nodiscard]] std::string_view text() const { return text_; }

  // Children in order: for (NodeId c = first(id); c != kNoNode; c = next(c)).
  [[nodiscard]] NodeId first(NodeId id) const { return nodes_[id].first_child; }
  [[nodiscard]] NodeId next(NodeId id) const { return nodes_[id].next; }

 private:
  friend class TextReader;
  std::string text_;
  std::vector<Node> nodes_;
  std::deque<std::string> decoded_;  // strings that had escapes
  std::vector<SyntaxError> errors_;
  mutable std::vector<uint32_t> line_starts_;  // built at the first position()
};

// ".key" or "[\"odd key\"]".
std::string path_key(std::string_view key);

}  // namespace headgate::json
