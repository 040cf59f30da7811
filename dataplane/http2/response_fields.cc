#include "dataplane/http2/response_fields.h"

#include "dataplane/base/check.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "dataplane/http/hop_by_hop.h"

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

uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));  // nghttp2 only reads
}

}  // namespace

void ResponseFields::start(size_t most) {
  if (most > kFew) many_.resize(most);
}

void ResponseFields::add(std::string_view name, std::string_view value) {
  nghttp2_nv& into = many_.empty() ? few_[size_] : many_[size_];
  into = {bytes_of(name), bytes_of(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
  ++size_;
}

ResponseFields::ResponseFields(const http::ResponseHead& head, const Options& options) {
  start(head.headers.size() + 3);
  const unsigned status = options.tunnel ? 200 : head.status >= 100 && head.status <= 999 ? head.status : 500;
  status_ = {static_cast<char>('0' + status / 100), static_cast<char>('0' + status / 10 % 10),
             static_cast<char>('0' + status % 10)};
  add(":status", {status_.data(), status_.size()});
  if (!options.date.empty() && !head.headers.has(FieldId::kDate)) add("date", options.date);
  for (const Field& field : head.headers.fields()) {
    if (ends_here(field.id)) continue;
    if (options.tunnel && equals_ignore_case(field.name, "sec-websocket-accept")) continue;
    if (!is_token(field.name) || !is_field_value(field.value)) [[unlikely]] {
      HG_BUG("a field with a control character in it was about to be sent");
      continue;
    }
    add(field.name, trim(field.value));
  }
  if (options.write_length && head.content_length) {
    const size_t size = static_cast<size_t>(write_decimal(length_.data(), *head.content_length) - length_.data());
    add("content-length", {length_.data(), size});
  }
}

ResponseFields::ResponseFields(const http::Trailers& trailers) {
  start(trailers.size());
  for (const Field& field : trailers.fields()) {
    if (ends_here(field.id) || http::is_forbidden_trailer(field.id, field.name)) continue;
    if (is_token(field.name) && is_field_value(field.value)) add(field.name, trim(field.value));
  }
}

}  // namespace headgate::http2
