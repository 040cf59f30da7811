// session.h -- what both roles of HTTP/2 share: ByteStream <-> frames, streams, windows, one write a turn, GOAWAY.
//
//   kOpen      frames both ways                                                        -> kClosing | kClosed
//   kClosing   GOAWAY written, reading on for a moment so that it can be read          -> kClosed
//
//   bytes -> FrameReader -> what RFC 9113 says of the frame (session_frames.cc) -> the role and its streams
//   streams -> heads at once, DATA as the windows let it through -> FrameWriter -> OutputQueue
//
// Everything all streams have to say in one turn of the loop leaves in one write, at the end of the turn. Bodies of some
// size are not copied: frame headers and chunks are gathered. What a stream submits from inside a call takes effect when
// the frames are gathered. Idle, a connection holds the tables of its two HPACK coders and no buffer.
// Spec: RFC 9113.   Thread: worker.   Owner: as the role says (ServerConnection, ClientConnection).
#pragma once

#include <memory>
#include <span>

#include "dataplane/base/intrusive_list.h"
#include "dataplane/event/turn_budget.h"
#include "dataplane/event/worker_context.h"
#include "dataplane/http2/abuse_budget.h"
#include "dataplane/http2/flow_window.h"
#include "dataplane/http2/frame.h"
#include "dataplane/http2/frame_reader.h"
#include "dataplane/http2/frame_writer.h"
#include "dataplane/http2/hpack.h"
#include "dataplane/http2/incoming_body.h"
#include "dataplane/http2/outgoing_body.h"
#include "dataplane/http2/session_stream.h"
#include "dataplane/http2/stream_map.h"
#include "dataplane/net/byte_stream.h"
#include "dataplane/net/output_queue.h"

namespace headgate::http2 {

// What the other side has told of itself (RFC 9113 6.5.2).
struct PeerSettings {
  uint32_t max_streams = UINT32_MAX;
  int32_t initial_window = kDefaultWindow;
  bool connect_protocol = false;
};

class Session : public event::Disposable, private net::StreamObserver {
 public:
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] WorkerContext& worker() const { return worker_; }
  [[nodiscard]] const ConnectionFacts& facts() const { return stream_->facts(); }
  // Frames were written or submitted: they leave at the end of the turn.
  void schedule_send() {
    if (!sending_) send_later_.schedule();
  }
  // Something is overdue at `when`.
  void expect_at(MonotonicTime when);
  // Closes whatever is open, at once.
  void close_now();

  // -- for streams
  // Its turn comes with the frames of this turn: write_request() is called, for write_head().
  void submit_request(SessionStream& stream);
  void write_head(SessionStream& stream, const FieldArray& fields, bool end_stream);
  void submit_reset(SessionStream& stream, ErrorCode code);
  // Bytes of DATA are free again: of the connection's window, of the stream's.
  void give_back(size_t bytes);
  void give_back(SessionStream& stream, size_t bytes);

  // -- for bodies. The body is asked for its next chunk before the frames of this turn are gathered.
  void want_pull(OutgoingBody& body) {
    pulls_.push_back(body);
    schedule_send();
  }
  // It has something to frame.
  void want_send(OutgoingBody& body) {
    ready_.push_back(body);
    schedule_send();
  }

 protected:
  enum class State : uint8_t { kOpen, kClosing, kClosed };
  enum class Role : uint8_t { kServer, kClient };

  // `other`: who we talk to, for the log ("client", "endpoint"). `send_timeout`: between two writes that make progress.
  Session(WorkerContext& worker, std::unique_ptr<net::ByteStream> stream, Role role, const char* other,
          Duration send_timeout);
  ~Session() override;

  // Preface and SETTINGS. `stream_window`, not below the default: what the peer may send ahead on each stream;
  // `connection_window`: on all of them.
  void begin(std::span<const SettingEntry> settings, int32_t stream_window, int32_t connection_window);
  [[nodiscard]] State state() const { return state_; }
  // Streams are being told of frames, or asked for them: reading and writing have to wait.
  [[nodiscard]] bool in_callback() const { return receiving_ || sending_; }
  // Nothing has happened for a while.
  void rest() { streams_.shrink(); }
  [[nodiscard]] bool readable_hint() const { return stream_->readable_hint(); }
  void read_input();
  void feed(Buffer bytes);
  // Ends the connection with GOAWAY once the call has returned. Always false, for `return refuse(...)`.
  bool refuse(ErrorCode code, const char* detail);
  bool calm(const char* detail) { return refuse(ErrorCode::kEnhanceYourCalm, detail); }
  // GOAWAY, then close as soon as it can have been read. Streams end with `why`.
  void fail(ErrorCode code, const Error& why);
  void close(const Error& why);
  // The first of the two GOAWAYs of a graceful end, and the last.
  void announce_goaway() { write_goaway(kMaxStreamId); }
  void say_goaway();

  [[nodiscard]] SessionStream* find(int32_t id) const { return streams_.find(id); }
  [[nodiscard]] const PeerSettings& peer() const { return peer_; }
  [[nodiscard]] bool settings_received() const { return settings_received_; }
  // Ids are left.
  [[nodiscard]] bool can_open() const { return next_stream_ > 0; }
  [[nodiscard]] bool send_window_shut() const { return send_window_ <= 0; }
  void take_stream(SessionStream& stream);    // has its id: takes part from now on
  void refuse_stream(int32_t id);             // of the peer: will not
  void forget_stream(SessionStream& stream);  // no frame tells of it

