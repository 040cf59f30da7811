// response_change.h -- changes the head that came back from one backend of several.
// Thread: const and shared by all workers.
#pragma once

namespace headgate::http {

class Exchange;
struct ResponseHead;

class ResponseChange {
 public:
  virtual ~ResponseChange() = default;
  // Before the filters of the route see it.
  virtual void change(Exchange& exchange, ResponseHead& head) const = 0;
};

}  // namespace headgate::http
