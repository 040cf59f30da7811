#include "proto/json/json_text.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"

namespace headgate::json {

namespace {

constexpr size_t kMaxErrors = 100;

// Length of the UTF-8 sequence at `at`, 0 when it is not one (RFC 3629: no overlong form, no surrogate, <= U+10FFFF).
size_t utf8_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[at + i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t left = text.size() - at;
  const auto tail = [&](size_t i) { return i < left && (byte(i) & 0xc0) == 0x80; };
  if (lead >= 0xc2 && lead <= 0xdf) return tail(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if (!tail(1) || !tail(2)) return 0;
    if (lead == 0xe0 && byte(1) < 0xa0) return 0;
    if (lead == 0xed && byte(1) > 0x9f) return 0;
    return 3;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    if (lead == 0xf0 && byte(1) < 0x90) return 0;
    if (lead == 0xf4 && byte(1) > 0x8f) return 0;
    return 4;
  }
  return 0;
}

void append_utf8(std::string& into, uint32_t point) {
  const auto put = [&](uint32_t byte) { into.push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xc0 | (point >> 6));
    put(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    put(0xe0 | (point >> 12));
    put(0x80 | ((point >> 6) & 0x3f));
    put(0x80 | (point & 0x3f));
  } else {
    put(0xf0 | (point >> 18));
    put(0x80 | ((point >> 12) & 0x3f));
    put(0x80 | ((point >> 6) & 0x3f));
    put(0x80 | (point & 0x3f));
  }
}

// What stands at `at`, for "found ...".
std::string describe_char(std::string_view text, size_t at) {
  if (at >= text.size()) return "the end of the file";
  const auto byte = static_cast<uint8_t>(text[at]);
  if (byte == '\n' || byte == '\r') return "the end of the line";
  if (byte < 0x20 || byte >= 0x7f) {
    constexpr std::string_view kHex = "0123456789abcdef";
    return std::string("byte 0x") + kHex[byte >> 4] + kHex[byte & 15];
  }
  return std::string("'") + static_cast<char>(byte) + "'";
}

}  // namespace

// Recursive descent; every function returns false once the text cannot be read on.
class TextReader {
 public:
  explicit TextReader(Document& document) : doc_(document), text_(document.text_) {}

  void run() {
    if (text_.size() > kMaxText) {
      fail(0, kNoNode, "the file is larger than 64 MiB");
      return;
    }
    if (text_.starts_with("\xef\xbb\xbf")) at_ = 3;  // a byte order mark from some editors
    if (!skip_space()) return;
    if (at_ == text_.size()) {
      fail(at_, kNoNode, "the file is empty; expected an object");
      return;
    }
    if (read_value(kNoNode, 0) == kNoNode || !skip_space()) return;
    if (at_ != text_.size()) fail(at_, 0, "expected the end of the file, found " + describe_char(text_, at_));
  }

 private:
  void fail(size_t offset, NodeId node, std::string message, bool recovered = false) {
    // The last place is kept for the error that ends the reading.
    if (doc_.errors_.size() < kMaxErrors || !recovered) {
      doc_.errors_.push_back({static_cast<uint32_t>(offset), node, std::move(message), recovered});
    }
  }

