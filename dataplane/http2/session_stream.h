// session_stream.h -- what a Session knows of a stream, whichever side opened it.
//
// A stream is closed when both sides have ended it, or either has reset it. What ends it from our side takes effect when
// the frames of the turn are gathered, never inside a call that a stream has made: until then what comes is ignored.
// Spec: RFC 9113 5.1, 5.2.   Thread: worker.   Owner: as the role says (Stream, ClientStream).
#pragma once

#include <cstdint>
#include <string_view>

#include "dataplane/base/intrusive_list.h"
#include "dataplane/http2/flow_window.h"
#include "dataplane/http2/frame.h"
#include "dataplane/http2/incoming_body.h"

namespace headgate::http2 {

class OutgoingBody;
struct DueTag;

class SessionStream : public ListNode<DueTag> {
 public:
  // 0: not opened yet.
  [[nodiscard]] int32_t id() const { return id_; }

 protected:
  explicit SessionStream(int32_t id = 0) : id_(id) {}
  virtual ~SessionStream() = default;

  // -- what the connection tells. A field of the block that is being read; false: end the connection.
  [[nodiscard]] virtual bool on_field(std::string_view name, std::string_view value) = 0;
  // The block is complete.
  virtual void on_fields_end(bool end_stream) = 0;
  virtual void on_data(BodyInput& input, std::string_view data) = 0;
  // Behind the last data; not after a block that ends the stream.
  virtual void on_end_stream() = 0;
  virtual void on_reset_received() {}
  // END_STREAM has been framed.
  virtual void on_end_sent() = 0;
  [[nodiscard]] virtual OutgoingBody& outgoing() = 0;
  // submit_request(): the turn of the stream has come, and it has an id.
  virtual void write_request() {}

 private:
  friend class Session;
  friend class StreamMap;

  SessionStream* next_in_map_ = nullptr;
  int32_t id_;
  int32_t send_window_ = 0;       // negative after the peer made all windows smaller
  FlowWindow receive_window_{0};
  ErrorCode reset_code_ = ErrorCode::kNoError;
  bool opens_ = false;         // a request that waits for its turn
  bool reset_queued_ = false;
  bool local_ended_ = false;   // END_STREAM framed
  bool end_told_ = false;      // on_end_sent() was called
  bool remote_ended_ = false;  // END_STREAM read
  bool closed_ = false;
};

}  // namespace headgate::http2
