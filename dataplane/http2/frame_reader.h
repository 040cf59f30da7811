// frame_reader.h -- bytes in pieces of any size -> frames, without copying payloads.
//
//   kHeader    the nine bytes are there: look at header() and refuse what must not be read
//   kFixed     the part of the payload whose meaning needs all its bytes is there: fixed()
//   kContent   a piece of the rest: content(). Bodies and header blocks; of frames nobody reads, what is skipped
//   kEnd       the frame is complete
//
// A frame has one kHeader, one kFixed unless fixed_size() is 0, any number of kContent, and one kEnd. Whoever reads
// refuses at kHeader what fixed_too_long() says: only then the fixed part has room. Padding is passed over.
// Spec: RFC 9113 3.4, 4.1, 6.   Thread: worker.   Owner: Session.   Errors: kBadPreface ends the reading.
#pragma once

#include <array>
#include <string_view>

#include "dataplane/http2/frame.h"

namespace headgate::http2 {

class FrameReader {
 public:
  enum class Event : uint8_t { kNeedMore, kHeader, kFixed, kContent, kEnd, kBadPreface };
  enum class Preface : uint8_t { kNone, kExpected };

  static constexpr size_t kMaxSettings = 32;

  explicit FrameReader(Preface preface) : part_(preface == Preface::kExpected ? Part::kPreface : Part::kHeader) {}

  // Takes bytes from the front of `input`; what it returns views of lies in there, or in the reader until the next call.
  Event next(std::string_view& input);

  // Of the frame being read.
  [[nodiscard]] const FrameHeader& header() const { return header_; }
  [[nodiscard]] std::string_view fixed() const { return fixed_; }
  [[nodiscard]] std::string_view content() const { return content_; }
  // All of the payload for frames of the connection and small ones; what comes before the rest otherwise.
  [[nodiscard]] size_t fixed_size() const { return fixed_size_; }
  [[nodiscard]] bool fixed_too_long() const { return fixed_size_ > kMaxFixed || fixed_size_ > header_.length; }
  // From kFixed on: the padding is as long as what it pads, or longer.
  [[nodiscard]] bool padding_too_long() const { return padding_too_long_; }
  // From kFixed on: bytes of this frame that are neither fixed nor content.
  [[nodiscard]] size_t padding() const { return padding_; }

 private:
  static constexpr size_t kMaxFixed = 6 * kMaxSettings;
  enum class Part : uint8_t { kPreface, kHeader, kFixed, kContent, kPadding };

  bool collect(std::string_view& input, size_t size, std::string_view& whole);
  void begin_frame(std::string_view bytes);
  void begin_content();

  FrameHeader header_;
  std::string_view fixed_;
  std::string_view content_;
  uint32_t content_left_ = 0;
  uint32_t fixed_size_ = 0;
  uint8_t padding_ = 0;
  uint8_t padding_left_ = 0;
  uint8_t partial_size_ = 0;
  bool padding_too_long_ = false;
  Part part_;
  std::array<char, kMaxFixed> partial_;  // a header or fixed part of which not all has come
};

}  // namespace headgate::http2
