#include "dataplane/http2/request_fields.h"

#include <algorithm>
#include <cstring>

#include "dataplane/base/text.h"
#include "dataplane/http/hop_by_hop.h"
#include "dataplane/http/upgrade.h"
#include "dataplane/http/uri.h"

namespace headgate::http2 {

using http::FieldId;

namespace {

// RFC 9113 6.5.2: what an entry costs beside its text.
constexpr size_t kFieldOverhead = 32;
// A block this many times over its limit is no accident. Between the two the client gets its 431.
constexpr size_t kFarOver = 4;

}  // namespace

bool RequestFields::count(std::string_view name, std::string_view value, const http::HttpLimits& limits) {
  bytes_ += name.size() + value.size() + kFieldOverhead;
  if (bytes_ > limits.header_bytes) too_large_ = true;
  return bytes_ <= std::max<size_t>(kFarOver * limits.header_bytes, size_t{64} * 1024);
}

bool RequestFields::add(std::string_view name, std::string_view value, const http::HttpLimits& limits,
                        http::RequestHead& head) {
  if (!count(name, value, limits)) return false;
  if (too_large_ || malformed_) return true;
  if (name.starts_with(':')) {
    add_pseudo(name, value, limits, head);
  } else {
    add_field(name, value, limits, head);
  }
  return true;
}

void RequestFields::add_field(std::string_view name, std::string_view value, const http::HttpLimits& limits,
                              http::RequestHead& head) {
  const FieldId id = http::field_id(name);
  if (!rules_.allow(id, name, value)) {
    malformed_ = true;
    return;
  }
  Arena& arena = head.headers.arena();
  switch (id) {
    case FieldId::kContentLength: lengths_.add_content_length(value); return;
    case FieldId::kHost:
      bad_host_ |= !host_.empty() || value.empty();
      host_ = arena.copy(value);
      return;
    case FieldId::kCookie: add_crumb(value, arena); return;
    default: break;
  }
  if (++fields_ > limits.header_fields) {
    too_large_ = true;
  } else if (id != FieldId::kOther) {
    head.headers.add(id, arena.copy(value));
  } else if (limits.allow_underscore_names || name.find('_') == std::string_view::npos) {
    head.headers.add(id, arena.copy(name), arena.copy(value));
  }
}

void RequestFields::add_pseudo(std::string_view name, std::string_view value, const http::HttpLimits& limits,
                               http::RequestHead& head) {
  Arena& arena = head.headers.arena();
  switch (rules_.allow_pseudo(name, value)) {
    case PseudoField::kMethod:
      malformed_ |= !is_token(value);
      head.method = http::parse_method(value);
      head.method_text = arena.copy(value);
      break;
    case PseudoField::kPath:
      target_too_long_ = value.size() > limits.target_bytes;
      if (!target_too_long_) path_ = arena.copy(value);
      break;
    case PseudoField::kAuthority: head.authority = arena.copy(value); break;
    case PseudoField::kProtocol:
      malformed_ |= !is_token(value);
      head.protocol = arena.copy(value);
      break;
    case PseudoField::kScheme: malformed_ |= !is_scheme(value); break;
    case PseudoField::kStatus:
    case PseudoField::kNone: malformed_ = true; break;
  }
  // :scheme says how the client reached someone; `head.scheme` is how it reached us.
}

bool RequestFields::add_trailer(std::string_view name, std::string_view value, const http::HttpLimits& limits,
                                http::Trailers& trailers) {
  if (!count(name, value, limits) || too_large_ || ++fields_ > limits.header_fields) return false;
  const FieldId id = http::field_id(name);
  FieldRules rules(FieldRules::kTrailers);
  malformed_ |= !rules.allow(id, name, value);
  if (malformed_ || http::is_forbidden_trailer(id, name)) return true;
  Arena& arena = trailers.arena();
  trailers.add(id, arena.copy(name), arena.copy(value));
  return true;
}

// RFC 9113 8.2.3: clients may cut Cookie at "; " to index the parts; everyone behind us expects one field.
void RequestFields::add_crumb(std::string_view value, Arena& arena) {
  auto* crumb = arena.make<Crumb>();
  crumb->text = arena.copy(value);
  if (last_crumb_ == nullptr) {
    first_crumb_ = crumb;
  } else {
    last_crumb_->next = crumb;
    crumb_bytes_ += 2;
  }
  last_crumb_ = crumb;
  crumb_bytes_ += value.size();
}

void RequestFields::join_crumbs(http::HeaderMap& headers) {
  if (first_crumb_ == nullptr) return;
  ++fields_;
  if (first_crumb_->next == nullptr) {
    headers.add(FieldId::kCookie, first_crumb_->text);
    return;
  }
  char* const text = headers.arena().allocate_text(crumb_bytes_);
  char* at = text;
  for (const Crumb* crumb = first_crumb_; crumb != nullptr; crumb = crumb->next) {
    if (crumb != first_crumb_) {
      *at++ = ';';
      *at++ = ' ';
    }
    if (!crumb->text.empty()) std::memcpy(at, crumb->text.data(), crumb->text.size());
    at += crumb->text.size();
  }
  headers.add(FieldId::kCookie, {text, crumb_bytes_});
}

RequestFields::Outcome RequestFields::refuse(Errc code, const char* detail) {
  error_ = {.code = code, .origin = Origin::kDownstream, .detail = detail};
  return Outcome::kRefused;
}

RequestFields::Outcome RequestFields::malformed(const char* detail) {
  error_ = {.code = Errc::kMalformed, .origin = Origin::kDownstream, .detail = detail};
  return Outcome::kMalformed;
}

// RFC 9113 8.3.1, 8.5, RFC 8441 4.
bool RequestFields::is_whole(const http::RequestHead& head, bool has_body) const {
  const bool has_target = rules_.has(PseudoField::kScheme) && rules_.has(PseudoField::kPath);
  if (!rules_.has(PseudoField::kMethod)) return false;
  if (rules_.has(PseudoField::kProtocol)) return is_connect_ && has_target && rules_.has(PseudoField::kAuthority);
  if (is_connect_) return rules_.has(PseudoField::kAuthority) && !rules_.has(PseudoField::kScheme) && !rules_.has(PseudoField::kPath);
  if (!has_target) return false;
  if (!target_too_long_ && !path_.starts_with('/') && !(path_ == "*" && head.method == http::Method::kOptions)) return false;
  return has_body || lengths_.content_length().value_or(0) == 0;
}

RequestFields::Outcome RequestFields::finish_target(http::RequestHead& head) {
  if (is_connect_ && head.protocol.empty()) {
    path_ = head.authority;
  } else {
    // What would end or split a request line is never an honest mistake (T2).
    for (const char c : path_) {
      if (static_cast<uint8_t>(c) <= 0x20 || c == 0x7f || c == '#') return malformed("a byte that no :path has");
    }
  }
  // An extended CONNECT has the target of the GET that it stands for (RFC 8441 4).
  if (!head.protocol.empty()) {
    head.method = http::Method::kGet;
    head.method_text = "GET";
  }
  if (const auto target = http::parse_target(path_, head); !target) {
    error_ = target.error().from(Origin::kDownstream);
    return Outcome::kRefused;
  }
  if (head.authority.empty()) head.authority = host_;
  if (head.authority.empty() || bad_host_) return refuse(Errc::kMalformed, "no host, or Host more than once");
  const auto host = http::parse_host(head.authority, head.headers.arena());
  if (!host) {
    error_ = host.error().from(Origin::kDownstream);
    return Outcome::kRefused;
  }
  head.host = *host;
  // One Exchange whatever the version: handlers find the authority in Host as well. A differing Host is gone.
  head.headers.add(FieldId::kHost, head.authority);
  return Outcome::kOk;
}

RequestFields::Outcome RequestFields::finish(http::RequestHead& head, const http::HttpLimits& limits, bool has_body,
                                             Random& random) {
  head.version = http::Version::kHttp2;
  is_connect_ = head.method == http::Method::kConnect;
  if (malformed_) return malformed("a field that no request has");
  if (too_large_) return refuse(Errc::kHeadTooLarge, "the head is over its limit");
  if (!is_whole(head, has_body)) return malformed("pseudo-fields or a length that make no request");
  if (target_too_long_) return refuse(Errc::kTargetTooLong, "the request target is over its limit");
  if (const Outcome outcome = finish_target(head); outcome != Outcome::kOk) return outcome;
  join_crumbs(head.headers);
  if (fields_ > limits.header_fields) return refuse(Errc::kHeadTooLarge, "too many fields");
  if (lengths_.has_content_length() && !lengths_.content_length()) return malformed("Content-Length");
  head.content_length = lengths_.content_length();
  if (is_connect_ && head.content_length) return refuse(Errc::kMalformed, "CONNECT with a length");
  if (is_connect_ && !head.protocol.empty() && !has_body) return refuse(Errc::kMalformed, "a tunnel without a stream");
  if (limits.body_bytes != 0 && head.content_length.value_or(0) > limits.body_bytes) {
    return refuse(Errc::kBodyTooLarge, "Content-Length over the limit");
  }
  if (head.headers.has(FieldId::kExpect)) {
    if (!equals_ignore_case(head.headers.combined(FieldId::kExpect), "100-continue")) {
      return refuse(Errc::kExpectation, "Expect");
    }
    head.expect_continue = has_body && !is_connect_;
  }
  // Over HTTP/2 the handshake has no key (RFC 8441 5); who is behind us may speak HTTP/1.1 and needs one.
  if (http::is_websocket(head) && head.headers.get("Sec-WebSocket-Key").empty()) {
    std::array<uint8_t, 16> bytes{};
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.next());
    const auto key = http::websocket_key(bytes);
    head.headers.add("Sec-WebSocket-Key", head.headers.arena().copy({key.data(), key.size()}));
  }
  return Outcome::kOk;
}

}  // namespace headgate::http2
