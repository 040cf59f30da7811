// range.h -- byte ranges asked for, and the fields that answer them.
// Spec: RFC 9110 14.   Unit: bytes, both ends included.   Thread: any (pure).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace headgate::http {

struct ByteRange {
  uint64_t first = 0;
  uint64_t last = 0;
  [[nodiscard]] uint64_t size() const { return last - first + 1; }
  bool operator==(const ByteRange&) const = default;
};

inline constexpr size_t kMaxRanges = 16;

class RangeSet {
 public:
  enum class Kind : uint8_t {
    kWhole,          // no range, not understood, too many, or overlapping: answer 200 with everything
    kRanges,         // 206 with ranges(), in the order asked for
    kUnsatisfiable,  // 416
  };
  // `value` of Range (empty: none) for a representation of `size` bytes. Ranges that lie outside are left out.
  static RangeSet parse(std::string_view value, uint64_t size);

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] std::span<const ByteRange> ranges() const { return {ranges_.data(), count_}; }

 private:
  // False: more than we serve, or overlapping.
  bool add(ByteRange range);

  Kind kind_ = Kind::kWhole;
  size_t count_ = 0;
  std::array<ByteRange, kMaxRanges> ranges_{};
};

// "bytes 0-499/1234" and "bytes */1234"; room for kContentRangeSize. Return the end.
inline constexpr size_t kContentRangeSize = 70;
char* write_content_range(char* into, const ByteRange& range, uint64_t size);
char* write_unsatisfied_range(char* into, uint64_t size);

}  // namespace headgate::http
