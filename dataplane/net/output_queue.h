// output_queue.h -- what waits to be written to a stream: whole Buffers and small copied pieces, gathered into one write.
//
// Holds memory only while something waits. Writers look at full() and stop pulling bodies when it says so; that is the
// only limit on a direction's output.
// Most messages are one head, at most with a small body, and leave at once: small pieces that come first are written into
// a scratch page of the thread, which one queue has at a time. What the stream does not take moves to memory of its own.
// Thread: worker.   Owner: a connection.   Unit: bytes.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "dataplane/base/buffer.h"
#include "dataplane/base/pooled.h"
#include "dataplane/net/byte_stream.h"

namespace headgate::net {

class OutputQueue {
 public:
  static constexpr size_t kFullBytes = 256 * 1024;

  OutputQueue() = default;
  ~OutputQueue() { clear(); }
  OutputQueue(const OutputQueue&) = delete;
  OutputQueue& operator=(const OutputQueue&) = delete;

  [[nodiscard]] bool empty() const { return store_ == nullptr && !scratch_; }
  [[nodiscard]] size_t bytes() const;
  // No more body should be pulled for now. Framing around a chunk already pulled always fits.
  [[nodiscard]] bool full() const {
    return store_ != nullptr && (store_->bytes >= kFullBytes || store_->end > kSegments - 8);
  }

  void append(Buffer buffer);
  // Copied behind what was copied before when it still fits there.
  void append_copy(std::string_view text);
  // Room for `size` bytes written in place; then commit(written).
  char* reserve(size_t size);
  void commit(size_t size);

  // Writes until empty or until the stream takes no more. `more`: something follows at once (sendfile).
  Result<void> flush(ByteStream& stream, bool more = false);
  void clear();

 private:
  static constexpr size_t kSegments = 32;
  // Only [begin, end) of the segments are objects: most stores hold one or two of them for a moment.
  struct Store : Pooled<Store> {
    Store() {}
    ~Store() {
      for (size_t i = begin; i < end; ++i) std::destroy_at(&segments[i]);
    }
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    union {
      Buffer segments[kSegments];
    };
    size_t begin = 0;
    size_t end = 0;
    size_t bytes = 0;
    BlockRef copies;         // where small pieces go
    size_t copies_used = 0;
  };

  Store& store() {
    if (store_ == nullptr) store_ = std::make_unique<Store>();
    return *store_;
  }
  void compact(Store& store);
  void append_to_store(Buffer buffer);
  char* reserve_in_store(size_t size);
  void commit_to_store(size_t size);
  Result<void> flush_scratch(ByteStream& stream, bool more);
  Result<void> flush_all(ByteStream& stream, bool more);
  void leave_scratch(size_t written);
  void move_to_store(std::string_view rest);

  std::unique_ptr<Store> store_;
  bool scratch_ = false;  // the thread's scratch page is ours; what it holds comes before the store
};

}  // namespace headgate::net
