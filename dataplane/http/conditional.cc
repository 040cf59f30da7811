#include "dataplane/http/conditional.h"

#include "dataplane/base/text.h"
#include "dataplane/http/date.h"

namespace headgate::http {

namespace {

bool is_weak(std::string_view etag) { return etag.starts_with("W/"); }
std::string_view opaque_part(std::string_view etag) { return is_weak(etag) ? etag.substr(2) : etag; }

// RFC 9110 8.8.3.2.
bool etags_equal(std::string_view a, std::string_view b, bool strong) {
  if (strong && (is_weak(a) || is_weak(b))) return false;
  return opaque_part(a) == opaque_part(b);
}

// Cuts one entity-tag off the front; empty when there is none. Tags may contain commas, so this is no list split.
std::string_view cut_etag(std::string_view& rest) {
  while (!rest.empty() && (is_space(rest.front()) || rest.front() == ',')) rest.remove_prefix(1);
  const size_t quote = is_weak(rest) ? 2 : 0;
  if (rest.size() <= quote || rest[quote] != '"') return {};
  const size_t end = rest.find('"', quote + 1);
  if (end == std::string_view::npos) return {};
  const std::string_view etag = rest.substr(0, end + 1);
  rest.remove_prefix(end + 1);
  return etag;
}

// Any field of `id`: a list may be spread over several.
bool any_matches(const HeaderMap& headers, FieldId id, std::string_view etag, bool strong) {
  for (const Field& field : headers.fields()) {
    if (field.id == id && etag_list_matches(field.value, etag, strong)) return true;
  }
  return false;
}

std::optional<int64_t> date_of(const HeaderMap& headers, FieldId id, int64_t now) {
  return parse_date(headers.get(id), now);
}

}  // namespace

bool etag_list_matches(std::string_view list, std::string_view etag, bool strong) {
  list = trim(list);
  if (list == "*") return true;
  if (etag.empty()) return false;
  for (;;) {
    const std::string_view candidate = cut_etag(list);
    if (candidate.empty()) return false;
    if (etags_equal(candidate, etag, strong)) return true;
  }
}

Precondition check_preconditions(const RequestHead& head, const Validators& validators, int64_t now) {
  const HeaderMap& headers = head.headers;
  const bool reads = head.method == Method::kGet || head.method == Method::kHead;
  // Steps 1 and 2.
  if (headers.has(FieldId::kIfMatch)) {
    if (!any_matches(headers, FieldId::kIfMatch, validators.etag, true)) return Precondition::kFailed;
  } else if (headers.has(FieldId::kIfUnmodifiedSince) && validators.last_modified) {
    // 13.1.4: an invalid date is ignored.
    const auto date = date_of(headers, FieldId::kIfUnmodifiedSince, now);
    if (date && *validators.last_modified > *date) return Precondition::kFailed;
  }
  // Steps 3 and 4.
  if (headers.has(FieldId::kIfNoneMatch)) {
    if (any_matches(headers, FieldId::kIfNoneMatch, validators.etag, false)) {
      return reads ? Precondition::kNotModified : Precondition::kFailed;
    }
  } else if (reads && headers.has(FieldId::kIfModifiedSince) && validators.last_modified) {
    const auto date = date_of(headers, FieldId::kIfModifiedSince, now);
    if (date && *validators.last_modified <= *date) return Precondition::kNotModified;
  }
  return Precondition::kProceed;
}

bool if_range_holds(const HeaderMap& headers, const Validators& validators, int64_t now) {
  if (!headers.has(FieldId::kIfRange)) return true;
  const std::string_view value = headers.get(FieldId::kIfRange);
  if (value.starts_with('"') || is_weak(value)) {
    return !validators.etag.empty() && etags_equal(value, validators.etag, true);
  }
  if (!validators.last_modified) return false;
  const auto date = parse_date(value, now);
  // 8.8.2.2: a date is a strong validator only if the thing cannot have changed twice within its second.
  return date && *date == *validators.last_modified && *validators.last_modified < now;
}

}  // namespace headgate::http
