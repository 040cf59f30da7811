// client_connection.h -- HTTP/2 towards an endpoint: a Session shared by many requests.
//
// Takes as many streams as the endpoint allows. After GOAWAY, drain(), its age or its number of requests it takes no
// more and closes with its last one. What was certainly not processed (above the last stream of GOAWAY, REFUSED_STREAM,
// not yet written) is told to be safe to repeat. An endpoint that answers nothing for as long as a request may wait is
// not asked on this connection again.
// What an endpoint may cost is bounded by AbuseBudget, the limits on fields, and one window for each stream; the
// connection's own window is given back at once, so that a slow reader holds up nobody else.
// Spec: RFC 9113 3.3, 5.1.2, 6.8, RFC 8441.   Thread: worker.   Owner: upstream::SharedConnections.
#pragma once

#include <memory>

#include "dataplane/base/pooled.h"
#include "dataplane/http/exchange_sink.h"
#include "dataplane/http2/client_stream.h"
#include "dataplane/http2/session.h"

namespace headgate::http2 {

class ClientConnection;

class ClientConnectionOwner {
 public:
  // A stream ended, or the endpoint allows more: open() may work now.
  virtual void on_room(ClientConnection& connection) = 0;
  // Is over; the owner destroys it (deferred).
  virtual void on_connection_closed(ClientConnection& connection) = 0;

 protected:
  ~ClientConnectionOwner() = default;
};

class ClientConnection final : public Pooled<ClientConnection>, public ListNode<>, public Session {
 public:
  // Of our own; the endpoint's limit is usually lower.
  static constexpr uint32_t kMaxStreams = 1000;

  struct Life {
    Duration idle = std::chrono::seconds(60);  // without a stream
    Duration max_age{0};                       // zero: none
    uint32_t max_requests = 0;                 // 0: no limit
    Duration send_timeout = std::chrono::seconds(60);
  };

  // `limits` (of responses) and `owner` outlive the connection.
  ClientConnection(WorkerContext& worker, std::unique_ptr<net::ByteStream> stream, const http::HttpLimits& limits,
                   const Life& life, ClientConnectionOwner& owner);
  ~ClientConnection() override;
  void start();

  // For one request, to be sent at once; null: no room, or this connection takes no more. May end the connection, when
  // that turns out to be closed.
  ClientStream* open();
  [[nodiscard]] bool has_room() const;
  // Will never have room again.
  [[nodiscard]] bool leaving() const { return leaving_ || state() != State::kOpen; }
  [[nodiscard]] size_t streams() const { return open_; }
  // SETTINGS have come: its limits are known.
  [[nodiscard]] bool settled() const { return settings_received(); }
  // Takes no more requests; closes with its last.
  void drain();
  // Closes at once; those who wait for answers are told nothing: they are on their way out, too.
  void give_up();

  // -- for ClientStream
  [[nodiscard]] const http::HttpLimits& limits() const { return limits_; }
  enum class Tunnels : uint8_t { kUnknown, kTaken, kRefused };
  [[nodiscard]] Tunnels tunnels() const;
  // How often bytes have come.
  [[nodiscard]] uint64_t inputs() const { return inputs_; }
  // A request was submitted before and all were answered: an endpoint may close such a connection at any time.
  [[nodiscard]] bool was_resting() const { return open_ == 1 && requests_ > 1; }
  // A request waited too long. `since`: inputs() when it was submitted.
  void on_no_answer(uint64_t since);
  // The request was never sent, and will not be.
  void forget(ClientStream& stream);

 private:
  // Session
  bool on_frame_begin(const FrameHeader& frame) override;
  bool on_late_frame(const FrameHeader&) override { return true; }
  void on_stream_opened(int32_t) override {}
  void on_settings_received() override;
  void on_goaway_received(int32_t last, ErrorCode code) override;
  void on_stream_closed(SessionStream& stream, ErrorCode code) override;
  void on_input() override { ++inputs_; }
  [[nodiscard]] size_t streams_alive() const override { return open_; }
  [[nodiscard]] Error protocol_error() const override;
  void end_streams(const Error& why) override;
  void on_closed() override { owner_.on_connection_closed(*this); }
  void on_alarm(MonotonicTime now) override;
  [[nodiscard]] MonotonicTime next_alarm() override;

  void remove(ClientStream& stream);
  [[nodiscard]] uint32_t stream_limit() const;

  const http::HttpLimits& limits_;
  ClientConnectionOwner& owner_;
  Life life_;
  IntrusiveList<ClientStream> streams_;
  MonotonicTime idle_since_{};
  MonotonicTime opened_{};
  uint64_t inputs_ = 0;
  uint32_t open_ = 0;
  uint32_t requests_ = 0;
  bool leaving_ = false;
};

}  // namespace headgate::http2
