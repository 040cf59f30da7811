// client_exchange.h -- one attempt of a request towards an endpoint, whatever HTTP version carries it.
//
//   handlers/proxy --ClientStream::send--> http1::ClientConnection | a stream of http2::ClientConnection
//   handlers/proxy <--ClientObserver------
//
// Thread: worker.
#pragma once

#include "dataplane/base/buffer.h"
#include "dataplane/base/clock.h"
#include "dataplane/http/body.h"
#include "dataplane/http/message.h"

namespace headgate::http {

struct ClientTimeouts {
  Duration response = std::chrono::seconds(60);     // request sent to response head, then between two reads
  Duration send = std::chrono::seconds(60);         // between two writes that make progress
  Duration tunnel_idle = std::chrono::seconds(60);  // tunnel without traffic in either direction
};

// Implemented by who wants the answer. After on_failed nothing more is called.
class ClientObserver {
 public:
  // 1xx other than 101; any number.
  virtual void on_informational(const ResponseHead& head) = 0;
  // The head is in the ResponseHead given to send(); `body` null: none. Its views live as long as `memory`.
  virtual void on_response_head(BodySource* body, BlockRef memory) = 0;
  // 101, or 2xx to CONNECT: `from_upstream` are opaque bytes; give the client's with ClientStream::start_tunnel.
  virtual void on_tunnel(BodySource& from_upstream, BlockRef memory) = 0;
  // No response head will come. `error.retry` tells whether it is safe to try elsewhere.
  virtual void on_failed(const Error& error) = 0;

 protected:
  ~ClientObserver() = default;
};

// One request in flight. Destroyed or finished by its connection; detach by cancel().
class ClientStream {
 public:
  // Sends the head as it is (hop-by-hop fields are the caller's work; framing is ours) and then the body (null: none).
  // `head`, `body`, `into` and the observer outlive the attempt.
  virtual void send(const RequestHead& head, BodySource* body, ResponseHead& into,
                    const ClientTimeouts& timeouts, ClientObserver& observer) = 0;
  virtual void start_tunnel(BodySource& from_client) = 0;
  // Stops everything; the observer and the bodies are not touched again. The connection is reused only if it may be.
  virtual void cancel() = 0;

 protected:
  ~ClientStream() = default;
};

}  // namespace headgate::http
