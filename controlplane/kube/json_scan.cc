#include "controlplane/kube/json_scan.h"

namespace headgate::kube {
namespace {

bool is_json_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
bool ends_scalar(char c) { return c == ',' || c == '}' || c == ']' || c == ':' || is_json_space(c); }

}  // namespace

char JsonScan::peek() {
  while (at_ < text_.size() && is_json_space(text_[at_])) ++at_;
  return at_ < text_.size() ? text_[at_] : '\0';
}

bool JsonScan::take(char c) {
  if (peek() != c || at_ >= text_.size()) return false;
  ++at_;
  return true;
}

// At the opening quote.
bool JsonScan::skip_string() {
  for (++at_; at_ < text_.size(); ++at_) {
    if (text_[at_] == '"') {
      ++at_;
      return true;
    }
    if (text_[at_] == '\\') ++at_;
  }
  at_ = text_.size();
  return false;
}

std::optional<std::string_view> JsonScan::take_string() {
  if (peek() != '"') return std::nullopt;
  const size_t begin = at_ + 1;
  if (!skip_string()) return std::nullopt;
  return text_.substr(begin, at_ - 1 - begin);
}

std::optional<std::string_view> JsonScan::take_value() {
  const char first = peek();
  const size_t begin = at_;
  if (first == '"') {
    if (!skip_string()) return std::nullopt;
  } else if (first == '{' || first == '[') {
    size_t depth = 0;
    do {
      if (at_ >= text_.size()) return std::nullopt;
      const char c = text_[at_];
      if (c == '"') {
        if (!skip_string()) return std::nullopt;
        continue;
      }
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      ++at_;
    } while (depth > 0);
  } else {
    while (at_ < text_.size() && !ends_scalar(text_[at_])) ++at_;
    if (at_ == begin) return std::nullopt;
  }
  return text_.substr(begin, at_ - begin);
}

}  // namespace headgate::kube
