#include "dataplane/http/error_response.h"

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "dataplane/http/exchange.h"
#include "dataplane/http/grpc.h"
#include "dataplane/http/status.h"

namespace headgate::http {

namespace {

constexpr bool kClose = true;
constexpr bool kKeep = false;

constexpr ErrorAnswer answer(uint16_t status, bool close, GrpcStatus grpc) {
  return {status, close, static_cast<uint8_t>(grpc)};
}

// After a request that could not be framed nothing on the connection can be trusted; when it was only slow or large,
// its rest is still to come.
ErrorAnswer downstream_answer(Errc code) {
  switch (code) {
    case Errc::kMalformed:
    case Errc::kInvalid: return answer(400, kClose, GrpcStatus::kInternal);
    case Errc::kTimeout: return answer(408, kClose, GrpcStatus::kDeadlineExceeded);
    case Errc::kLengthRequired: return answer(411, kClose, GrpcStatus::kInternal);
    case Errc::kTooLarge:
    case Errc::kBodyTooLarge: return answer(413, kClose, GrpcStatus::kResourceExhausted);
    case Errc::kTargetTooLong: return answer(414, kClose, GrpcStatus::kResourceExhausted);
    case Errc::kExpectation: return answer(417, kClose, GrpcStatus::kInternal);
    case Errc::kHeadTooLarge: return answer(431, kClose, GrpcStatus::kResourceExhausted);
    case Errc::kUnsupported: return answer(501, kClose, GrpcStatus::kUnimplemented);
    case Errc::kBadVersion: return answer(505, kClose, GrpcStatus::kInternal);
    case Errc::kDenied: return answer(403, kKeep, GrpcStatus::kPermissionDenied);
    case Errc::kNotFound: return answer(404, kKeep, GrpcStatus::kUnimplemented);
    case Errc::kOverloaded: return answer(503, kClose, GrpcStatus::kUnavailable);
    case Errc::kTls: return answer(400, kClose, GrpcStatus::kInternal);
    // The client has left: nobody reads the answer, but the log shows why there was none.
    case Errc::kClosed:
    case Errc::kReset:
    case Errc::kCanceled:
    case Errc::kSystem:
    case Errc::kRefused:
    case Errc::kUnreachable: return answer(499, kClose, GrpcStatus::kCancelled);
    case Errc::kExists:
    case Errc::kInternal: return answer(500, kClose, GrpcStatus::kInternal);
  }
  return answer(500, kClose, GrpcStatus::kInternal);
}

ErrorAnswer upstream_answer(Errc code) {
  switch (code) {
    case Errc::kTimeout: return answer(504, kKeep, GrpcStatus::kDeadlineExceeded);
    case Errc::kOverloaded: return answer(503, kKeep, GrpcStatus::kUnavailable);
    case Errc::kSystem:
    case Errc::kClosed:
    case Errc::kReset:
    case Errc::kRefused:
    case Errc::kUnreachable:
    case Errc::kTls:
    case Errc::kCanceled: return answer(502, kKeep, GrpcStatus::kUnavailable);
    case Errc::kMalformed:
    case Errc::kTooLarge:
    case Errc::kHeadTooLarge:
    case Errc::kTargetTooLong:
    case Errc::kBodyTooLarge:
    case Errc::kLengthRequired:
    case Errc::kUnsupported:
    case Errc::kBadVersion:
    case Errc::kExpectation:
    case Errc::kNotFound:
    case Errc::kDenied:
    case Errc::kExists:
    case Errc::kInvalid:
    case Errc::kInternal: return answer(502, kKeep, GrpcStatus::kInternal);
  }
  return answer(502, kKeep, GrpcStatus::kInternal);
}

ErrorAnswer local_answer(Errc code) {
  switch (code) {
    case Errc::kNotFound: return answer(404, kKeep, GrpcStatus::kUnimplemented);
    case Errc::kDenied: return answer(403, kKeep, GrpcStatus::kPermissionDenied);
    case Errc::kBodyTooLarge: return answer(413, kClose, GrpcStatus::kResourceExhausted);
    case Errc::kUnsupported: return answer(501, kKeep, GrpcStatus::kUnimplemented);
    // No endpoint to ask, no room to ask it, or we are on the way out.
    case Errc::kRefused:
    case Errc::kUnreachable:
    case Errc::kOverloaded:
    case Errc::kCanceled: return answer(503, kKeep, GrpcStatus::kUnavailable);
    case Errc::kTimeout: return answer(504, kKeep, GrpcStatus::kDeadlineExceeded);
    case Errc::kSystem:
    case Errc::kClosed:
    case Errc::kReset:
    case Errc::kMalformed:
    case Errc::kTooLarge:
    case Errc::kHeadTooLarge:
    case Errc::kTargetTooLong:
    case Errc::kLengthRequired:
    case Errc::kBadVersion:
    case Errc::kExpectation:
    case Errc::kTls:
    case Errc::kExists:
    case Errc::kInvalid:
    case Errc::kInternal: return answer(500, kKeep, GrpcStatus::kInternal);
  }
  return answer(500, kKeep, GrpcStatus::kInternal);
}

// Browsers list text/html; programs that take anything get plain text.
bool wants_html(const HeaderMap& headers) {
  for (const Field& field : headers.fields()) {
    if (field.id == FieldId::kAccept && field.value.find("text/html") != std::string_view::npos) return true;
  }
  return false;
}

void write_short_answer(Exchange& exchange, uint16_t status, uint8_t grpc_code, uint32_t retry_after_s) {
  ResponseHead& head = exchange.response();
  // Whatever a handler had prepared described another answer.
  head.headers.clear();
  head.reason = {};
  head.content_length.reset();
  const std::string_view phrase = reason_phrase(status);
  if (status >= 400 && is_grpc(exchange.request().headers)) {
    write_grpc_error(head, grpc_code, phrase);
    exchange.respond(nullptr);
    return;
  }
  Arena& arena = exchange.arena();
  const char digits[] = {static_cast<char>('0' + status / 100 % 10), static_cast<char>('0' + status / 10 % 10),
                         static_cast<char>('0' + status % 10)};
  const std::string_view code(digits, sizeof(digits));
  if (retry_after_s != 0) {
    char seconds[20];
    const std::string_view text(seconds, static_cast<size_t>(write_decimal(seconds, retry_after_s) - seconds));
    head.headers.add("Retry-After", arena.copy(text));
  }
  if (status >= 400) head.headers.add(FieldId::kCacheControl, "no-store");
  if (has_no_content(status)) {
    head.status = status;
    exchange.respond(nullptr);
  } else if (wants_html(exchange.request().headers)) {
    const std::string_view body =
        arena.concat("<!doctype html>\n<title>", code, " ", phrase, "</title>\n<h1>", code, " ", phrase, "</h1>\n");
    exchange.respond_text(status, "text/html; charset=utf-8", body);
  } else {
    exchange.respond_text(status, "text/plain; charset=utf-8", arena.concat(code, " ", phrase, "\n"));
  }
}

}  // namespace

ErrorAnswer answer_for(const Error& error) {
  switch (error.origin) {
    case Origin::kDownstream: return downstream_answer(error.code);
    case Origin::kUpstream: return upstream_answer(error.code);
    case Origin::kLocal: return local_answer(error.code);
  }
  return local_answer(error.code);
}

void write_error_response(Exchange& exchange, const Error& error) {
  const ErrorAnswer what = answer_for(error);
  // When an upstream will have room again is not ours to say.
  write_short_answer(exchange, what.status, what.grpc_code, what.status == 503 && error.origin == Origin::kLocal ? 1 : 0);
}

void write_status_response(Exchange& exchange, uint16_t status, uint32_t retry_after_s) {
  if (retry_after_s == 0 && status == 503) retry_after_s = 1;
  write_short_answer(exchange, status, static_cast<uint8_t>(grpc_status_of_http(status)), retry_after_s);
}

}  // namespace headgate::http
