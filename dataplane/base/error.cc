#include "dataplane/base/error.h"

#include <cerrno>
#include <cstring>

namespace headgate {

Error system_error(const char* detail) { return system_error(errno, detail); }

Error system_error(int sys_errno, const char* detail) {
  Error error{.code = Errc::kSystem, .sys_errno = sys_errno, .detail = detail};
  switch (sys_errno) {
    case ECONNREFUSED:
    case ENOENT:  // connect() to a Unix socket that is not there
      error.code = Errc::kRefused;
      break;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
      error.code = Errc::kReset;
      break;
    case ETIMEDOUT:
      error.code = Errc::kTimeout;
      break;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EADDRNOTAVAIL:
      error.code = Errc::kUnreachable;
      break;
    default:
      break;
  }
  return error;
}

std::string_view errc_name(Errc code) {
  switch (code) {
    case Errc::kSystem: return "system";
    case Errc::kClosed: return "closed";
    case Errc::kReset: return "reset";
    case Errc::kTimeout: return "timeout";
    case Errc::kRefused: return "refused";
    case Errc::kUnreachable: return "unreachable";
    case Errc::kMalformed: return "malformed";
    case Errc::kTooLarge: return "too_large";
    case Errc::kHeadTooLarge: return "head_too_large";
    case Errc::kTargetTooLong: return "target_too_long";
    case Errc::kBodyTooLarge: return "body_too_large";
    case Errc::kLengthRequired: return "length_required";
    case Errc::kUnsupported: return "unsupported";
    case Errc::kBadVersion: return "bad_version";
    case Errc::kExpectation: return "expectation";
    case Errc::kNotFound: return "not_found";
    case Errc::kDenied: return "denied";
    case Errc::kTls: return "tls";
    case Errc::kOverloaded: return "overloaded";
    case Errc::kCanceled: return "canceled";
    case Errc::kExists: return "exists";
    case Errc::kInvalid: return "invalid";
    case Errc::kInternal: return "internal";
  }
  return "unknown";
}

std::string to_string(const Error& error) {
  std::string text(errc_name(error.code));
  if (error.detail[0] != '\0') text.append(": ").append(error.detail);
  if (error.sys_errno != 0) text.append(": ").append(std::strerror(error.sys_errno));
  if (error.origin == Origin::kUpstream) text.append(" (upstream)");
  if (error.origin == Origin::kDownstream) text.append(" (downstream)");
  return text;
}

}  // namespace headgate
