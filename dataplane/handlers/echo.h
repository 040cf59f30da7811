// echo.h -- the request body is the response body, with its content type; streamed, in bounded memory.
// Thread: see handler.h.
#pragma once

#include "dataplane/http/handler.h"

namespace headgate::handlers {

class Echo final : public http::Handler {
 public:
  http::Run* start(http::Exchange& exchange, WorkerContext& worker) const override;
};

}  // namespace headgate::handlers
