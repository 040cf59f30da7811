#include "dataplane/http2/field_array.h"

#include <algorithm>

#include "dataplane/base/check.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "dataplane/http/hop_by_hop.h"
#include "dataplane/http2/field_rules.h"

namespace headgate::http2 {

using http::Field;
using http::FieldId;

namespace {

bool ends_here(FieldId id) {
  switch (id) {
    case FieldId::kConnection:
    case FieldId::kKeepAlive:
    case FieldId::kProxyConnection:
    case FieldId::kTransferEncoding:
    case FieldId::kUpgrade:
    case FieldId::kTe:
    case FieldId::kHttp2Settings:
    case FieldId::kContentLength: return true;
    default: return false;
  }
}

}  // namespace

void FieldArray::start(size_t most) {
  if (most <= few_.size()) return;
  many_.resize(most);
  fields_ = many_.data();
}

bool FieldArray::add_checked(const Field& field, Arena& arena) {
  if (!is_clean_value(field.value)) [[unlikely]] return false;
  if (field.id != FieldId::kOther) {
    add(lower_name(field.id), trim(field.value));
    return true;
  }
  const uint8_t flaws = flaws_of_name(field.name);
  if ((flaws & kNameInvalid) != 0) [[unlikely]] return false;
  std::string_view name = field.name;
  if ((flaws & kNameUpper) != 0) {
    char* const lower = arena.allocate_text(name.size());
    std::transform(name.begin(), name.end(), lower, to_lower);
    name = {lower, name.size()};
  }
  add(name, trim(field.value));
  return true;
}

void FieldArray::add_own(const Field& field, Arena& arena) {
  if (!add_checked(field, arena)) [[unlikely]] HG_BUG("a field with a control character in it was about to be sent");
}

void FieldArray::add_length(uint64_t length) {
  const size_t size = static_cast<size_t>(write_decimal(length_.data(), length) - length_.data());
  add("content-length", {length_.data(), size});
}

FieldArray::FieldArray(const http::ResponseHead& head, const ResponseOptions& options) {
  start(head.headers.size() + 3);
  const unsigned status = options.tunnel ? 200 : head.status >= 100 && head.status <= 999 ? head.status : 500;
  status_ = {static_cast<char>('0' + status / 100), static_cast<char>('0' + status / 10 % 10),
             static_cast<char>('0' + status % 10)};
  add(":status", {status_.data(), status_.size()});
  if (!options.date.empty() && !head.headers.has(FieldId::kDate)) add("date", options.date);
  for (const Field& field : head.headers.fields()) {
    if (ends_here(field.id)) continue;
    if (options.tunnel && equals_ignore_case(field.name, "sec-websocket-accept")) continue;
    add_own(field, head.headers.arena());
  }
  if (options.write_length && head.content_length) add_length(*head.content_length);
}

FieldArray::FieldArray(const http::RequestHead& head) {
  const bool tunnel = !head.protocol.empty();
  start(head.headers.size() + 6);
  add(":method", tunnel ? "CONNECT" : head.method_text);
  add(":scheme", http::scheme_name(head.scheme));
  if (!head.authority.empty()) add(":authority", head.authority);
  add(":path", head.target);
  if (tunnel) add(":protocol", head.protocol);
  for (const Field& field : head.headers.fields()) {
    // The authority has been said; a "te" that is still here says "trailers" (hop_by_hop.h).
    if ((ends_here(field.id) && field.id != FieldId::kTe) || field.id == FieldId::kHost) continue;
    // The handshake of RFC 6455 proves to the client what HTTP/2 shows by itself (RFC 8441 5).
    if (tunnel && equals_ignore_case(field.name, "sec-websocket-key")) continue;
    add_own(field, head.headers.arena());
  }
  if (!tunnel && head.content_length) add_length(*head.content_length);
}

FieldArray::FieldArray(const http::Trailers& trailers) {
  start(trailers.size());
  for (const Field& field : trailers.fields()) {
    if (ends_here(field.id) || http::is_forbidden_trailer(field.id, field.name)) continue;
    (void)add_checked(field, trailers.arena());
  }
}

}  // namespace headgate::http2
