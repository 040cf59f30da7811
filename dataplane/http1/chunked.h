// chunked.h -- decodes the chunked transfer coding in place: data comes out as slices of what went in.
//
// Strict, because chunk lines are where parsers disagree: CRLF only, at most 16 hexadecimal digits, no spaces, and
// extensions of exact grammar, which are dropped. Limits: 256 bytes of extensions in one chunk; extensions beyond
// 64 KiB in all must not outgrow the data; a trailer section keeps the limits of a head.
// Spec: RFC 9112 7.1.   Thread: worker.   Owner: a connection (reset between messages).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/base/error.h"
#include "dataplane/http/exchange_sink.h"
#include "dataplane/http/header_map.h"
#include "dataplane/http1/field_lines.h"

namespace headgate::http1 {

class ChunkedDecoder {
 public:
  static constexpr size_t kMaxExtension = 256;
  static constexpr uint64_t kFreeExtensions = 64 * 1024;

  // `origin`: who sends the body; its errors are kMalformed, or kHeadTooLarge for the trailer section.
  explicit ChunkedDecoder(Origin origin) : origin_(origin) {}

  struct Step {
    enum class Kind : uint8_t {
      kNeedMore,  // all of `input` was used
      kData,      // `data` is a slice of `input`
      kEnd,       // the body is complete; what follows `used` is the next message
      kError,     // see error()
    };
    Kind kind = Kind::kNeedMore;
    size_t used = 0;  // bytes of `input` that are done with, `data` included
    std::string_view data;
  };
  // Reads up to the next slice of data or the end. Allowed trailer fields are added to `trailers`, their texts copied
  // into its arena. Not to be called again after kEnd or kError.
  Step decode(std::string_view input, const http::HttpLimits& limits, http::HeaderMap& trailers);

  // Bytes of data still to come in the chunk being read: lets a reader size its next buffer.
  [[nodiscard]] uint64_t left_in_chunk() const { return state_ == State::kData ? left_ : 0; }
  [[nodiscard]] const Error& error() const { return error_; }
  void reset() { *this = ChunkedDecoder(origin_); }

 private:
  //   state        on                       next
  //   kSize        HEXDIG                   kSize
  //   kSize        ";" / CR                 kExtensionName / kSizeFeed
  //   kExtension*  grammar of 7.1.1         ... until CR: kSizeFeed
  //   kSizeFeed    LF                       kData, or kTrailerStart after the last chunk
  //   kData        all bytes read           kDataReturn
  //   kDataReturn  CR                       kDataFeed
  //   kDataFeed    LF                       kSize
  //   kTrailer     the empty line           end
  enum class State : uint8_t {
    kSize,
    kExtensionName,
    kExtensionValue,
    kExtensionToken,
    kExtensionQuoted,
    kExtensionEscaped,
    kExtensionAfterQuoted,
    kSizeFeed,
    kData,
    kDataReturn,
    kDataFeed,
    kTrailer,
    kFailed,
  };

  bool step_line(char c);
  bool step_extension(char c);
  bool count_extension();
  bool fail(const char* detail);
  Step decode_trailer(std::string_view input, size_t used, const http::HttpLimits& limits, http::HeaderMap& trailers);

  Origin origin_;
  State state_ = State::kSize;
  uint8_t digits_ = 0;
  bool name_empty_ = true;  // of the extension being read
  uint16_t extension_ = 0;  // bytes in this chunk line
  uint64_t left_ = 0;       // size being read, then bytes left
  uint64_t data_total_ = 0;
  uint64_t extension_total_ = 0;
  char* trailer_ = nullptr;  // copy of the trailer section so far, in the arena of the trailers
  size_t trailer_size_ = 0;
  size_t trailer_capacity_ = 0;
  FieldLines lines_;
  Error error_;
};

}  // namespace headgate::http1
