// outgoing_body.h -- a pulled body -> the DATA frames and trailers of one stream.
//
// One chunk is held; the next is pulled when its last byte has been framed, so that a closed window stops the source.
// Only the end is asked for earlier, when nothing is left by the length or as the source says: it travels with the last
// bytes. It is waited for whatever the length: trailers come with it.
// Spec: RFC 9113 6.1, 8.1.   Thread: worker.   Owner: a stream.
#pragma once

#include <optional>

#include "dataplane/base/arena.h"
#include "dataplane/base/buffer.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/intrusive_list.h"
#include "dataplane/http/body.h"

namespace headgate::http2 {

class Session;
class SessionStream;
struct PullTag;
struct ReadyTag;

class OutgoingBodyOwner {
 public:
  // So much has been framed.
  virtual void on_body_framed(size_t bytes) = 0;
  // A chunk came and may wait for the window: `progress()` is new.
  virtual void on_body_progress() = 0;
  // The source failed, or its bytes are not as many as the head said.
  virtual void on_body_failed(const Error& error) = 0;

 protected:
  ~OutgoingBodyOwner() = default;
};

class OutgoingBody final : public ListNode<PullTag>, public ListNode<ReadyTag>, private http::BodySink {
 public:
  // `source_of`: who is to blame when the body is longer or shorter than its length.
  OutgoingBody(Session& session, SessionStream& stream, OutgoingBodyOwner& owner, Origin source_of)
      : session_(session), stream_(stream), owner_(owner), source_of_(source_of) {}

  // `arena` keeps the trailers; it outlives the stream's exchange.
  void start(http::BodySource& source, std::optional<uint64_t> length, Arena& arena);
  // Nothing more is framed; the source is canceled.
  void stop();

  // Bytes wait for the window or for room in the queue...
  [[nodiscard]] bool holding() const { return !chunk_.empty(); }
  // ... since.
  [[nodiscard]] MonotonicTime progress() const { return progress_; }

  // -- for Session
  void pull();
  [[nodiscard]] SessionStream& stream() const { return stream_; }
  // Bytes, or the end, can be framed.
  [[nodiscard]] bool waiting() const { return !chunk_.empty() || (ended_ && !end_framed_ && !stopped_); }
  [[nodiscard]] size_t held() const { return chunk_.size(); }
  // What is held is the last.
  [[nodiscard]] bool ended() const { return ended_; }
  // Of a body that has ended; null: none.
  [[nodiscard]] const http::Trailers* trailers() const { return trailers_; }
  // The first `size` bytes of what is held.
  [[nodiscard]] Buffer take(size_t size) { return chunk_.take_prefix(size); }
  // ... have been framed.
  void on_framed(size_t size);
  void on_end_framed() { end_framed_ = true; }

 private:
  void on_chunk(Buffer chunk) override;
  void on_end(const http::Trailers* trailers) override;
  void on_error(const Error& error) override;

  Session& session_;
  SessionStream& stream_;
  OutgoingBodyOwner& owner_;
  http::BodySource* source_ = nullptr;
  Arena* arena_ = nullptr;
  Buffer chunk_;  // being framed
  http::Trailers* trailers_ = nullptr;
  MonotonicTime progress_{};  // when the chunk came, or some of it last went out
  uint64_t left_ = 0;         // has_length_: bytes still to come
  Origin source_of_;
  bool has_length_ = false;
  bool ended_ = false;  // chunk_ is the last
  bool pulling_ = false;
  bool end_framed_ = false;
  bool stopped_ = false;
};

}  // namespace headgate::http2
