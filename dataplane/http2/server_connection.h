// server_connection.h -- HTTP/2 on an accepted connection: a Session whose streams are Exchanges.
//
// What a client may cost is bounded by AbuseBudget, HttpLimits::max_streams, the two windows, and one chunk per stream.
// Spec: RFC 9113.   Thread: worker.   Owner: worker::Session.
#pragma once

#include <algorithm>
#include <array>
#include <memory>

#include "dataplane/base/pooled.h"
#include "dataplane/http/exchange_sink.h"
#include "dataplane/http2/session.h"
#include "dataplane/http2/stream.h"

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

class ServerConnection final : public Pooled<ServerConnection>, public Session {
 public:
  // `limits`, `sink` and `owner` outlive the connection. `scheme` is how clients reach the listener.
  ServerConnection(WorkerContext& worker, std::unique_ptr<net::ByteStream> stream, const http::HttpLimits& limits,
                   http::ExchangeSink& sink, ServerConnectionOwner& owner, http::Scheme scheme);
  ~ServerConnection() override;

  // `initial`: bytes that were read while the protocol was not known yet; may be empty.
  void start(Buffer initial);
  // GOAWAY in two steps; what is in flight is answered.
  void drain();
  [[nodiscard]] bool idle() const { return alive_ == 0; }

  // -- for Stream
  [[nodiscard]] const http::HttpLimits& limits() const { return limits_; }
  [[nodiscard]] http::ExchangeSink& sink() const { return sink_; }
  [[nodiscard]] http::Scheme scheme() const { return scheme_; }
  void on_request();
  void on_stream_gone();

 private:
  // Session
  bool on_frame_begin(const FrameHeader& frame) override;
  bool on_late_frame(const FrameHeader& frame) override;
  void on_stream_opened(int32_t id) override;
  void on_stream_ended(int32_t id) override { ended_.add(id); }
  void on_header_block_end() override;
  void on_settings_received() override;
  void on_goaway_received(int32_t, ErrorCode) override {}
  bool on_reset_sent(int32_t id, const SessionStream* stream, ErrorCode code) override;
  void on_stream_closed(SessionStream& stream, ErrorCode code) override;
  [[nodiscard]] size_t streams_alive() const override { return alive_; }
  [[nodiscard]] Error protocol_error() const override {
    return {.code = Errc::kMalformed, .origin = Origin::kDownstream, .detail = "HTTP/2"};
  }
  void end_streams(const Error& why) override;
  void on_closed() override { owner_.on_http2_closed(); }
  void on_alarm(MonotonicTime now) override;
  [[nodiscard]] MonotonicTime next_alarm() override;

  void check_streams(MonotonicTime now);
  void say_last_goaway();
  void expect_idleness();

  const http::HttpLimits& limits_;
  http::ExchangeSink& sink_;
  ServerConnectionOwner& owner_;
  IntrusiveList<Stream> streams_;          // those that are open
  RecentStreams ended_;                    // by the client: END_STREAM or RST_STREAM
  RecentStreams reset_;                    // by us: what was on its way is ignored
  MonotonicTime header_since_ = MonotonicTime::max();   // a header block, or the preface, is not complete
  MonotonicTime idle_since_{};
  MonotonicTime drain_since_ = MonotonicTime::max();    // first GOAWAY; max: not draining, or the last one was sent
  uint32_t alive_ = 0;  // Streams at work: those that were reset in this turn, too
  uint32_t requests_ = 0;
  http::Scheme scheme_;
  bool draining_ = false;
  bool resting_ = false;  // idle for so long that it gave its memory back
};

}  // namespace headgate::http2
