// bytes.h -- views of raw bytes, and bounds-checked big-endian reading and writing.
// Thread: any.   Errors: a reader or writer that ran past its end stays failed (ok() == false).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace headgate {

using Bytes = std::span<const uint8_t>;

inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) : bytes_(bytes) {}

  uint8_t u8() { return need(1) ? bytes_[at_++] : 0; }
  uint16_t u16() {
    if (!need(2)) return 0;
    const auto value = static_cast<uint16_t>((bytes_[at_] << 8) | bytes_[at_ + 1]);
    at_ += 2;
    return value;
  }
  uint32_t u32() {
    const uint32_t high = u16();
    const uint32_t low = u16();
    return (high << 16) | low;
  }
  // Empty when fewer than `count` bytes are left.
  Bytes take(size_t count) {
    if (!need(count)) return {};
    const Bytes part = bytes_.subspan(at_, count);
    at_ += count;
    return part;
  }
  void seek(size_t position) {
    if (position > bytes_.size()) {
      ok_ = false;
    } else {
      at_ = position;
    }
  }
  void fail() { ok_ = false; }

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] size_t position() const { return at_; }
  [[nodiscard]] size_t remaining() const { return bytes_.size() - at_; }
  [[nodiscard]] Bytes all() const { return bytes_; }

 private:
  bool need(size_t count) {
    if (ok_ && remaining() >= count) return true;
    ok_ = false;
    return false;
  }

  Bytes bytes_;
  size_t at_ = 0;
  bool ok_ = true;
};

class ByteWriter {
 public:
  explicit ByteWriter(std::span<uint8_t> into) : into_(into) {}

  void u8(uint8_t value) {
    if (need(1)) into_[at_++] = value;
  }
  void u16(uint16_t value) {
    if (!need(2)) return;
    into_[at_++] = static_cast<uint8_t>(value >> 8);
    into_[at_++] = static_cast<uint8_t>(value);
  }
  void u32(uint32_t value) {
    u16(static_cast<uint16_t>(value >> 16));
    u16(static_cast<uint16_t>(value));
  }
  void bytes(Bytes from) {
    if (!need(from.size()) || from.empty()) return;
    std::memcpy(into_.data() + at_, from.data(), from.size());
    at_ += from.size();
  }
  void set_u16(size_t position, uint16_t value) {
    if (position + 2 > into_.size()) {
      ok_ = false;
      return;
    }
    into_[position] = static_cast<uint8_t>(value >> 8);
    into_[position + 1] = static_cast<uint8_t>(value);
  }
  // Drops everything written after `position`; makes a failed writer usable again.
  void rewind(size_t position) {
    if (position <= at_) at_ = position;
    ok_ = true;
  }

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] size_t size() const { return at_; }
  [[nodiscard]] size_t capacity_left() const { return into_.size() - at_; }
  [[nodiscard]] Bytes written() const { return into_.first(at_); }

 private:
  bool need(size_t count) {
    if (ok_ && capacity_left() >= count) return true;
    ok_ = false;
    return false;
  }

  std::span<uint8_t> into_;
  size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace headgate
