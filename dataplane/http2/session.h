// session.h -- what both roles of HTTP/2 share: ByteStream <-> nghttp2, one write a turn, GOAWAY, the way to close.
//
//   kOpen      frames both ways                                                        -> kClosing | kClosed
//   kClosing   GOAWAY written, reading on for a moment so that it can be read          -> kClosed
//
// Everything all streams have to say in one turn of the loop leaves in one write, at the end of the turn. DATA is not
// copied: frame headers and chunks are gathered. nghttp2 forbids reading and writing from inside its callbacks, so
// callbacks only submit; send() does the rest. Idle, it holds the nghttp2 session and no buffer.
// Spec: RFC 9113.   Thread: worker.   Owner: as the role says (ServerConnection, ClientConnection).
#pragma once

#include <nghttp2/nghttp2.h>

#include <memory>

#include "dataplane/base/intrusive_list.h"
#include "dataplane/event/turn_budget.h"
#include "dataplane/event/worker_context.h"
#include "dataplane/http2/abuse_budget.h"
#include "dataplane/http2/incoming_body.h"
#include "dataplane/http2/outgoing_body.h"
#include "dataplane/http2/session_memory.h"
#include "dataplane/net/byte_stream.h"
#include "dataplane/net/output_queue.h"

namespace headgate::http2 {

// From ids to the streams of a role. nghttp2 keeps them in a map; what is asked for is mostly the one asked for before,
// because the fields of a head come one by one.
template <typename Stream>
class StreamTable {
 public:
  [[nodiscard]] Stream* find(nghttp2_session* session, int32_t id) {
    if (id != id_ || stream_ == nullptr) {
      stream_ = static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, id));
      id_ = id;
    }
    return stream_;
  }
  void set(nghttp2_session* session, int32_t id, Stream* stream) {
    (void)nghttp2_session_set_stream_user_data(session, id, stream);
    stream_ = stream;
    id_ = id;
  }

 private:
  Stream* stream_ = nullptr;  // null: nothing is remembered
  int32_t id_ = 0;
};

class Session : public event::Disposable, private net::StreamObserver {
 public:
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] WorkerContext& worker() const { return worker_; }
  [[nodiscard]] const ConnectionFacts& facts() const { return stream_->facts(); }
  [[nodiscard]] nghttp2_session* session() const { return session_; }
  [[nodiscard]] net::OutputQueue& output() { return output_; }
  // Frames were submitted: they leave at the end of the turn.
  void schedule_send() {
    if (!sending_) send_later_.schedule();
  }
  // The body is asked for its next chunk before the frames of this turn are gathered.
  void want_pull(OutgoingBody& body) {
    pulls_.push_back(body);
    schedule_send();
  }
  // Something is overdue at `when`.
  void expect_at(MonotonicTime when);
  // Closes whatever is open, at once.
  void close_now();

 protected:
  enum class State : uint8_t { kOpen, kClosing, kClosed };

  // `other`: who we talk to, for the log ("client", "endpoint"). `send_timeout`: between two writes that make progress.
  Session(WorkerContext& worker, std::unique_ptr<net::ByteStream> stream, const char* other, Duration send_timeout);
  ~Session() override;

  // The session of the role, made with `this` as user; options and callbacks are the role's.
  void adopt(nghttp2_session* session) { session_ = session; }
  void watch() { stream_->watch(net::Interest::kBoth, *this); }
  [[nodiscard]] State state() const { return state_; }
  // nghttp2 is on the stack: it may be told things, not asked to read or write.
  [[nodiscard]] bool in_callback() const { return receiving_ || sending_; }
  // For the session that adopt() takes.
  [[nodiscard]] nghttp2_mem memory() { return memory_.functions(); }
  // Nothing has happened for a while.
  void rest() {
    if (output_.empty() && !in_callback()) memory_.rest();
  }
  [[nodiscard]] bool readable_hint() const { return stream_->readable_hint(); }
  // The bytes nghttp2 is being given: bodies are slices of them.
  [[nodiscard]] BodyInput& input() { return input_; }
  void read_input();
  void feed(Buffer bytes);
  // From inside a callback: ends the connection with GOAWAY once nghttp2 has returned.
  int refuse(uint32_t code, const char* detail);
  int calm(const char* detail) { return refuse(NGHTTP2_ENHANCE_YOUR_CALM, detail); }
  // GOAWAY, then close as soon as it can have been read. Streams end with `why`.
  void fail(uint32_t code, const Error& why);
  void close(const Error& why);

  // Callbacks and options that are the same for both roles; the caller adds its own and keeps them for ever.
  static nghttp2_session_callbacks* make_callbacks();
  static nghttp2_option* make_options();
  // Hands input to nghttp2.
  virtual ssize_t pass_on(std::string_view bytes);
  [[nodiscard]] virtual size_t streams_alive() const = 0;
  // What streams are told when the other side breaks the protocol.
  [[nodiscard]] virtual Error protocol_error() const = 0;
  // The connection can do no more for any stream.
  virtual void end_streams(const Error& why) = 0;
  // The owner may destroy the connection (deferred).
  virtual void on_closed() = 0;
  // Looks at deadlines that have passed while the connection is open.
  virtual void on_alarm(MonotonicTime now) = 0;
  // The next of them, or max.
  [[nodiscard]] virtual MonotonicTime next_alarm() = 0;

  AbuseBudget budget_;

 private:
  static int on_invalid_header(nghttp2_session*, const nghttp2_frame*, const uint8_t*, size_t, const uint8_t*, size_t,
                               uint8_t, void*);
  static int send_data(nghttp2_session*, nghttp2_frame*, const uint8_t* header, size_t size,
                       nghttp2_data_source* source, void* user);

  void on_stream_ready(bool readable, bool writable) override;
  void send_now() { send(); }
  void send();
  bool gather();
  void resume_later();
  [[nodiscard]] bool over_budget(size_t bytes);
  void on_timer();
  void close_gracefully(const Error& why);

  WorkerContext& worker_;
  std::unique_ptr<net::ByteStream> stream_;
  SessionMemory memory_;
  nghttp2_session* session_ = nullptr;
  event::Timer timer_;
  event::DeferredCall send_later_;
  event::DeferredCall resume_later_;
  IntrusiveList<OutgoingBody, PullTag> pulls_;  // to be asked
  net::OutputQueue output_;
  BodyInput input_;
  const char* other_;
  Duration send_timeout_;
  MonotonicTime blocked_since_ = MonotonicTime::max();  // the other side takes no bytes
  MonotonicTime close_at_ = MonotonicTime::max();
  event::TurnBudget turn_budget_;
  uint32_t input_size_ = Block::kMedium;  // of the next read
  uint32_t failure_ = 0;                  // a callback wants GOAWAY with this code
  State state_ = State::kOpen;
  bool fin_sent_ = false;
  bool receiving_ = false;  // nghttp2_session_mem_recv is on the stack
  bool sending_ = false;
};

}  // namespace headgate::http2
