// exchange_sink.h -- who receives Exchanges from a connection, and who carries their answers.
//
//   codec (http1, http2) --ExchangeSink--> worker/dispatch --> filters, handler
//   codec <--ExchangeTransport-- Exchange::respond()
//
// Thread: worker.
#pragma once

#include <chrono>
#include <cstdint>

#include "dataplane/base/connection_facts.h"
#include "dataplane/base/error.h"
#include "dataplane/http/body.h"
#include "dataplane/http/message.h"

namespace headgate::http {

class Exchange;

// The settings a codec needs to know; one per listener, in the Snapshot, kept alive by the Session.
struct HttpLimits {
  size_t header_bytes = 32 * 1024;
  uint32_t header_fields = 128;
  size_t target_bytes = 8192;
  uint64_t body_bytes = 64ULL * 1024 * 1024;  // 0: no limit
  bool allow_underscore_names = false;        // header names with '_' are dropped unless allowed
  uint32_t max_requests_per_connection = 0;   // 0: no limit
  uint32_t max_streams = 128;                 // of an HTTP/2 connection at once
  std::chrono::nanoseconds header_timeout = std::chrono::seconds(10);  // first byte of a head to its end
  std::chrono::nanoseconds body_timeout = std::chrono::seconds(30);    // between two reads of a body
  std::chrono::nanoseconds idle_timeout = std::chrono::seconds(60);    // keep-alive, no request
  std::chrono::nanoseconds send_timeout = std::chrono::seconds(60);    // between two writes that make progress
};

// Implemented by worker/dispatch.
class ExchangeSink {
 public:
  // The head is complete. The sink starts the exchange; it may be answered on return.
  virtual void on_exchange(Exchange& exchange) = 0;
  // The exchange is over (answered, aborted, or the client left) and is destroyed after the call: count and log it.
  virtual void on_exchange_end(Exchange& exchange) = 0;
  // A request that never became an exchange: its bytes were refused with `status` (0: closed without an answer).
  virtual void on_refused(uint16_t status, const Error& error) = 0;

 protected:
  ~ExchangeSink() = default;
};

// Implemented by http1::ServerConnection and by a stream of http2::ServerConnection.
class ExchangeTransport {
 public:
  // The same object for as long as an exchange lives.
  virtual const ConnectionFacts& facts() const = 0;
  // 100, 102, 103; any number of times before send_response. Never 101.
  virtual void send_informational(Exchange& exchange, const ResponseHead& head) = 0;
  // Once. `body` null: none. The transport pulls the body; when it ends, the exchange is over.
  virtual void send_response(Exchange& exchange, ResponseHead& head, BodySource* body) = 0;
  // Switches to a tunnel: sends 101 (HTTP/1) or 200 (HTTP/2 CONNECT), then `from_upstream` as opaque bytes, half-close
  // aware. Returns the client's opaque bytes (valid until the exchange ends).
  virtual BodySource& start_tunnel(Exchange& exchange, ResponseHead& head, BodySource& from_upstream) = 0;
  // The answer cannot be completed: closes the connection or resets the stream. Never a clean end.
  virtual void abort(Exchange& exchange, const Error& error) = 0;

 protected:
  ~ExchangeTransport() = default;
};

}  // namespace headgate::http
