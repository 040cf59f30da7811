// frame.h -- HTTP/2 on the wire: the frame header, and the numbers of the registries.
// Spec: RFC 9113 4.1, 6, 7, RFC 8441 3.   Thread: any (values).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace headgate::http2 {

enum class FrameType : uint8_t {
  kData,
  kHeaders,
  kPriority,
  kRstStream,
  kSettings,
  kPushPromise,
  kPing,
  kGoaway,
  kWindowUpdate,
  kContinuation,
};
constexpr bool is_known(FrameType type) { return type <= FrameType::kContinuation; }

namespace frame_flag {
inline constexpr uint8_t kEndStream = 0x1;
inline constexpr uint8_t kAck = 0x1;
inline constexpr uint8_t kEndHeaders = 0x4;
inline constexpr uint8_t kPadded = 0x8;
inline constexpr uint8_t kPriority = 0x20;
}  // namespace frame_flag

enum class ErrorCode : uint32_t {
  kNoError,
  kProtocolError,
  kInternalError,
  kFlowControlError,
  kSettingsTimeout,
  kStreamClosed,
  kFrameSizeError,
  kRefusedStream,
  kCancel,
  kCompressionError,
  kConnectError,
  kEnhanceYourCalm,
  kInadequateSecurity,
  kHttp11Required,
};

enum class Setting : uint16_t {
  kHeaderTableSize = 1,
  kEnablePush = 2,
  kMaxConcurrentStreams = 3,
  kInitialWindowSize = 4,
  kMaxFrameSize = 5,
  kMaxHeaderListSize = 6,
  kEnableConnectProtocol = 8,
};
struct SettingEntry {
  Setting id;
  uint32_t value;
};

inline constexpr std::string_view kClientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
// What either side may rely on without SETTINGS.
inline constexpr int32_t kDefaultWindow = 65535;
inline constexpr uint32_t kDefaultFrameSize = 16384;
inline constexpr int32_t kMaxWindow = INT32_MAX;
inline constexpr int32_t kMaxStreamId = INT32_MAX;

struct FrameHeader {
  static constexpr size_t kSize = 9;

  uint32_t length = 0;
  FrameType type = FrameType::kData;
  uint8_t flags = 0;
  int32_t stream_id = 0;  // 0: the connection

  [[nodiscard]] bool has(uint8_t flag) const { return (flags & flag) != 0; }
  [[nodiscard]] bool ends_stream() const {
    return has(frame_flag::kEndStream) && (type == FrameType::kData || type == FrameType::kHeaders);
  }
  [[nodiscard]] bool is_ack() const { return has(frame_flag::kAck); }
};

inline uint32_t read_u32(const char* from) {
  const auto byte = [from](int index) { return static_cast<uint32_t>(static_cast<uint8_t>(from[index])); };
  return byte(0) << 24 | byte(1) << 16 | byte(2) << 8 | byte(3);
}
inline char* write_u32(char* into, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) *into++ = static_cast<char>(value >> shift);
  return into;
}
// The highest bit of a stream id or an increment is reserved and ignored.
inline int32_t read_u31(const char* from) { return static_cast<int32_t>(read_u32(from) & 0x7fffffff); }

// FrameHeader::kSize bytes each.
inline FrameHeader read_frame_header(const char* from) {
  const uint32_t first = read_u32(from);  // 24 bits of length, 8 of type
  return {.length = first >> 8,
          .type = static_cast<FrameType>(first & 0xff),
          .flags = static_cast<uint8_t>(from[4]),
          .stream_id = read_u31(from + 5)};
}
inline char* write_frame_header(char* into, const FrameHeader& header) {
  into = write_u32(into, header.length << 8 | static_cast<uint8_t>(header.type));
  *into++ = static_cast<char>(header.flags);
  return write_u32(into, static_cast<uint32_t>(header.stream_id));
}

}  // namespace headgate::http2
