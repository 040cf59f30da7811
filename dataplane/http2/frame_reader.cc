#include "dataplane/http2/frame_reader.h"

#include <algorithm>
#include <cstring>

namespace headgate::http2 {

namespace {

// How much of the payload must be there before any of it can be looked at.
size_t fixed_size_of(const FrameHeader& header) {
  switch (header.type) {
    case FrameType::kData: return header.has(frame_flag::kPadded) ? 1 : 0;
    case FrameType::kHeaders:
      return (header.has(frame_flag::kPadded) ? 1 : 0) + (header.has(frame_flag::kPriority) ? 5 : 0);
    case FrameType::kPriority:
    case FrameType::kRstStream:
    case FrameType::kSettings:
    case FrameType::kPing:
    case FrameType::kWindowUpdate: return header.length;
    case FrameType::kGoaway: return 8;  // debug data follows
    case FrameType::kPushPromise:
    case FrameType::kContinuation: break;
  }
  return 0;
}

}  // namespace

// `size` bytes in one piece: where they lie when all have come together, else in partial_.
bool FrameReader::collect(std::string_view& input, size_t size, std::string_view& whole) {
  if (partial_size_ == 0 && input.size() >= size) [[likely]] {
    whole = input.substr(0, size);
    input.remove_prefix(size);
    return true;
  }
  const size_t part = std::min(size - partial_size_, input.size());
  if (part > 0) std::memcpy(partial_.data() + partial_size_, input.data(), part);
  input.remove_prefix(part);
  partial_size_ = static_cast<uint8_t>(partial_size_ + part);
  if (partial_size_ < size) return false;
  partial_size_ = 0;
  whole = {partial_.data(), size};
  return true;
}

void FrameReader::begin_frame(std::string_view bytes) {
  header_ = read_frame_header(bytes.data());
  fixed_size_ = static_cast<uint32_t>(fixed_size_of(header_));
  padding_ = 0;
  padding_too_long_ = false;
  if (fixed_size_ > 0) {
    part_ = Part::kFixed;
  } else {
    fixed_ = {};
    begin_content();
  }
}

void FrameReader::begin_content() {
  const bool padded = header_.has(frame_flag::kPadded) &&
                      (header_.type == FrameType::kData || header_.type == FrameType::kHeaders);
  padding_ = padded ? static_cast<uint8_t>(fixed_.front()) : 0;
  const uint32_t left = header_.length - fixed_size_;
  padding_too_long_ = padding_ > left;
  content_left_ = padding_too_long_ ? 0 : left - padding_;
  padding_left_ = padding_;
  part_ = Part::kContent;
}

FrameReader::Event FrameReader::next(std::string_view& input) {
  switch (part_) {
    case Part::kPreface: {
      const size_t part = std::min(kClientPreface.size() - partial_size_, input.size());
      if (input.substr(0, part) != kClientPreface.substr(partial_size_, part)) return Event::kBadPreface;
      input.remove_prefix(part);
      partial_size_ = static_cast<uint8_t>(partial_size_ + part);
      if (partial_size_ < kClientPreface.size()) return Event::kNeedMore;
      partial_size_ = 0;
      part_ = Part::kHeader;
      [[fallthrough]];
    }
    case Part::kHeader: {
      std::string_view bytes;
      if (!collect(input, FrameHeader::kSize, bytes)) return Event::kNeedMore;
      begin_frame(bytes);
      return Event::kHeader;
    }
    case Part::kFixed:
      if (!collect(input, fixed_size_, fixed_)) return Event::kNeedMore;
      begin_content();
      return Event::kFixed;
    case Part::kContent:
      if (content_left_ > 0) {
        if (input.empty()) return Event::kNeedMore;
        content_ = input.substr(0, content_left_);
        input.remove_prefix(content_.size());
        content_left_ -= static_cast<uint32_t>(content_.size());
        return Event::kContent;
      }
      part_ = Part::kPadding;
      [[fallthrough]];
    case Part::kPadding: {
      const size_t part = std::min<size_t>(padding_left_, input.size());
      input.remove_prefix(part);
      padding_left_ = static_cast<uint8_t>(padding_left_ - part);
      if (padding_left_ > 0) return Event::kNeedMore;
      part_ = Part::kHeader;
      return Event::kEnd;
    }
  }
  return Event::kNeedMore;
}

}  // namespace headgate::http2
