// filter.h -- what changes, answers or delays an exchange before its handler, and changes the response after it.
// Thread: a Filter is const and shared by all workers; a FilterRun belongs to one Exchange.
// Order: phases as in virtual_host.proto (SIZE ... RESPONSE); snapshot/build_routes sorts once. on_request runs in
// that order, on_response in the reverse order, over the filters that were started.
#pragma once

#include "dataplane/event/worker_context.h"
#include "dataplane/http/body.h"

namespace headgate::http {

class Exchange;

enum class Verdict : uint8_t {
  kContinue,
  kAnswered,  // the filter called exchange.respond(); nothing after it runs
  kPending,   // the filter calls exchange.resume(verdict) exactly once, later
};

// Made in the Exchange's arena; destroyed with it, whatever is pending.
class FilterRun {
 public:
  virtual ~FilterRun() = default;
  virtual Verdict on_request(Exchange&) { return Verdict::kContinue; }
  // Also sees answers made by filters, handlers and error pages. May change the head.
  virtual void on_response(Exchange&, ResponseHead&) {}
  // Return the argument, or a source (in the arena) that pulls from it. Null means "no body" and may stay null.
  virtual BodySource* wrap_request_body(Exchange&, BodySource* body) { return body; }
  virtual BodySource* wrap_response_body(Exchange&, ResponseHead&, BodySource* body) { return body; }
};

class Filter {
 public:
  virtual ~Filter() = default;
  // Null: nothing to do for this request.
  virtual FilterRun* start(Exchange& exchange, WorkerContext& worker) const = 0;
};

// Looks at an answer before it goes out and may put another one in its place (error pages).
class ResponseInterceptor {
 public:
  // Not asked again for the answer that it makes. True: `body` (null: none) is its own now, and exchange.respond() is
  // called once more, later.
  virtual bool intercept(Exchange& exchange, BodySource* body) = 0;

  ResponseInterceptor* next_interceptor = nullptr;  // the Exchange's own

 protected:
  ~ResponseInterceptor() = default;
};

// Changes the head that goes upstream, behind everything else (forwarded fields included): what the user sets stays.
class HeadChange {
 public:
  virtual ~HeadChange() = default;
  virtual void change(Exchange& exchange, HeaderMap& outgoing) const = 0;
};

}  // namespace headgate::http
