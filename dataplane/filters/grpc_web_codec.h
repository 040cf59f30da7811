// grpc_web_codec.h -- the bytes of gRPC-Web: base64 in both directions, and trailers as the last frame of a body.
//
//   request   text form: base64, in one piece or in several that are each padded   -> the frames of gRPC
//   response  frames of gRPC -> the same, or base64 that is padded where a frame ends, so that a client can always
//             decode what it has; then a frame with flag 0x80 that holds the trailers as lines of HTTP/1
//
// Spec: gRPC "PROTOCOL-WEB"; RFC 4648 4.   Thread: worker (values).   Unit: bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "dataplane/base/buffer.h"
#include "dataplane/http/message.h"

namespace headgate::filters {

class Base64Decoder {
 public:
  // At most this much comes out of `size` bytes.
  static constexpr size_t room(size_t size) { return (size + 3) / 4 * 3; }
  // Decodes what is there, the four characters at a time; up to three are kept for the next call. False: not base64.
  [[nodiscard]] bool decode(std::string_view text, char* into, size_t& size);
  // Nothing is kept: the text may end here.
  [[nodiscard]] bool whole() const { return count_ == 0; }

 private:
  std::array<uint8_t, 4> group_{};
  uint8_t count_ = 0;
  uint8_t padding_ = 0;
};

// Base64 of a stream of gRPC frames.
class FrameEncoder {
 public:
  static constexpr size_t room(size_t size) { return (size + 2 + 2) / 3 * 4 + size / 5 * 4 + 4; }
  // Up to two bytes are kept for the next call unless a frame ends with the last one.
  [[nodiscard]] size_t encode(std::string_view bytes, char* into);
  // What is kept: the stream ends inside of a frame.
  [[nodiscard]] size_t finish(char* into);

 private:
  char* write(std::string_view bytes, char* into);
  char* pad(char* into);

  std::array<uint8_t, 2> kept_{};
  uint8_t kept_count_ = 0;
  uint8_t header_size_ = 0;  // bytes of the frame header that were seen
  uint64_t left_ = 0;        // of the frame; while the header comes, its length so far
};

// The frame of the trailers; `trailers` null: only the flag and the length zero.
Buffer trailer_frame(const http::Trailers* trailers);

}  // namespace headgate::filters