  bool skip_space() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
        ++at_;
      } else if (c == '/') {
        if (!skip_comment()) return false;
      } else {
        return true;
      }
    }
    return true;
  }

  bool skip_comment() {
    const size_t start = at_;
    if (text_.substr(at_, 2) == "//") {
      const size_t end = text_.find('\n', at_);
      at_ = end == std::string_view::npos ? text_.size() : end;
    } else if (text_.substr(at_, 2) == "/*") {
      const size_t end = text_.find("*/", at_ + 2);
      if (end == std::string_view::npos) {
        fail(start, current_, "comment without its end; expected */");
        return false;
      }
      at_ = end + 2;
    } else {
      fail(at_, current_, "expected a value or a comment, found '/'");
      return false;
    }
    for (size_t i = start; i < at_;) {
      const size_t length = utf8_length(text_, i);
      if (length == 0) {
        fail(i, current_, "invalid UTF-8 in a comment");
        return false;
      }
      i += length;
    }
    return true;
  }

  NodeId add_node(NodeKind kind, NodeId parent) {
    const auto id = static_cast<NodeId>(doc_.nodes_.size());
    Node node;
    node.kind = kind;
    node.offset = static_cast<uint32_t>(at_);
    node.parent = parent;
    if (parent != kNoNode) {
      node.index = doc_.nodes_[parent].size;
      node.key = key_;
      node.key_offset = key_offset_;
    }
    doc_.nodes_.push_back(node);
    return id;
  }

  NodeId read_value(NodeId parent, size_t depth) {
    if (at_ >= text_.size()) {
      fail(at_, parent, "expected a value, found the end of the file");
      return kNoNode;
    }
    switch (text_[at_]) {
      case '{': return read_object(parent, depth);
      case '[': return read_array(parent, depth);
      case '"': {
        const NodeId id = add_node(NodeKind::kString, parent);
        std::string_view value;
        if (!read_string(value, id)) return kNoNode;
        doc_.nodes_[id].text = value;
        return id;
      }
      case 't': return read_word("true", NodeKind::kBoolean, parent);
      case 'f': return read_word("false", NodeKind::kBoolean, parent);
      case 'n': return read_word("null", NodeKind::kNull, parent);
      default: return read_number(parent);
    }
  }

  NodeId read_word(std::string_view word, NodeKind kind, NodeId parent) {
    if (text_.substr(at_, word.size()) != word ||
        (at_ + word.size() < text_.size() && is_token_char(text_[at_ + word.size()]))) {
      fail(at_, parent, "expected a value; words must be true, false or null, and strings stand in double quotes");
      return kNoNode;
    }
    const NodeId id = add_node(kind, parent);
    doc_.nodes_[id].boolean = word == "true";
    at_ += word.size();
    return id;
  }

  size_t skip_digits() {
    const size_t start = at_;
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    return at_ - start;
  }

  NodeId read_number(NodeId parent) {
    const size_t start = at_;
    const NodeId id = add_node(NodeKind::kNumber, parent);
    if (text_[at_] == '-') ++at_;
    const size_t first = at_;
    const size_t digits = skip_digits();
    if (digits == 0) {
      at_ = start;
      fail(start, parent, "expected a value, found " + describe_char(text_, start));
      return kNoNode;
    }
    bool good = digits == 1 || text_[first] != '0';
    if (at_ < text_.size() && text_[at_] == '.') {
      ++at_;
      good = skip_digits() > 0 && good;
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      ++at_;
      if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      good = skip_digits() > 0 && good;
    }
    if (at_ < text_.size() && is_token_char(text_[at_])) good = false;  // "10s", "0x10", "1-2"
    if (!good) {
      fail(start, parent, "not a JSON number (no leading zero, no unit, digits after the point)");
      return kNoNode;
    }
    doc_.nodes_[id].text = text_.substr(start, at_ - start);
    return id;
  }

  NodeId read_array(NodeId parent, size_t depth) {
    if (depth >= kMaxDepth) {
      fail(at_, parent, "nested deeper than 64 levels");
      return kNoNode;
    }
    const NodeId id = add_node(NodeKind::kArray, parent);
    const size_t start = at_++;
    NodeId last = kNoNode;
    while (true) {
      current_ = id;
      if (!skip_space()) return kNoNode;
      if (!check_comma_or_end(id, last, start, ']')) return kNoNode;
      if (text_[at_] == ']') {
        ++at_;
        return id;
      }
      const NodeId child = read_value(id, depth + 1);
      if (child == kNoNode) return kNoNode;
      link_child(id, child, last);
    }
  }

  NodeId read_object(NodeId parent, size_t depth) {
    if (depth >= kMaxDepth) {
      fail(at_, parent, "nested deeper than 64 levels");
      return kNoNode;
    }
    const NodeId id = add_node(NodeKind::kObject, parent);
    const size_t start = at_++;
    NodeId last = kNoNode;
    std::unordered_set<std::string_view> seen;  // of large objects only: most have a few keys
    while (true) {
      current_ = id;
      if (!skip_space()) return kNoNode;
      if (!check_comma_or_end(id, last, start, '}')) return kNoNode;
      if (text_[at_] == '}') {
        ++at_;
        return id;
      }
      if (text_[at_] != '"') {
        fail(at_, id, "expected a key in double quotes, found " + describe_char(text_, at_));
        return kNoNode;
      }
      const size_t key_offset = at_;
      std::string_view key;
      if (!read_string(key, id) || !skip_space()) return kNoNode;
      if (at_ >= text_.size() || text_[at_] != ':') {
        fail(at_, id, "expected ':' after the key " + quote_json(key) + ", found " + describe_char(text_, at_));
        return kNoNode;
      }
      ++at_;
      if (!skip_space()) return kNoNode;
      key_ = key;
      key_offset_ = static_cast<uint32_t>(key_offset);
      const NodeId child = read_value(id, depth + 1);
      if (child == kNoNode) return kNoNode;
      link_child(id, child, last);
      if (is_repeated(id, child, seen)) {
        fail(key_offset, child, "the key " + quote_json(key) + " stands here twice", true);
      }
    }
  }

  // Has `object` had the key of its newest member before?
  bool is_repeated(NodeId object, NodeId newest, std::unordered_set<std::string_view>& seen) {
    constexpr uint32_t kFew = 16;
    const std::string_view key = doc_.nodes_[newest].key;
    if (doc_.nodes_[object].size > kFew) {
      if (seen.empty()) {
        for (NodeId one = doc_.nodes_[object].first_child; one != newest; one = doc_.nodes_[one].next) {
          seen.insert(doc_.nodes_[one].key);
        }
      }
      return !seen.insert(key).second;
    }
    for (NodeId one = doc_.nodes_[object].first_child; one != newest; one = doc_.nodes_[one].next) {
      if (doc_.nodes_[one].key == key) return true;
    }
    return false;
  }

  // Between elements. Leaves at_ on an element or on `end`.
  bool check_comma_or_end(NodeId id, NodeId last, size_t start, char end) {
    const auto unclosed = [&] {
      const TextPosition open = doc_.position(static_cast<uint32_t>(start));
      fail(at_, id,
           std::string("expected '") + end + "' for the '" + text_[start] + "' of line " + std::to_string(open.line) +
               ", found the end of the file");
      return false;
    };
    if (at_ >= text_.size()) return unclosed();
    if (last == kNoNode || text_[at_] == end) {
      if (text_[at_] != ',') return true;
      fail(at_, id, "expected a value, found ','");
      return false;
    }
    if (text_[at_] != ',') {
      fail(at_, id, std::string("expected ',' or '") + end + "', found " + describe_char(text_, at_));
      return false;
    }
    const size_t comma = at_++;
    if (!skip_space()) return false;
    if (at_ >= text_.size()) return unclosed();
    if (text_[at_] == end) fail(comma, id, "a comma after the last element", true);
    return true;
  }

  void link_child(NodeId parent, NodeId child, NodeId& last) {
    Node& up = doc_.nodes_[parent];
    ++up.size;
    if (last == kNoNode) {
      up.first_child = child;
    } else {
      doc_.nodes_[last].next = child;
    }
    last = child;
  }

  // at_ on the opening quote.
  bool read_string(std::string_view& out, NodeId node) {
    const size_t start = at_++;
    const size_t first = at_;
    std::string* decoded = nullptr;
    while (true) {
      if (at_ >= text_.size()) {
        fail(start, node, "string without its closing quote");
        return false;
      }
      const char c = text_[at_];
      if (c == '"') break;
      if (c == '\\') {
        if (decoded == nullptr) decoded = &doc_.decoded_.emplace_back(text_.substr(first, at_ - first));
        if (!read_escape(*decoded, node)) return false;
        continue;
      }
      if (static_cast<uint8_t>(c) < 0x20) {
        fail(at_, node,
             c == '\n' ? "string without its closing quote" : "control character in a string; write an escape");
        return false;
      }
      const size_t length = utf8_length(text_, at_);
      if (length == 0) {
        fail(at_, node, "invalid UTF-8");
        return false;
      }
      if (decoded != nullptr) decoded->append(text_.substr(at_, length));
      at_ += length;
    }
    out = decoded != nullptr ? std::string_view(*decoded) : text_.substr(first, at_ - first);
    ++at_;
    return true;
  }

  bool read_escape(std::string& into, NodeId node) {
    const size_t start = at_++;
    const char kind = at_ < text_.size() ? text_[at_] : '\0';
    ++at_;
    switch (kind) {
      case '"':
      case '\\':
      case '/': into.push_back(kind); return true;
      case 'b': into.push_back('\b'); return true;
      case 'f': into.push_back('\f'); return true;
      case 'n': into.push_back('\n'); return true;
      case 'r': into.push_back('\r'); return true;
      case 't': into.push_back('\t'); return true;
      case 'u': break;
      default:
        fail(start, node, "unknown escape in a string; known are \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX");
        return false;
    }
    uint32_t point = 0;
    if (!read_hex4(point)) {
      fail(start, node, "\\u needs four hexadecimal digits");
      return false;
    }
    if (point >= 0xd800 && point <= 0xdbff) {
      uint32_t low = 0;
      if (text_.substr(at_, 2) == "\\u") {
        at_ += 2;
        if (!read_hex4(low)) low = 0;
      }
      if (low < 0xdc00 || low > 0xdfff) {
        fail(start, node, "half a surrogate pair");
        return false;
      }
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    } else if (point >= 0xdc00 && point <= 0xdfff) {
      fail(start, node, "half a surrogate pair");
      return false;
    }
    if (point == 0) {
      // Paths and names end at NUL in the kernel: what was checked would not be what is opened.
      fail(start, node, "a NUL character is not allowed");
      return false;
    }
    append_utf8(into, point);
    return true;
  }

  bool read_hex4(uint32_t& value) {
    if (text_.size() - std::min(at_, text_.size()) < 4) return false;
    value = 0;
    for (size_t i = 0; i < 4; ++i) {
      const int digit = hex_digit(text_[at_ + i]);
      if (digit < 0) return false;
      value = value << 4 | static_cast<uint32_t>(digit);
    }
    at_ += 4;
    return true;
  }

  Document& doc_;
  std::string_view text_;
  size_t at_ = 0;
  std::string_view key_;  // of the member that is about to be read
  uint32_t key_offset_ = 0;
  NodeId current_ = kNoNode;  // innermost open container, for errors in comments
};

