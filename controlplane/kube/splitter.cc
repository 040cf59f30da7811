#include "controlplane/kube/splitter.h"

#include <utility>

namespace headgate::kube {
namespace {

constexpr size_t kMaxKey = 64;
constexpr size_t kMaxMetadata = 1 << 20;

constexpr Error kMalformed{.code = Errc::kMalformed, .detail = "list of the API server"};
constexpr Error kTooLarge{.code = Errc::kTooLarge, .detail = "object of the API server"};

}  // namespace

void ListSplitter::open(char c, size_t at) {
  ++depth_;
  if (c == '[') {
    in_items_ = in_items_ || (depth_ == 2 && key_ == "items");
    return;
  }
  if (capture_ != Capture::kNone) return;
  if (depth_ == 3 && in_items_) capture_ = Capture::kItem;
  if (depth_ == 2 && key_ == "metadata") capture_ = Capture::kMetadata;
  if (capture_ == Capture::kNone) return;
  capture_depth_ = depth_;
  capture_begin_ = at;
  captured_.clear();
}

Result<void> ListSplitter::close(std::string_view piece, size_t at, const OnText& on_item) {
  if (depth_ == 0) return kMalformed;
  if (capture_ != Capture::kNone && depth_ == capture_depth_) {
    const Capture what = std::exchange(capture_, Capture::kNone);
    std::string_view text = piece.substr(capture_begin_, at + 1 - capture_begin_);
    if (!captured_.empty()) text = captured_.append(text);
    if (what == Capture::kMetadata) {
      metadata_ = std::string(text);
    } else {
      if (text.size() > kMaxObject) return kTooLarge;
      HG_TRY(on_item(text));
    }
  }
  --depth_;
  if (depth_ == 1) in_items_ = false;
  if (depth_ == 0) complete_ = true;
  return {};
}

Result<void> ListSplitter::feed(std::string_view piece, const OnText& on_item) {
  capture_begin_ = 0;
  for (size_t i = 0; i < piece.size(); ++i) {
    const char c = piece[i];
    if (in_string_) {
      if (escaped_) {
        escaped_ = false;
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
      } else if (depth_ == 1 && last_string_.size() < kMaxKey) {
        last_string_.push_back(c);
      }
      continue;
    }
    const bool outside = depth_ == 0;
    switch (c) {
      case '"':
        if (outside) return kMalformed;
        in_string_ = true;
        if (depth_ == 1) last_string_.clear();
        break;
      case ':':
        if (depth_ == 1) key_ = last_string_;
        break;
      case ',':
        if (depth_ == 1) key_.clear();
        break;
      case '{':
      case '[':
        if (outside && (c == '[' || complete_)) return kMalformed;
        open(c, i);
        break;
      case '}':
      case ']':
        HG_TRY(close(piece, i, on_item));
        break;
      case ' ':
      case '\n':
      case '\r':
      case '\t':
        break;
      default:
        if (outside) return kMalformed;
    }
  }
  if (capture_ != Capture::kNone) {
    captured_.append(piece.substr(capture_begin_));
    if (captured_.size() > (capture_ == Capture::kItem ? kMaxObject : kMaxMetadata)) return kTooLarge;
  }
  return {};
}

Result<void> LineSplitter::feed(std::string_view piece, const OnText& on_line) {
  while (!piece.empty()) {
    const size_t end = piece.find('\n');
    const std::string_view part = piece.substr(0, end);
    if (partial_.size() + part.size() > kMaxObject) return kTooLarge;
    if (end == std::string_view::npos) {
      partial_.append(part);
      return {};
    }
    piece.remove_prefix(end + 1);
    if (partial_.empty()) {
      if (!part.empty()) HG_TRY(on_line(part));
      continue;
    }
    partial_.append(part);
    const std::string line = std::exchange(partial_, {});
    HG_TRY(on_line(line));
  }
  return {};
}

}  // namespace headgate::kube
