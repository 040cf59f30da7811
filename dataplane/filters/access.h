// access.h -- may this request pass? One check after the other, all of them or (satisfy: any) one of them.
// Phase: ACCESS.
//
//   kAll  the first denial is the answer
//   kAny  the first check that grants ends the search; when none does, a 401 is the answer rather than another denial,
//         since a client can do something about it
//
// A 401, whoever says it, becomes a redirect where a check knows a place to sign in (external_auth.h).
// Thread: checks are const and shared by all workers; an AccessRun belongs to one Exchange.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/http/exchange.h"

namespace headgate::filters {

enum class Access : uint8_t {
  kGranted,
  kDenied,
  kPending,  // AccessSink::on_access() is called exactly once, later
};

class AccessSink {
 public:
  virtual void on_access(Access access) = 0;  // never kPending

 protected:
  ~AccessSink() = default;
};

// One check of one request; in the Exchange's arena.
class AccessRun {
 public:
  virtual ~AccessRun() = default;
  virtual Access check(http::Exchange& exchange, AccessSink& later) = 0;
  // After kDenied: the status of the denial, and the answer itself.
  [[nodiscard]] virtual uint16_t denial() const { return 403; }
  virtual void deny(http::Exchange& exchange) = 0;
  // Whatever the answer is.
  virtual void on_response(http::Exchange&, http::ResponseHead&) {}
};

class AccessCheck {
 public:
  virtual ~AccessCheck() = default;
  virtual AccessRun* start(http::Exchange& exchange) const = 0;
  // Answers with a redirect to where the client can sign in. False: no such place is known.
  virtual bool sign_in(http::Exchange&) const { return false; }
};

class AccessFilter final : public http::Filter {
 public:
  enum class Need : uint8_t { kAll, kAny };
  AccessFilter(Need need, std::vector<std::shared_ptr<const AccessCheck>> checks)
      : need_(need), checks_(std::move(checks)) {}
  http::FilterRun* start(http::Exchange& exchange, WorkerContext& worker) const override;

 private:
  class AccessFilterRun;

  const Need need_;
  const std::vector<std::shared_ptr<const AccessCheck>> checks_;
};

}  // namespace headgate::filters
