// handler.h -- what produces a response. One Handler per action of a route, built once per Snapshot.
// Thread: const and shared by all workers; what start() makes belongs to one Exchange.
#pragma once

#include "dataplane/event/worker_context.h"

namespace headgate::http {

class Exchange;

// State of one started action. Made in the Exchange's arena (exchange.arena().make<T>()) and destroyed with it,
// which is how an action is aborted: whatever is pending must be withdrawn by the destructor.
class Run {
 public:
  virtual ~Run() = default;
};

class Handler {
 public:
  virtual ~Handler() = default;
  // Begins to answer; may have answered on return (then null is a fine result). Must not keep references to itself
  // after the response head was given to exchange.respond(): the Snapshot that owns the Handler may then go.
  virtual Run* start(Exchange& exchange, WorkerContext& worker) const = 0;
};

}  // namespace headgate::http
