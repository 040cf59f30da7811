// byte_stream.h -- the one abstraction over TCP, Unix, TLS and replayed bytes.
//
// Return contract of read() and write():
//   kOk         at least one byte moved
//   kWouldBlock nothing moved; the observer is told when it is worth trying again (if it watches)
//   kEof        read only: the other side finished writing
//   Error       the stream is broken (kReset, kTls, kSystem); it may only be destroyed
// Readiness is kept by the stream, not by the caller: reading until kWouldBlock is never needed, and a read or write
// that cannot succeed costs no system call.
// Thread: worker.   Owner: whoever holds the unique_ptr. Destroy from a callback only by Loop::defer_delete.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/base/connection_facts.h"
#include "dataplane/base/result.h"
#include "dataplane/event/loop.h"

namespace headgate::net {

enum class IoState : uint8_t { kOk, kWouldBlock, kEof };

struct IoResult {
  size_t bytes = 0;
  IoState state = IoState::kOk;
};

enum class Interest : uint8_t { kNone = 0, kRead = 1, kWrite = 2, kBoth = 3 };

// Told that what it watches for may be possible now. At most one call is queued per stream and turn.
class StreamObserver {
 public:
  virtual void on_stream_ready(bool readable, bool writable) = 0;

 protected:
  ~StreamObserver() = default;
};

class ByteStream : public event::Disposable {
 public:
  virtual Result<IoResult> read(std::span<char> into) = 0;
  // Copies what is there without taking it. Plain sockets only (kUnsupported elsewhere): for protocol sniffing.
  virtual Result<IoResult> peek(std::span<char> into);
  // Gathers; takes what fits now and says how many bytes that was.
  virtual Result<IoResult> write(std::span<const iovec> from) = 0;
  // The same, saying that more follows at once: small pieces may wait to share a packet.
  virtual Result<IoResult> write_more(std::span<const iovec> from) { return write(from); }
  // Bytes of an open file, by sendfile(2). Only when kernel_fd() >= 0.
  virtual Result<IoResult> send_file(int file, uint64_t offset, size_t count);
  // Half close: FIN, or close_notify. Everything written before still goes out.
  virtual void shutdown_write() = 0;
  // What the protocol owes the other side before the descriptor is closed (close_notify). Nothing for plain sockets.
  virtual void say_goodbye() {}
  // Arms user-space interest; no system call. If it is possible already, the observer is called later in this turn.
  virtual void watch(Interest interest, StreamObserver& observer) = 0;
  // No more calls to the observer.
  virtual void unwatch() = 0;
  // Closes with RST instead of FIN when destroyed.
  virtual void reset_on_close() {}
  // May read() find something: bytes, end of file, an error? False means that it would only say kWouldBlock.
  [[nodiscard]] virtual bool readable_hint() const = 0;
  // Both directions are gone (RST, or closed both ways): what is written now arrives nowhere. Bytes may still wait to be
  // read. Becomes true before the observer is called with `readable`.
  [[nodiscard]] virtual bool hung_up() const { return false; }
  // Bytes accepted by write() that have not reached the kernel yet (TLS records waiting). Zero for sockets.
  [[nodiscard]] virtual size_t unsent() const { return 0; }
  // The descriptor when bytes may be moved by the kernel (plain sockets), else -1.
  [[nodiscard]] virtual int kernel_fd() const { return -1; }
  [[nodiscard]] virtual const ConnectionFacts& facts() const = 0;
  // What a PROXY header says: who the client is, and which address it asked.
  virtual void set_ends(const SocketAddress& remote, const SocketAddress& local) = 0;
};

inline iovec as_iovec(std::string_view text) { return {const_cast<char*>(text.data()), text.size()}; }

}  // namespace headgate::net
