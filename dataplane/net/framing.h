// framing.h -- messages on a byte stream: how datagrams are told apart where there are none. Pure.
//
//   kRead    each read is one message, written without any mark; the boundaries are those of writes, mostly
//   kLine    a message ends with "\n", which is not part of it; the last one may lack it
//   kLength  two bytes, big endian, before each message; 0 is a message without bytes
// Thread: any (values).   Unit: bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace headgate::net {

enum class Framing : uint8_t { kRead, kLine, kLength };

// What fits one UDP datagram over IPv4.
inline constexpr size_t kMaxMessage = 65507;

struct Frame {
  enum class State : uint8_t {
    kNeedMore,  // `bytes` holds no whole message yet; `size` bytes of it are of no use any more
    kMessage,   // `message` is one, and took `size` bytes
    kTooLarge,  // more than kMaxMessage, or cut off: dropped with its `size` bytes; said once for each such message
  };
  State state = State::kNeedMore;
  std::string_view message{};
  size_t size = 0;
};

// Cuts what has arrived into messages. Keeps only what a message that is too large leaves behind.
class FrameReader {
 public:
  explicit FrameReader(Framing framing) : framing_(framing) {}

  // `bytes` begins where the last frame ended; its beginning is always looked at again. `at_end`: no more will come.
  Frame next(std::string_view bytes, bool at_end);

 private:
  Frame next_line(std::string_view bytes, bool at_end);
  Frame next_length(std::string_view bytes, bool at_end);

  Framing framing_;
  size_t looked_ = 0;     // kLine: bytes known to hold no newline
  bool dropping_ = false;  // inside a line that was too large
};

// What is written around a message.
struct FrameMarks {
  std::array<char, 2> head{};
  uint8_t head_size = 0;
  uint8_t tail_size = 0;  // 1: a newline
};
// False: the message does not fit this framing (over 65535 bytes with kLength).
bool write_marks(Framing framing, std::string_view message, FrameMarks& marks);

}  // namespace headgate::net
