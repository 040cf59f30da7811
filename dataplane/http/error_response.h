// error_response.h -- the only table from Error to what the client sees: status, body, whether the connection survives.
// Spec: RFC 9110 15.5, 15.6.   Thread: worker.
#pragma once

#include <cstdint>

#include "dataplane/base/error.h"

namespace headgate::http {

class Exchange;

struct ErrorAnswer {
  uint16_t status = 500;
  bool close = false;      // the connection must not be used again: framing is uncertain
  uint8_t grpc_code = 13;  // RFC-less: grpc/statuscodes.md; 13 is INTERNAL
};

// Upstream's fault: 502, 503, 504. Downstream's: 400, 408, 413, 414, 417, 431, 501, 505. Ours: 500, 503.
ErrorAnswer answer_for(const Error& error);

// Fills exchange.response() (status, a short text or HTML body by Accept, Content-Type; for gRPC a trailers-only answer)
// and calls respond(). Fields that were set before are dropped. The transport asks answer_for() whether to close.
void write_error_response(Exchange& exchange, const Error& error);

// The same for a status that is no failure of anything: "404 Not Found" when no route matched. `retry_after_s`: when to
// come again; 0: not said, or with 503 the usual second.
void write_status_response(Exchange& exchange, uint16_t status, uint32_t retry_after_s = 0);

}  // namespace headgate::http
