// error.h -- what went wrong, who caused it, and whether another try could help.
// Thread: any (plain value, 16 bytes, never allocates).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace headgate {

// Who is to blame; decides between 4xx, 5xx and silence (see http/error_response.h).
enum class Origin : uint8_t { kLocal, kDownstream, kUpstream };

// May the same request be tried again elsewhere?
enum class Retry : uint8_t { kNo, kIfConnectionWasReused, kYes };

enum class Errc : uint8_t {
  kSystem,          // a system call failed; see sys_errno
  kClosed,          // the other side closed early
  kReset,           // the other side reset
  kTimeout,         // a deadline of ours passed
  kRefused,         // connection refused, or no endpoint to connect to
  kUnreachable,     // no route, no address
  kMalformed,       // bytes that the protocol does not allow
  kTooLarge,        // a limit of ours was exceeded
  kHeadTooLarge,    // header block over the limit: 431
  kTargetTooLong,   // request target over the limit: 414
  kBodyTooLarge,    // body over the limit: 413
  kLengthRequired,  // a body of unknown length where one is needed: 411
  kUnsupported,     // valid but not built: 501
  kBadVersion,      // HTTP version we do not speak: 505
  kExpectation,     // Expect other than 100-continue: 417
  kNotFound,
  kDenied,
  kTls,         // handshake or record failure; detail names it
  kOverloaded,  // we shed load: 503
  kCanceled,    // we gave up because nobody waits for it any more
  kExists,
  kInvalid,  // an argument or a configuration value
  kInternal,
};

struct Error {
  Errc code = Errc::kInternal;
  Origin origin = Origin::kLocal;
  Retry retry = Retry::kNo;
  int sys_errno = 0;
  const char* detail = "";  // static string, never null

  [[nodiscard]] Error from(Origin who) const {
    Error copy = *this;
    copy.origin = who;
    return copy;
  }
  [[nodiscard]] Error with_retry(Retry again) const {
    Error copy = *this;
    copy.retry = again;
    return copy;
  }
};

// Error of the system call that just failed; `detail` names what we were doing.
Error system_error(const char* detail);
Error system_error(int sys_errno, const char* detail);

std::string_view errc_name(Errc code);

// "timeout: connect (upstream)"; for logs, never for the wire.
std::string to_string(const Error& error);

}  // namespace headgate
