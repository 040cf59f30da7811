// outgoing_body.h -- a pulled body -> the DATA frames and trailers of one stream.
//
// One chunk is held; the next is pulled when its last byte has been framed, so that a closed window stops the source.
// Only the end is asked for earlier, when nothing is left by the length or as the source says: it travels with the last
// bytes. It is waited for whatever the length: trailers come with it.
// Spec: RFC 9113 6.1, 8.1.   Thread: worker.   Owner: a stream, which outlives what nghttp2 knows of it.
#pragma once

#include <nghttp2/nghttp2.h>

#include <optional>

#include "dataplane/base/arena.h"
#include "dataplane/base/buffer.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/intrusive_list.h"
#include "dataplane/http/body.h"

namespace headgate::http2 {

class Session;
struct PullTag;

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

class OutgoingBody final : public ListNode<PullTag>, private http::BodySink {
 public:
  // `source_of`: who is to blame when the body is longer or shorter than its length.
  OutgoingBody(Session& session, OutgoingBodyOwner& owner, Origin source_of)
      : session_(session), owner_(owner), source_of_(source_of) {}

  // For nghttp2_submit_*; until start() it has nothing to say.
  [[nodiscard]] nghttp2_data_provider provider();
  // `arena` keeps the trailers; it outlives the stream's exchange.
  void start(http::BodySource& source, int32_t stream_id, std::optional<uint64_t> length, Arena& arena);
  // Nothing more is framed; the source is canceled.
  void stop();

  // Bytes wait for the window or for room in the queue...
  [[nodiscard]] bool holding() const { return !chunk_.empty(); }
  // ... since.
  [[nodiscard]] MonotonicTime progress() const { return progress_; }
  // A chunk has been asked for and has not come.
  [[nodiscard]] bool pulling() const { return pulling_; }

  // -- for Session
  void pull();
  // -- for the callbacks of nghttp2
  ssize_t read_data(size_t most, uint32_t* flags);
  // Puts `size` bytes of the chunk behind the frame header.
  enum class Written : uint8_t { kDone, kNoRoom, kGone };
  Written write_data(const uint8_t* frame_header, size_t size);

 private:
  void on_chunk(Buffer chunk) override;
  void on_end(const http::Trailers* trailers) override;
  void on_error(const Error& error) override;
  void wake();

  Session& session_;
  OutgoingBodyOwner& owner_;
  http::BodySource* source_ = nullptr;
  Arena* arena_ = nullptr;
  Buffer chunk_;  // being framed
  http::Trailers* trailers_ = nullptr;
  MonotonicTime progress_{};  // when the chunk came, or some of it last went out
  uint64_t left_ = 0;         // has_length_: bytes still to come
  int32_t id_ = 0;
  Origin source_of_;
  bool has_length_ = false;
  bool ended_ = false;  // chunk_ is the last
  bool pulling_ = false;
  bool deferred_ = false;  // nghttp2 waits for wake()
  bool stopped_ = false;
};

}  // namespace headgate::http2
