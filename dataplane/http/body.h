// body.h -- bodies are pulled: the slow side asks, one chunk is in flight per direction.
//
// Contract. pull() asks for ONE of on_chunk, on_end, on_error; the answer may come inside pull() or later. At most one
// pull is outstanding. pull() is legal from inside on_chunk: it is recorded and served by the outer frame, so that
// chains of sources never recurse. After on_end, on_error or cancel() the sink is not called again.
// Thread: worker.   Owner: a source belongs to what makes it (a connection, an arena); a sink is never owned through
// its type.
#pragma once

#include <cstdint>
#include <optional>

#include "dataplane/base/buffer.h"
#include "dataplane/base/error.h"
#include "dataplane/http/message.h"

namespace headgate::http {

class BodySink {
 public:
  virtual void on_chunk(Buffer chunk) = 0;           // never empty
  virtual void on_end(const Trailers* trailers) = 0;  // null: none. Valid during the call.
  virtual void on_error(const Error& error) = 0;

 protected:
  ~BodySink() = default;
};

// A body that lies in an open file: lets a plain socket send it with sendfile(2).
struct FileRange {
  int fd = -1;  // owned by the source
  uint64_t offset = 0;
  uint64_t size = 0;
};

class BodySource {
 public:
  BodySource() = default;
  BodySource(const BodySource&) = delete;
  BodySource& operator=(const BodySource&) = delete;
  virtual ~BodySource();

  void pull(BodySink& sink);
  // Nobody wants the rest. The source may release what it holds.
  void cancel();

  // Bytes left to come, when that is known.
  [[nodiscard]] virtual std::optional<uint64_t> remaining() const { return std::nullopt; }
  // The whole rest as a file range, or null. After taking it the caller must not pull.
  [[nodiscard]] virtual const FileRange* file() const { return nullptr; }
  // Names the bytes that are to come: the same number always means the same bytes, for the life of the process. 0: they
  // have no such name. Lets filters keep what they made of a body (compressed variants).
  [[nodiscard]] virtual uint64_t content_id() const { return 0; }

 protected:
  // Asked for one answer: call deliver(), finish() or fail() exactly once, now or later.
  virtual void on_pull() = 0;
  virtual void on_cancel() {}

  void deliver(Buffer chunk);
  void finish(const Trailers* trailers = nullptr);
  void fail(const Error& error);
  [[nodiscard]] bool pulled() const { return sink_ != nullptr; }

 private:
  void serve();

  BodySink* sink_ = nullptr;   // set while a pull is outstanding
  bool wanted_ = false;        // a pull that on_pull() has not been told of yet
  bool serving_ = false;       // one of our frames is on the stack and will serve the next pull
  bool* destroyed_ = nullptr;  // told when we are destroyed below one of our own frames
};

// A body held in memory, one chunk; empty gives the end at once.
class BufferBody final : public BodySource {
 public:
  explicit BufferBody(Buffer buffer) : buffer_(std::move(buffer)) {}
  [[nodiscard]] std::optional<uint64_t> remaining() const override { return buffer_.size(); }

 private:
  void on_pull() override;
  Buffer buffer_;
};

// Reads a body to its end and throws it away, up to a limit; then calls `done(argument, whole)`.
class BodyDrain final : private BodySink {
 public:
  using Done = void (*)(void* argument, bool whole);
  void start(BodySource& source, uint64_t limit, Done done, void* argument);

 private:
  void on_chunk(Buffer chunk) override;
  void on_end(const Trailers* trailers) override;
  void on_error(const Error& error) override;

  BodySource* source_ = nullptr;
  uint64_t left_ = 0;
  Done done_ = nullptr;
  void* argument_ = nullptr;
};

}  // namespace headgate::http