std::string_view node_kind_name(NodeKind kind) {
  switch (kind) {
    case NodeKind::kNull: return "null";
    case NodeKind::kBoolean: return "a boolean";
    case NodeKind::kNumber: return "a number";
    case NodeKind::kString: return "a string";
    case NodeKind::kArray: return "a list";
    case NodeKind::kObject: return "an object";
  }
  return "";
}

bool Document::read(std::string text) {
  text_ = std::move(text);
  nodes_.clear();
  decoded_.clear();
  errors_.clear();
  line_starts_.clear();
  TextReader(*this).run();
  return errors_.empty();
}

NodeId Document::find(NodeId object, std::string_view key) const {
  if (object == kNoNode || nodes_[object].kind != NodeKind::kObject) return kNoNode;
  for (NodeId child = first(object); child != kNoNode; child = next(child)) {
    if (nodes_[child].key == key) return child;
  }
  return kNoNode;
}

TextPosition Document::position(uint32_t offset) const {
  if (line_starts_.empty()) {
    line_starts_.push_back(0);
    for (size_t i = 0; i < text_.size(); ++i) {
      if (text_[i] == '\n') line_starts_.push_back(static_cast<uint32_t>(i + 1));
    }
  }
  const auto after = std::upper_bound(line_starts_.begin(), line_starts_.end(), offset);
  const auto line = static_cast<uint32_t>(after - line_starts_.begin());
  return {line, offset - line_starts_[line - 1] + 1};
}

std::string path_key(std::string_view key) {
  bool plain = !key.empty() && !is_digit(key.front());
  for (const char c : key) plain = plain && (is_alpha(c) || is_digit(c) || c == '_');
  if (plain) return "." + std::string(key);
  return "[" + quote_json(key) + "]";
}

std::string Document::path(NodeId id) const {
  std::vector<NodeId> chain;
  for (; id != kNoNode && id < nodes_.size() && nodes_[id].parent != kNoNode; id = nodes_[id].parent)
    chain.push_back(id);
  std::string out = "$";
  for (auto it = chain.rbegin(); it != chain.rend(); ++it) {
    const Node& at = nodes_[*it];
    if (nodes_[at.parent].kind == NodeKind::kArray) {
      out += "[" + std::to_string(at.index) + "]";
    } else {
      out += path_key(at.key);
    }
  }
  return out;
}

}  // namespace headgate::json
