// parent_channel.h -- messages between the parent and a serving process, over a SOCK_SEQPACKET pair.
//
// A record is a message: version (1), type (1), zero (2), id (4), payload; at most kMaxMessage bytes and one descriptor.
// Integers are big-endian, texts have a 16-bit length. What does not parse closes the channel.
// Thread: one.   Owner: Parent (one per child), the broker (one).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/bytes.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/result.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/control/listening_sockets.h"

namespace headgate::control {

// A new binary is started only by a parent of the same version of this protocol.
inline constexpr uint8_t kChannelVersion = 1;
inline constexpr size_t kMaxMessage = 8192;

enum class MessageType : uint8_t {
  // parent to child
  kStart = 1,      // u32 restarts, u8 upgrade, text crash; fd: last good configuration
  kSocket,         // answers kAcquire; fd
  kRefused,        // answers kAcquire: u8 code, u32 errno, text
  kKeys,           // answers kList: u8 more, u16 count, keys
  kReplaced,       // an upgraded process is ready
  kUpgradeResult,  // u8 ok, text
  // child to parent
  kAcquire = 64,  // key, options
  kRelease,       // key
  kList,          // u32 first
  kReady,         // u8 version of the parent's state that this binary reads
  kUpgrade,
  kLastGood,   // fd
  kLogFormat,  // u8 json
};

struct Message {
  MessageType type = MessageType::kStart;
  uint32_t id = 0;
  std::string payload;
  UniqueFd fd;
};

enum class ReceiveOutcome : uint8_t { kMessage, kNothing, kClosed };

class ParentChannel {
 public:
  ParentChannel() = default;
  explicit ParentChannel(UniqueFd fd) : fd_(std::move(fd)) {}
  static Result<std::pair<UniqueFd, UniqueFd>> make_pair();

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool open() const { return fd_.valid(); }
  void close() { fd_.reset(); }

  // Never blocks; kOverloaded when the other side does not read.
  Result<void> send(MessageType type, uint32_t id, std::string_view payload = {}, int fd = -1);
  // As send(), but waits for room.
  Result<void> send_waiting(MessageType type, uint32_t id, std::string_view payload, int fd, Duration limit);
  // Waits at most `limit` (zero: not at all). kClosed also for a malformed message.
  ReceiveOutcome receive(Message& into, Duration limit);

 private:
  UniqueFd fd_;
};

// Builds and reads payloads. A reader that ran out of bytes stays failed.
class PayloadWriter {
 public:
  PayloadWriter& u8(uint8_t value);
  PayloadWriter& u16(uint16_t value);
  PayloadWriter& u32(uint32_t value);
  PayloadWriter& u64(uint64_t value);
  PayloadWriter& text(std::string_view value);  // cut at 64 KiB - 1
  PayloadWriter& address(const SocketAddress& value);
  PayloadWriter& key(const SocketKey& value);
  PayloadWriter& options(const ListenOptions& value);
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

class PayloadReader {
 public:
  explicit PayloadReader(std::string_view bytes) : reader_(as_bytes(bytes)) {}
  uint8_t u8() { return reader_.u8(); }
  uint16_t u16() { return reader_.u16(); }
  uint32_t u32() { return reader_.u32(); }
  uint64_t u64();
  std::string text();
  SocketAddress address();
  SocketKey key();            // fails on names over 255 bytes, no address, workers over 1,023
  ListenOptions options();    // fails on values out of range
  [[nodiscard]] bool ok() const { return reader_.ok(); }
  // Nothing left over.
  [[nodiscard]] bool complete() const { return reader_.ok() && reader_.remaining() == 0; }

 private:
  ByteReader reader_;
};

}  // namespace headgate::control
