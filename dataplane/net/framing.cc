#include "dataplane/net/framing.h"

#include <algorithm>

namespace headgate::net {

Frame FrameReader::next(std::string_view bytes, bool at_end) {
  if (bytes.empty()) return {};
  switch (framing_) {
    case Framing::kRead: {
      const size_t size = std::min(bytes.size(), kMaxMessage);
      return {Frame::State::kMessage, bytes.substr(0, size), size};
    }
    case Framing::kLine: return next_line(bytes, at_end);
    case Framing::kLength: return next_length(bytes, at_end);
  }
  return {};
}

Frame FrameReader::next_line(std::string_view bytes, bool at_end) {
  const size_t end = bytes.find('\n', std::min(looked_, bytes.size()));
  if (end == std::string_view::npos) {
    if (!dropping_ && bytes.size() <= kMaxMessage) {
      if (!at_end) {
        looked_ = bytes.size();
        return {};
      }
      looked_ = 0;
      return {Frame::State::kMessage, bytes, bytes.size()};
    }
    looked_ = 0;
    const bool first = !dropping_;
    dropping_ = true;
    // Counted once, where it begins; the rest goes the same way without a word.
    return {first ? Frame::State::kTooLarge : Frame::State::kNeedMore, {}, bytes.size()};
  }
  looked_ = 0;
  const bool dropped = dropping_;
  dropping_ = false;
  if (dropped) {
    Frame rest = next(bytes.substr(end + 1), at_end);
    rest.size += end + 1;
    return rest;
  }
  if (end > kMaxMessage) return {Frame::State::kTooLarge, {}, end + 1};
  return {Frame::State::kMessage, bytes.substr(0, end), end + 1};
}

Frame FrameReader::next_length(std::string_view bytes, bool at_end) {
  // A message that is cut off at the end is none: its length says so.
  if (bytes.size() < 2) return at_end ? Frame{Frame::State::kTooLarge, {}, bytes.size()} : Frame{};
  const size_t size = static_cast<uint8_t>(bytes[0]) * size_t{256} + static_cast<uint8_t>(bytes[1]);
  if (bytes.size() < 2 + size) return at_end ? Frame{Frame::State::kTooLarge, {}, bytes.size()} : Frame{};
  if (size > kMaxMessage) return {Frame::State::kTooLarge, {}, 2 + size};
  return {Frame::State::kMessage, bytes.substr(2, size), 2 + size};
}

bool write_marks(Framing framing, std::string_view message, FrameMarks& marks) {
  marks = {};
  switch (framing) {
    case Framing::kRead: return true;
    case Framing::kLine: marks.tail_size = message.ends_with('\n') ? 0 : 1; return true;
    case Framing::kLength:
      if (message.size() > 65535) return false;
      marks.head = {static_cast<char>(message.size() >> 8), static_cast<char>(message.size() & 0xff)};
      marks.head_size = 2;
      return true;
  }
  return true;
}

}  // namespace headgate::net
