#include "dataplane/filters/grpc_web_codec.h"

#include <algorithm>
#include <cstring>

#include "dataplane/base/text.h"

namespace headgate::filters {

namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kNoDigit = 0xff;
constexpr size_t kFrameHeader = 5;
constexpr uint8_t kTrailerFlag = 0x80;

constexpr std::array<uint8_t, 256> kDigits = [] {
  std::array<uint8_t, 256> digits{};
  digits.fill(kNoDigit);
  for (size_t i = 0; i < kAlphabet.size(); ++i) digits[static_cast<uint8_t>(kAlphabet[i])] = static_cast<uint8_t>(i);
  return digits;
}();

// One to three bytes as four characters.
char* write_group(const uint8_t* bytes, size_t count, char* into) {
  const uint32_t group = uint32_t{bytes[0]} << 16 | (count > 1 ? uint32_t{bytes[1]} << 8 : 0) | (count > 2 ? bytes[2] : 0);
  *into++ = kAlphabet[group >> 18];
  *into++ = kAlphabet[group >> 12 & 63];
  *into++ = count > 1 ? kAlphabet[group >> 6 & 63] : '=';
  *into++ = count > 2 ? kAlphabet[group & 63] : '=';
  return into;
}

}  // namespace

bool Base64Decoder::decode(std::string_view text, char* into, size_t& size) {
  char* at = into;
  for (const char c : text) {
    if (c == '=') {
      // Only the last one or two of a group.
      if (count_ < 2) return false;
      group_[count_] = 0;
      ++padding_;
    } else {
      const uint8_t digit = kDigits[static_cast<uint8_t>(c)];
      if (digit == kNoDigit || padding_ > 0) return false;
      group_[count_] = digit;
    }
    if (++count_ < group_.size()) continue;
    const uint32_t bits = uint32_t{group_[0]} << 18 | uint32_t{group_[1]} << 12 | uint32_t{group_[2]} << 6 | group_[3];
    // Bits that padding cuts off are zero: one text for one value.
    if ((padding_ == 1 && (bits & 0xff) != 0) || (padding_ == 2 && (bits & 0xffff) != 0)) return false;
    *at++ = static_cast<char>(bits >> 16);
    if (padding_ < 2) *at++ = static_cast<char>(bits >> 8);
    if (padding_ < 1) *at++ = static_cast<char>(bits);
    count_ = padding_ = 0;
  }
  size = static_cast<size_t>(at - into);
  return true;
}

char* FrameEncoder::write(std::string_view bytes, char* into) {
  size_t at = 0;
  if (kept_count_ > 0) {
    std::array<uint8_t, 3> group{kept_[0], kept_[1], 0};
    while (kept_count_ < 3 && at < bytes.size()) group[kept_count_++] = static_cast<uint8_t>(bytes[at++]);
    if (kept_count_ < 3) {
      kept_ = {group[0], group[1]};
      return into;
    }
    into = write_group(group.data(), 3, into);
    kept_count_ = 0;
  }
  for (; at + 3 <= bytes.size(); at += 3) {
    const std::array<uint8_t, 3> group{static_cast<uint8_t>(bytes[at]), static_cast<uint8_t>(bytes[at + 1]),
                                       static_cast<uint8_t>(bytes[at + 2])};
    into = write_group(group.data(), 3, into);
  }
  while (at < bytes.size()) kept_[kept_count_++] = static_cast<uint8_t>(bytes[at++]);
  return into;
}

char* FrameEncoder::pad(char* into) {
  if (kept_count_ == 0) return into;
  into = write_group(kept_.data(), kept_count_, into);
  kept_count_ = 0;
  return into;
}

size_t FrameEncoder::encode(std::string_view bytes, char* into) {
  char* at = into;
  while (!bytes.empty()) {
    // To the end of the frame, which may lie beyond.
    size_t take = 0;
    if (header_size_ < kFrameHeader) {
      while (take < bytes.size() && header_size_ < kFrameHeader) {
        if (header_size_++ > 0) left_ = left_ << 8 | static_cast<uint8_t>(bytes[take]);
        ++take;
      }
    }
    if (header_size_ == kFrameHeader) {
      const size_t payload = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size() - take));
      left_ -= payload;
      take += payload;
    }
    at = write(bytes.substr(0, take), at);
    bytes.remove_prefix(take);
    if (header_size_ == kFrameHeader && left_ == 0) {
      at = pad(at);
      header_size_ = 0;
    }
  }
  return static_cast<size_t>(at - into);
}

size_t FrameEncoder::finish(char* into) { return static_cast<size_t>(pad(into) - into); }

Buffer trailer_frame(const http::Trailers* trailers) {
  size_t size = 0;
  if (trailers != nullptr) {
    for (const http::Field& field : trailers->fields()) size += field.name.size() + field.value.size() + 4;
  }
  BlockRef block(Block::allocate(kFrameHeader + size));
  char* const frame = block->data();
  frame[0] = static_cast<char>(kTrailerFlag);
  for (size_t i = 0; i < 4; ++i) frame[1 + i] = static_cast<char>(size >> (24 - 8 * i));
  char* at = frame + kFrameHeader;
  const auto append = [&at](std::string_view text) {
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    at += text.size();
  };
  if (trailers != nullptr) {
    for (const http::Field& field : trailers->fields()) {
      for (const char c : field.name) *at++ = to_lower(c);
      append(": ");
      append(field.value);
      append("\r\n");
    }
  }
  return {std::move(block), frame, kFrameHeader + size};
}

}  // namespace headgate::filters
