// server_connection.h -- HTTP/2 on an accepted connection: ByteStream <-> nghttp2 <-> Streams.
//
//   kOpen      frames both ways                                                  -> kClosing | kClosed
//   kClosing   GOAWAY written, reading on for a moment so that it can be read    -> kClosed
//
// Everything all streams have to say in one turn of the loop leaves in one write, at the end of the turn. DATA is not
// copied: frame headers and chunks are gathered. nghttp2 forbids reading and writing from inside its callbacks, so
// callbacks only submit; send() does the rest.
// Idle, it holds the nghttp2 session and no buffer. What a client may cost is bounded by AbuseBudget, kMaxStreams, the
// two windows, and one chunk per stream.
// Spec: RFC 9113.   Thread: worker.   Owner: Session.
#pragma once

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <memory>

#include "dataplane/base/intrusive_list.h"
#include "dataplane/base/pooled.h"
#include "dataplane/event/worker_context.h"
#include "dataplane/http/exchange_sink.h"
#include "dataplane/http2/abuse_budget.h"
#include "dataplane/http2/stream.h"
#include "dataplane/net/byte_stream.h"
#include "dataplane/net/output_queue.h"

namespace headgate::http2 {

class ServerConnectionOwner {
 public:
  // The connection is over; the owner destroys it (deferred: it may be on the stack).
  virtual void on_http2_closed() = 0;

 protected:
  ~ServerConnectionOwner() = default;
};

// The latest stream ids of some kind.
class RecentStreams {
 public:
  void add(int32_t id) { ids_[added_++ % ids_.size()] = id; }
  [[nodiscard]] bool has(int32_t id) const { return std::find(ids_.begin(), ids_.end(), id) != ids_.end(); }
  // All there ever were are remembered.
  [[nodiscard]] bool complete() const { return added_ <= ids_.size(); }

 private:
  std::array<int32_t, 32> ids_{};
  size_t added_ = 0;
};

class ServerConnection final : public event::Disposable,
                               public Pooled<ServerConnection>,
                               private net::StreamObserver {
 public:
  static constexpr uint32_t kMaxStreams = 128;

  // `limits`, `sink` and `owner` outlive the connection. `scheme` is how clients reach the listener.
  ServerConnection(WorkerContext& worker, std::unique_ptr<net::ByteStream> stream, const http::HttpLimits& limits,
                   http::ExchangeSink& sink, ServerConnectionOwner& owner, http::Scheme scheme);
  ~ServerConnection() override;

  // `initial`: bytes that were read while the protocol was not known yet; may be empty.
  void start(Buffer initial);
  // GOAWAY in two steps; what is in flight is answered.
  void drain();
  // The drain deadline: close whatever is open.
  void close_now();
  [[nodiscard]] bool idle() const { return alive_ == 0; }

  // -- for Stream
  [[nodiscard]] WorkerContext& worker() const { return worker_; }
  [[nodiscard]] const http::HttpLimits& limits() const { return limits_; }
  [[nodiscard]] http::ExchangeSink& sink() const { return sink_; }
  [[nodiscard]] http::Scheme scheme() const { return scheme_; }
  [[nodiscard]] const ConnectionFacts& facts() const { return stream_->facts(); }
  [[nodiscard]] nghttp2_session* session() const { return session_; }
  [[nodiscard]] net::OutputQueue& output() { return output_; }
  // Frames were submitted: they leave at the end of the turn.
  void schedule_send() {
    if (!sending_) send_later_.schedule();
  }
  void want_pull(Stream& stream) {
    pulls_.push_back(stream);
    schedule_send();
  }
  // Something is overdue at `when`.
  void expect_at(MonotonicTime when);
  void on_stream_destroyed();

 private:
  enum class State : uint8_t { kOpen, kClosing, kClosed };
  struct Callbacks;  // what nghttp2 calls; server_callbacks.cc
  static nghttp2_session* make_session(ServerConnection& connection);

  void on_stream_ready(bool readable, bool writable) override;
  void read_input();
  void feed(Buffer bytes);
  [[nodiscard]] ssize_t pass_on(std::string_view bytes);
  void send_now() { send(); }
  void send();
  bool gather();
  void resume_later();
  [[nodiscard]] bool over_budget(size_t bytes);

  int on_frame_begins(const nghttp2_frame_hd& frame);
  int on_headers_begin(const nghttp2_frame& frame);
  int on_frame_received(const nghttp2_frame& frame);
  int on_frame_sent(const nghttp2_frame& frame);
  void on_stream_closed(Stream& stream);
  int calm(const char* detail) { return refuse(NGHTTP2_ENHANCE_YOUR_CALM, detail); }
  int refuse(uint32_t code, const char* detail);
  [[nodiscard]] int check_closed_stream(const nghttp2_frame_hd& frame);
  [[nodiscard]] Stream* stream_of(int32_t id) const {
    return static_cast<Stream*>(nghttp2_session_get_stream_user_data(session_, id));
  }

  void on_deadline();
  void check_streams(MonotonicTime now);
  void arm_next(MonotonicTime now);
  void say_last_goaway();
  void fail(uint32_t code);
  void end_streams();
  void close_gracefully();
  void close();

  WorkerContext& worker_;
  std::unique_ptr<net::ByteStream> stream_;
  const http::HttpLimits& limits_;
  http::ExchangeSink& sink_;
  ServerConnectionOwner& owner_;
  nghttp2_session* session_;
  event::Timer timer_;
  event::DeferredCall send_later_;
  event::DeferredCall resume_later_;
  IntrusiveList<Stream> streams_;          // those nghttp2 has open
  IntrusiveList<Stream, PullTag> pulls_;   // whose body is to be asked
  net::OutputQueue output_;
  BlockRef input_;                         // being fed: request bodies are slices of it
  AbuseBudget budget_;
  RecentStreams ended_;                    // by the client: END_STREAM or RST_STREAM
  RecentStreams reset_;                    // by us: what was on its way is ignored
  MonotonicTime blocked_since_ = MonotonicTime::max();  // the client takes no bytes
  MonotonicTime header_since_ = MonotonicTime::max();   // a header block, or the preface, is not complete
  MonotonicTime idle_since_{};
  MonotonicTime drain_since_ = MonotonicTime::max();    // first GOAWAY; max: not draining, or the last one was sent
  MonotonicTime close_at_ = MonotonicTime::max();
  uint64_t turn_ = 0;
  uint64_t turn_bytes_ = 0;
  uint32_t alive_ = 0;  // Streams that exist: those closed in this turn too, whose backend work may not have stopped
  uint32_t requests_ = 0;
  uint32_t input_size_ = 0;  // of the next read
  uint32_t frame_left_ = NGHTTP2_CLIENT_MAGIC_LEN;  // of the frame being read; the preface counts as one
  uint32_t failure_ = 0;     // a callback wants GOAWAY with this code
  int32_t last_stream_ = 0;  // highest id of a HEADERS frame
  std::array<char, 9> frame_header_{};  // of the next frame, as far as it has come
  uint8_t frame_header_size_ = 0;
  State state_ = State::kOpen;
  http::Scheme scheme_;
  bool draining_ = false;
  bool settings_seen_ = false;
  bool fin_sent_ = false;
  bool receiving_ = false;  // nghttp2_session_mem_recv is on the stack
  bool sending_ = false;
};

}  // namespace headgate::http2
