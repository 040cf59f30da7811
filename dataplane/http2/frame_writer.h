// frame_writer.h -- frames -> the output queue of a connection.
//
// Frames are whole when they are written; header blocks of any length stay in one piece, as HPACK and RFC 9113 4.3 want.
// What is written while the queue is full waits behind it, in memory of its own: answers to the peer and heads, which
// Session bounds. Bodies are only written while full() says no.
// Spec: RFC 9113 4, 6.   Thread: worker.   Owner: Session.
#pragma once

#include <span>
#include <string>

#include "dataplane/base/buffer.h"
#include "dataplane/http2/field_array.h"
#include "dataplane/http2/frame.h"
#include "dataplane/http2/hpack.h"
#include "dataplane/net/output_queue.h"

namespace headgate::http2 {

class FrameWriter {
 public:
  // `queue` outlives the writer.
  explicit FrameWriter(net::OutputQueue& queue) : queue_(queue) {}

  void preface();
  void settings(std::span<const SettingEntry> entries);
  void settings_ack();
  void ping_ack(std::string_view payload);
  void reset(int32_t stream_id, ErrorCode code);
  void goaway(int32_t last_stream_id, ErrorCode code);
  void window_update(int32_t stream_id, uint32_t increment);  // 0: of the connection
  // HEADERS, and CONTINUATION when it is long.
  void head(int32_t stream_id, const FieldArray& fields, bool end_stream);
  void data(int32_t stream_id, Buffer part, bool end_stream);

  [[nodiscard]] HeaderEncoder& encoder() { return encoder_; }
  [[nodiscard]] bool full() const { return !behind_.empty() || queue_.full(); }
  // The queue has room again: what waited behind it goes there.
  void catch_up();
  // Frames written since drained() that answer the peer, or are not ours to hold back.
  [[nodiscard]] size_t control_frames() const { return control_frames_; }
  // Everything has left.
  void drained() { control_frames_ = 0; }

 private:
  char* reserve(size_t size);
  void commit(size_t size);
  char* begin_control(const FrameHeader& header);

  net::OutputQueue& queue_;
  HeaderEncoder encoder_;
  std::string behind_;
  size_t behind_used_ = 0;  // of behind_, while something is being written
  size_t control_frames_ = 0;
};

}  // namespace headgate::http2