  // -- what the role says. Of a frame's header, before anything is done with it; false after refuse().
  [[nodiscard]] virtual bool on_frame_begin(const FrameHeader& frame) = 0;
  // DATA or HEADERS on a stream that is closed, or never came to be.
  [[nodiscard]] virtual bool on_late_frame(const FrameHeader& frame) = 0;
  // The peer opens a stream: take_stream() or refuse_stream().
  virtual void on_stream_opened(int32_t id) = 0;
  // END_STREAM or RST_STREAM of the peer.
  virtual void on_stream_ended(int32_t) {}
  virtual void on_header_block_end() {}
  virtual void on_settings_received() {}
  // What is above `last` was not looked at, and is closed after this.
  virtual void on_goaway_received(int32_t last, ErrorCode code) = 0;
  // RST_STREAM was written. `stream`: null: of nobody. False after refuse().
  [[nodiscard]] virtual bool on_reset_sent(int32_t, const SessionStream*, ErrorCode) { return true; }
  virtual void on_stream_closed(SessionStream& stream, ErrorCode code) = 0;
  // Bytes are about to be looked at.
  virtual void on_input() {}
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
  // -- frames that come; session_frames.cc
  bool process(std::string_view bytes);
  [[nodiscard]] bool begin_frame(const FrameHeader& frame);
  [[nodiscard]] bool spend(const FrameHeader& frame);
  [[nodiscard]] bool is_idle(int32_t id) const;
  [[nodiscard]] bool begin_data(const FrameHeader& frame);
  [[nodiscard]] bool begin_headers(const FrameHeader& frame);
  [[nodiscard]] bool on_fixed(const FrameHeader& frame);
  [[nodiscard]] bool on_content(const FrameHeader& frame);
  [[nodiscard]] bool on_frame_end(const FrameHeader& frame);
  [[nodiscard]] bool end_header_block();
  [[nodiscard]] bool on_settings(std::string_view payload);
  [[nodiscard]] bool apply(SettingEntry entry);
  [[nodiscard]] bool resize_windows(int32_t size);
  [[nodiscard]] bool on_goaway(std::string_view payload);
  [[nodiscard]] bool on_window_update(int32_t id, int32_t increment);
  [[nodiscard]] bool on_reset(int32_t id, ErrorCode code);

  // -- streams
  void end_remote(SessionStream& stream);
  void close_stream(SessionStream& stream, ErrorCode code);
  void process_due(SessionStream& stream);
  void close_if_ended(SessionStream& stream);
  // What comes for others is passed over.
  [[nodiscard]] SessionStream* find_live(int32_t id) const {
    SessionStream* const stream = streams_.find(id);
    return stream != nullptr && !stream->reset_queued_ ? stream : nullptr;
  }
  // The windows have opened.
  void wake(SessionStream& stream);

  void write_goaway(int32_t last_stream_id);
  void on_stream_ready(bool readable, bool writable) override;
  void send_now() { send(); }
  void send();
  void gather();
  void frame_part(OutgoingBody& body);
  void frame_data(OutgoingBody& body, size_t size, bool end_stream);
  void frame_end(OutgoingBody& body, size_t size);
  void resume_later();
  [[nodiscard]] bool over_budget(size_t bytes);
  [[nodiscard]] bool is_over() const { return (peer_leaving_ || said_goaway_) && streams_.empty(); }
  void on_timer();
  void close_gracefully(const Error& why);

  WorkerContext& worker_;
  std::unique_ptr<net::ByteStream> stream_;
  event::Timer timer_;
  event::DeferredCall send_later_;
  event::DeferredCall resume_later_;
  StreamMap streams_;
  IntrusiveList<SessionStream, DueTag> due_;     // something of theirs takes effect with the frames of this turn
  IntrusiveList<OutgoingBody, PullTag> pulls_;   // to be asked
  IntrusiveList<OutgoingBody, ReadyTag> ready_;  // have bytes, or their end, to frame
  net::OutputQueue output_;
  FrameWriter writer_{output_};
  FrameReader reader_;
  HeaderDecoder decoder_;
  BodyInput input_;  // the bytes being read: bodies are slices of them
  PeerSettings peer_;
  FlowWindow receive_window_{kDefaultWindow};
  const char* other_;
  Duration send_timeout_;
  MonotonicTime blocked_since_ = MonotonicTime::max();  // the other side takes no bytes
  MonotonicTime close_at_ = MonotonicTime::max();
  event::TurnBudget turn_budget_;
  int64_t send_window_ = kDefaultWindow;
  int32_t stream_window_ = kDefaultWindow;  // of each stream, for the peer
  int32_t next_stream_;                     // that we open; 0: none is left
  int32_t last_stream_ = 0;                 // highest that the peer has opened
  int32_t block_stream_ = 0;                // whose header block is being read; 0: none
  uint32_t input_size_ = Block::kMedium;    // of the next read
  ErrorCode failure_ = ErrorCode::kNoError;
  uint8_t continuations_ = 0;  // of this block
  Role role_;
  State state_ = State::kOpen;
  bool block_ends_stream_ = false;
  bool settings_received_ = false;
  bool refused_ = false;       // the connection ends with failure_
  bool peer_leaving_ = false;  // GOAWAY was received
  bool said_goaway_ = false;   // the last one
  bool fin_sent_ = false;
  bool receiving_ = false;     // process() is on the stack
  bool sending_ = false;
};

}  // namespace headgate::http2
