#include "dataplane/http1/parser.h"

#include <algorithm>
#include <cstring>

#include "dataplane/base/text.h"
#include "dataplane/http/status.h"
#include "dataplane/http/upgrade.h"
#include "dataplane/http/uri.h"
#include "dataplane/http1/scan.h"

namespace headgate::http1 {

using http::FieldId;
using http::Method;
using http::Version;

namespace {

// "HTTP/1.1" CR LF behind the target, and the spaces around that.
constexpr size_t kStartLineRest = 12;

constexpr std::string_view kVersionPrefix = "HTTP/1.";

size_t find_line_feed(std::string_view bytes, size_t from) {
  return from >= bytes.size() ? std::string_view::npos : bytes.find('\n', from);
}

bool has_version_form(std::string_view text) {
  return text.size() == 8 && text.starts_with("HTTP/") && is_digit(text[5]) && text[6] == '.' && is_digit(text[7]);
}

// The usual value, compared as two words: setting 0x20 folds the case, and no control byte is left in a value.
bool is_keep_alive(std::string_view value) {
  if (value.size() != 10) return false;
  uint64_t first = 0;
  uint16_t last = 0;
  std::memcpy(&first, value.data(), 8);
  std::memcpy(&last, value.data() + 8, 2);
  uint64_t wanted_first = 0;
  uint16_t wanted_last = 0;
  std::memcpy(&wanted_first, "keep-ali", 8);
  std::memcpy(&wanted_last, "ve", 2);
  return (first | 0x2020202020202020U) == wanted_first && (last | 0x2020U) == wanted_last;
}

// What Connection says of it; `keep_alive` when it says nothing.
bool asked_to_keep_alive(const http::HeaderMap& headers, bool keep_alive) {
  for (const http::Field& field : headers.fields()) {
    if (field.id != FieldId::kConnection) continue;
    std::string_view rest = field.value;
    if (is_keep_alive(rest)) {
      keep_alive = true;
      continue;
    }
    while (const auto token = next_list_element(rest)) {
      if (equals_ignore_case(*token, "close")) return false;
      if (equals_ignore_case(*token, "keep-alive")) keep_alive = true;
    }
  }
  return keep_alive;
}

// RFC 9112 9.3: persistent unless "close" is asked for, or in HTTP/1.0 unless "keep-alive" is.
bool wants_keep_alive(const http::HeaderMap& headers, Version version) {
  const bool usual = version != Version::kHttp10;
  return headers.has(FieldId::kConnection) ? asked_to_keep_alive(headers, usual) : usual;
}

}  // namespace

// -- requests -----------------------------------------------------------------------------------------------------

Outcome RequestParser::fail(const Error& error) {
  state_ = State::kError;
  error_ = error.from(Origin::kDownstream);
  return Outcome::kError;
}
Outcome RequestParser::fail(Errc code, const char* detail) { return fail(Error{.code = code, .detail = detail}); }

Outcome RequestParser::parse(std::string_view bytes, const http::HttpLimits& limits, http::RequestHead& head) {
  if (state_ == State::kDone) return Outcome::kDone;
  if (state_ == State::kError) return Outcome::kError;
  if (known_at_ != nullptr && known_at_ != bytes.data()) {
    FieldLines::rebase(head.headers, known_at_, known_size_, bytes.data());
  }
  known_at_ = bytes.data();
  known_size_ = bytes.size();
  const std::string_view visible = bytes.substr(0, limits.header_bytes);
  if (state_ == State::kStartLine) {
    const Outcome outcome = parse_start_line(visible, limits, head);
    if (outcome != Outcome::kDone) return outcome;
    state_ = State::kFields;
  }
  const FieldRules rules{.max_fields = limits.header_fields,
                         .drop_underscore_names = !limits.allow_underscore_names,
                         .origin = Origin::kDownstream};
  switch (fields_.parse(visible, rules, head.headers, lengths_)) {
    case Outcome::kDone: return finish(bytes.data(), head);
    case Outcome::kError: return fail(fields_.error());
    case Outcome::kNeedMore: break;
  }
  if (visible.size() >= limits.header_bytes) return fail(Errc::kHeadTooLarge, "the head is over its limit");
  return Outcome::kNeedMore;
}

Outcome RequestParser::parse_start_line(std::string_view bytes, const http::HttpLimits& limits,
                                        http::RequestHead& head) {
  // RFC 9112 2.2: at least one empty line before the request line should be ignored. We ignore just one.
  if (lead_ == 0 && bytes.starts_with("\r\n")) lead_ = 2;
  // The line must end within its limits; what lies beyond is not looked at, so that every cut gives one outcome.
  const size_t limit = std::min(limits.header_bytes, lead_ + kMaxMethod + limits.target_bytes + kStartLineRest);
  const std::string_view window = bytes.substr(0, limit);
  const bool window_full = window.size() == limit;
  const char* const begin = window.data();
  const char* const end = begin + window.size();
  if (scanned_ > lead_ && find_line_feed(window, scanned_) == std::string_view::npos) {
    scanned_ = window.size();
    return window_full ? fail(Errc::kTargetTooLong, "the request line is over its limit") : Outcome::kNeedMore;
  }

  const char* at = begin + std::min<size_t>(lead_, window.size());
  const char* const method = at;
  while (at != end && has_class(*at, scan_tables::kMethodChar)) ++at;
  const auto method_size = static_cast<size_t>(at - method);
  if (at == end || *at != ' ' || method_size == 0 || method_size > kMaxMethod) {
    return judge_start_line(bytes, window.size(), window_full);
  }
  const char* const target = ++at;
  at = find_target_end(at, end, begin);
  const auto target_size = static_cast<size_t>(at - target);
  if (end - at < 11 || *at != ' ' || target_size == 0) return judge_start_line(bytes, window.size(), window_full);
  ++at;
  if (std::memcmp(at, kVersionPrefix.data(), kVersionPrefix.size()) != 0 || (at[7] != '1' && at[7] != '0') ||
      at[8] != '\r' || at[9] != '\n') {
    return judge_start_line(bytes, window.size(), window_full);
  }
  if (target_size > limits.target_bytes) return fail(Errc::kTargetTooLong, "the request target is over its limit");
  method_size_ = static_cast<uint8_t>(method_size);
  target_ = static_cast<uint32_t>(target - begin);
  target_size_ = static_cast<uint32_t>(target_size);
  head.version = at[7] == '1' ? Version::kHttp11 : Version::kHttp10;
  fields_.start_at(static_cast<size_t>(at + 10 - begin));
  return Outcome::kDone;
}

// The line did not read as one of ours: is it not complete, or what is wrong with it?
Outcome RequestParser::judge_start_line(std::string_view bytes, size_t window, bool window_full) {
  const size_t feed = find_line_feed(bytes.substr(0, window), lead_);
  if (feed == std::string_view::npos) {
    scanned_ = window;
    return window_full ? fail(Errc::kTargetTooLong, "the request line is over its limit") : Outcome::kNeedMore;
  }
  std::string_view line = bytes.substr(lead_, feed - lead_);
  if (!line.ends_with('\r')) return fail(Errc::kMalformed, "the request line ends without CR");
  line.remove_suffix(1);
  const size_t space = line.find(' ');
  const std::string_view method = line.substr(0, space);
  if (method.size() > kMaxMethod) return fail(Errc::kMalformed, "the method is too long");
  for (const char c : method) {
    if (!has_class(c, scan_tables::kMethodChar)) return fail(Errc::kMalformed, "the method is not a token");
  }
  if (method.empty()) return fail(Errc::kMalformed, "an empty method");
  const std::string_view rest = space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
  const char* const target_end = find_target_end(rest.data(), rest.data() + rest.size(), rest.data());
  const std::string_view target = rest.substr(0, static_cast<size_t>(target_end - rest.data()));
  if (target.empty()) return fail(Errc::kMalformed, "an empty request target");
  if (target.size() == rest.size()) {
    return target.front() == '/' ? fail(Errc::kBadVersion, "HTTP/0.9") : fail(Errc::kMalformed, "no HTTP version");
  }
  if (*target_end != ' ') return fail(Errc::kMalformed, "a byte that no request target has");
  if (has_version_form(rest.substr(target.size() + 1))) return fail(Errc::kBadVersion, "HTTP version");
  return fail(Errc::kMalformed, "the request line is malformed");
}

Result<void> RequestParser::finish_host(http::RequestHead& head) {
  const Error malformed{.code = Errc::kMalformed, .detail = "Host is missing, empty, or there more than once"};
  const http::Field* host = head.headers.find(FieldId::kHost);
  if (host == nullptr) {
    if (head.version != Version::kHttp10) return malformed;  // RFC 9112 3.2
  } else {
    if (head.headers.has_several(FieldId::kHost)) return malformed;
    if (head.authority.empty()) {
      if (host->value.empty()) return malformed;
      head.authority = host->value;
    } else {
      // RFC 9112 3.2.2: the target wins, and Host is made to agree with it.
      head.headers.set(FieldId::kHost, head.authority);
    }
  }
  if (head.authority.empty()) return {};
  const auto name = http::parse_host(head.authority, head.headers.arena());
  if (!name) return name.error();
  head.host = *name;
  return {};
}

Outcome RequestParser::finish(const char* data, http::RequestHead& head) {
  head.method_text = {data + lead_, method_size_};
  head.method = http::parse_method(head.method_text);
  if (const auto target = http::parse_target({data + target_, target_size_}, head); !target) {
    return fail(target.error());
  }
  if (const auto host = finish_host(head); !host) return fail(host.error());
  const auto framing = http::request_framing(lengths_, head.version, head.method);
  if (!framing) return fail(framing.error());
  framing_ = *framing;
  head.content_length = lengths_.content_length();
  keep_alive_ = wants_keep_alive(head.headers, head.version);
  if (head.headers.has(FieldId::kUpgrade)) {
    head.protocol = http::requested_upgrade(head.headers, head.version);
    // Two readings of what follows the head are one too many.
    if (!head.protocol.empty() && framing_.kind != BodyFraming::Kind::kNone) {
      return fail(Errc::kMalformed, "Upgrade with a body");
    }
  }
  if (head.headers.has(FieldId::kExpect)) {
    if (!equals_ignore_case(head.headers.combined(FieldId::kExpect), "100-continue")) {
      return fail(Errc::kExpectation, "Expect");
    }
    // RFC 9110 10.1.1: ignored from HTTP/1.0; without content nobody waits.
    head.expect_continue = head.version != Version::kHttp10 && framing_.kind != BodyFraming::Kind::kNone;
  }
  state_ = State::kDone;
  return Outcome::kDone;
}

// -- responses ----------------------------------------------------------------------------------------------------

Outcome ResponseParser::fail(const Error& error) {
  state_ = State::kError;
  error_ = error.from(Origin::kUpstream);
  return Outcome::kError;
}
Outcome ResponseParser::fail(Errc code, const char* detail) { return fail(Error{.code = code, .detail = detail}); }

Outcome ResponseParser::parse(std::string_view bytes, const http::HttpLimits& limits, http::ResponseHead& head) {
  if (state_ == State::kDone) return Outcome::kDone;
  if (state_ == State::kError) return Outcome::kError;
  if (known_at_ != nullptr && known_at_ != bytes.data()) {
    FieldLines::rebase(head.headers, known_at_, known_size_, bytes.data());
  }
  known_at_ = bytes.data();
  known_size_ = bytes.size();
  const std::string_view visible = bytes.substr(0, limits.header_bytes);
  Outcome outcome = Outcome::kDone;
  if (state_ == State::kStartLine) {
    outcome = parse_start_line(visible, head);
    if (outcome == Outcome::kError) return outcome;
    if (outcome == Outcome::kDone) state_ = State::kFields;
  }
  if (outcome == Outcome::kDone) {
    const FieldRules rules{
        .max_fields = limits.header_fields, .drop_underscore_names = false, .origin = Origin::kUpstream};
    outcome = fields_.parse(visible, rules, head.headers, lengths_);
    if (outcome == Outcome::kDone) return finish(bytes.data(), head);
    if (outcome == Outcome::kError) return fail(fields_.error());
  }
  if (visible.size() >= limits.header_bytes) return fail(Errc::kHeadTooLarge, "the response head is over its limit");
  return Outcome::kNeedMore;
}

// status-line = HTTP-version SP 3DIGIT [ SP reason-phrase ] CRLF; the second space is missing from many servers.
Outcome ResponseParser::parse_start_line(std::string_view bytes, http::ResponseHead& head) {
  const size_t feed = find_line_feed(bytes, scanned_);
  if (feed == std::string_view::npos) {
    scanned_ = bytes.size();
    return Outcome::kNeedMore;
  }
  const std::string_view line = bytes.substr(0, feed);
  if (!line.starts_with(kVersionPrefix) || line.size() < 13 || line[8] != ' ') {
    return fail(Errc::kMalformed, "the status line is malformed");
  }
  if (line.back() != '\r') return fail(Errc::kMalformed, "the status line ends without CR");
  if (line[7] != '0' && line[7] != '1') return fail(Errc::kBadVersion, "HTTP version of the response");
  if (line[9] < '1' || line[9] > '9' || !is_digit(line[10]) || !is_digit(line[11])) {
    return fail(Errc::kMalformed, "the status code is not a number from 100 to 999");
  }
  if (line[12] != '\r' && line[12] != ' ') return fail(Errc::kMalformed, "the status line is malformed");
  version_ = line[7] == '1' ? Version::kHttp11 : Version::kHttp10;
  head.status = static_cast<uint16_t>((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
  reason_ = line[12] == ' ' ? 13 : 12;
  reason_size_ = static_cast<uint32_t>(line.size() - 1 - reason_);
  const char* const reason = line.data() + reason_;
  if (find_control(reason, reason + reason_size_, bytes.data()) != reason + reason_size_) {
    return fail(Errc::kMalformed, "a control character in the reason phrase");
  }
  fields_.start_at(feed + 1);
  return Outcome::kDone;
}

Outcome ResponseParser::finish(const char* data, http::ResponseHead& head) {
  head.reason = {data + reason_, reason_size_};
  // RFC 9110 15.2: HTTP/1.0 has no interim responses, and 101 belongs to those who asked.
  if (http::is_informational(head.status) && version_ == Version::kHttp10) {
    return fail(Errc::kMalformed, "an interim response in HTTP/1.0");
  }
  const auto framing = http::response_framing(lengths_, version_, method_, head.status);
  if (!framing) return fail(framing.error());
  framing_ = *framing;
  head.content_length = lengths_.content_length();
  keep_alive_ = framing_.kind != BodyFraming::Kind::kUntilClose && wants_keep_alive(head.headers, version_);
  // A 204 must not have these (RFC 9110 8.6, RFC 9112 6.1); a server that sends them may send a body as well.
  if (head.status == 204) {
    if (lengths_.has_transfer_encoding() || head.content_length.value_or(0) != 0) keep_alive_ = false;
    head.content_length.reset();
  }
  state_ = State::kDone;
  return Outcome::kDone;
}

}  // namespace headgate::http1
