// parser.h -- heads of HTTP/1 requests and responses: incremental, zero-copy, strict.
//
// Feed all bytes of the head so far, from its first byte, each time more have come. The block may have moved between
// two calls (its bytes being the same); after kDone the views of the head point into the block of the last call, which
// must then stay. Nothing is allocated but the list of fields, normalized paths and lower-cased hosts, in the arena.
// Refused: bare LF and CR, NUL and other controls, folded lines, spaces before a colon, two Hosts, HTTP/0.9, fragments,
// bytes above ASCII in the target, lower-case methods. One empty line before a request is skipped (RFC 9112 2.2).
// Spec: RFC 9112 2 to 6.   Thread: worker.   Cost: O(bytes) however they are cut.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/base/error.h"
#include "dataplane/http/exchange_sink.h"
#include "dataplane/http/framing.h"
#include "dataplane/http/message.h"
#include "dataplane/http1/field_lines.h"

namespace headgate::http1 {

using http::BodyFraming;

class RequestParser {
 public:
  static constexpr size_t kMaxMethod = 32;

  // kDone and kError stay until reset(). `head` is the same object at every call for one request.
  // Errors (origin downstream; http::answer_for() gives the status, and all close the connection): kMalformed 400,
  // kTargetTooLong 414, kExpectation 417, kHeadTooLarge 431, kUnsupported 501, kBadVersion 505.
  Outcome parse(std::string_view bytes, const http::HttpLimits& limits, http::RequestHead& head);
  void reset() { *this = RequestParser(); }

  // Was anything of a request seen, beyond an empty line? Tells a time-out that deserves a 408 from an idle connection.
  [[nodiscard]] bool started() const { return known_size_ > lead_; }

  // After kDone:
  [[nodiscard]] size_t head_size() const { return fields_.end(); }  // bytes of the head; the rest is body
  [[nodiscard]] bool keep_alive() const { return keep_alive_; }     // what the client wants and its version allows
  [[nodiscard]] BodyFraming framing() const { return framing_; }
  // After kError:
  [[nodiscard]] const Error& error() const { return error_; }

 private:
  enum class State : uint8_t { kStartLine, kFields, kDone, kError };

  Outcome parse_start_line(std::string_view bytes, const http::HttpLimits& limits, http::RequestHead& head);
  Outcome judge_start_line(std::string_view bytes, size_t window, bool window_full);
  Outcome finish(const char* data, http::RequestHead& head);
  Result<void> finish_host(http::RequestHead& head);
  Outcome fail(const Error& error);
  Outcome fail(Errc code, const char* detail);

  State state_ = State::kStartLine;
  bool keep_alive_ = false;
  uint8_t lead_ = 0;         // bytes of the skipped empty line
  uint8_t method_size_ = 0;  // at lead_
  uint32_t target_ = 0;      // offset
  uint32_t target_size_ = 0;
  size_t scanned_ = 0;     // of the start line: no LF before
  size_t known_size_ = 0;  // bytes at the last call
  const char* known_at_ = nullptr;
  FieldLines fields_;
  http::LengthFields lengths_;
  BodyFraming framing_;
  Error error_;
};

class ResponseParser {
 public:
  // What is being answered decides whether a body follows.
  explicit ResponseParser(http::Method request_method = http::Method::kGet) : method_(request_method) {}

  // As RequestParser; errors have origin upstream (502). Interim responses (1xx) are heads of their own: after kDone
  // with such a status, reset() and go on behind head_size().
  Outcome parse(std::string_view bytes, const http::HttpLimits& limits, http::ResponseHead& head);
  void reset(http::Method request_method) { *this = ResponseParser(request_method); }

  [[nodiscard]] bool started() const { return known_size_ > 0; }
  [[nodiscard]] size_t head_size() const { return fields_.end(); }
  // May the connection carry another request after this response (its body read to the end)?
  [[nodiscard]] bool keep_alive() const { return keep_alive_; }
  [[nodiscard]] BodyFraming framing() const { return framing_; }
  [[nodiscard]] http::Version version() const { return version_; }
  [[nodiscard]] const Error& error() const { return error_; }

 private:
  enum class State : uint8_t { kStartLine, kFields, kDone, kError };

  Outcome parse_start_line(std::string_view bytes, http::ResponseHead& head);
  Outcome finish(const char* data, http::ResponseHead& head);
  Outcome fail(const Error& error);
  Outcome fail(Errc code, const char* detail);

  http::Method method_;
  State state_ = State::kStartLine;
  bool keep_alive_ = false;
  http::Version version_ = http::Version::kHttp11;
  uint32_t reason_ = 0;  // offset
  uint32_t reason_size_ = 0;
  size_t scanned_ = 0;
  size_t known_size_ = 0;
  const char* known_at_ = nullptr;
  FieldLines fields_;
  http::LengthFields lengths_;
  BodyFraming framing_;
  Error error_;
};

}  // namespace headgate::http1
