#include "dataplane/http2/answer_fields.h"

#include <algorithm>
#include <optional>

#include "dataplane/base/number.h"
#include "dataplane/http/hop_by_hop.h"

namespace headgate::http2 {

using http::FieldId;

namespace {

// RFC 9113 6.5.2: what an entry costs beside its text.
constexpr size_t kFieldOverhead = 32;
// A block this many times over its limit is no accident.
constexpr size_t kFarOver = 4;
constexpr uint16_t kMaxInterim = 32;

}  // namespace

bool AnswerFields::count(std::string_view name, std::string_view value, const http::HttpLimits& limits) {
  bytes_ += name.size() + value.size() + kFieldOverhead;
  if (bytes_ > limits.header_bytes || ++fields_ > limits.header_fields + kMaxInterim) too_large_ = true;
  return bytes_ <= kFarOver * limits.header_bytes;
}

bool AnswerFields::add(std::string_view name, std::string_view value, const http::HttpLimits& limits,
                       http::ResponseHead& head) {
  if (!count(name, value, limits)) return false;
  if (too_large_ || malformed_) return true;
  if (name.starts_with(':')) {
    malformed_ |= rules_.allow_pseudo(name, value) != PseudoField::kStatus || value.size() != 3;
    if (!malformed_) status_ = parse_decimal<uint16_t>(value).value_or(0);
    return true;
  }
  const FieldId id = http::field_id(name);
  if (!rules_.allow(id, name, value)) {
    malformed_ = true;
    return true;
  }
  if (id == FieldId::kContentLength) {
    lengths_.add_content_length(value);
    return true;
  }
  Arena& arena = head.headers.arena();
  if (id != FieldId::kOther) {
    head.headers.add(id, arena.copy(value));
  } else {
    head.headers.add(id, arena.copy(name), arena.copy(value));
  }
  return true;
}

bool AnswerFields::add_trailer(std::string_view name, std::string_view value, const http::HttpLimits& limits,
                               http::Trailers& trailers) {
  if (!count(name, value, limits)) return false;
  if (too_large_) return true;
  const FieldId id = http::field_id(name);
  FieldRules rules(FieldRules::kTrailers);
  malformed_ |= !rules.allow(id, name, value);
  if (malformed_ || http::is_forbidden_trailer(id, name)) return true;
  Arena& arena = trailers.arena();
  trailers.add(id, arena.copy(name), arena.copy(value));
  return true;
}

bool AnswerFields::finish(http::ResponseHead& head) {
  if (too_large_) {
    problem_ = "the head of the response is over its limit";
    return false;
  }
  // RFC 9113 8.6: nobody switches protocols here. A length where no content may follow is a mistake unless it says so.
  const bool bad_length = lengths_.has_content_length() && !lengths_.content_length();
  const bool no_length = status_ < 200 || status_ == 204;
  if (malformed_ || status_ < 100 || status_ == 101 || bad_length ||
      (no_length && lengths_.content_length().value_or(0) != 0)) {
    problem_ = "the head of the response is malformed";
    return false;
  }
  head.status = status_;
  head.content_length = no_length ? std::nullopt : lengths_.content_length();
  return true;
}

bool AnswerFields::next(http::ResponseHead& head) {
  head = http::ResponseHead(head.headers.arena());
  rules_ = FieldRules(FieldRules::kResponse);
  lengths_ = {};
  status_ = 0;
  if (++interim_ <= kMaxInterim) return true;
  problem_ = "too many interim responses";
  return false;
}

}  // namespace headgate::http2
