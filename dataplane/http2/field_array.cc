#include "dataplane/http2/field_array.h"

#include <algorithm>
#include <cstring>

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

// The names we know in lower case, for the life of the process.
class LowerNames {
 public:
  LowerNames() {
    for (size_t id = 0; id < kIds; ++id) {
      const std::string_view name = http::field_name(static_cast<FieldId>(id));
      HG_CHECK(name.size() <= texts_[id].size());
      std::transform(name.begin(), name.end(), texts_[id].begin(), to_lower);
      sizes_[id] = static_cast<uint8_t>(name.size());
    }
  }
  [[nodiscard]] std::string_view of(FieldId id) const {
    return {texts_[static_cast<size_t>(id)].data(), sizes_[static_cast<size_t>(id)]};
  }

 private:
  static constexpr size_t kIds = static_cast<size_t>(FieldId::kCount);
  std::array<std::array<char, 24>, kIds> texts_{};
  std::array<uint8_t, kIds> sizes_{};
};

std::string_view lower_name(FieldId id) {
  static const LowerNames names;
  return names.of(id);
}

// is_field_value(), eight bytes at a time: most values have no byte that must be looked at.
bool is_value(std::string_view text) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kHigh = 0x8080808080808080;
  const char* at = text.data();
  size_t left = text.size();
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word = 0;
    std::memcpy(&word, at, sizeof(word));
    // The high bit of a byte: it is below 0x20; it is 0x7f. A borrow may mark one too many, which is looked at again.
    const uint64_t below = (word - kOnes * 0x20) & ~word;
    const uint64_t deleted = ((word ^ kOnes * 0x7f) - kOnes) & ~(word ^ kOnes * 0x7f);
    if (((below | deleted) & kHigh) != 0 && !is_field_value({at, 8})) return false;
  }
  return is_field_value({at, left});
}

}  // namespace

void FieldArray::start(size_t most) {
  if (most > kFew) many_.resize(most);
}

void FieldArray::add(std::string_view name, std::string_view value, uint8_t flags) {
  nghttp2_nv& into = many_.empty() ? few_[size_] : many_[size_];
  into = {bytes_of(name), bytes_of(value), name.size(), value.size(), flags};
  ++size_;
}

bool FieldArray::add_checked(const Field& field) {
  if (!is_value(field.value)) [[unlikely]] return false;
  if (field.id != FieldId::kOther) {
    add_known(lower_name(field.id), trim(field.value));
    return true;
  }
  if (!is_token(field.name)) [[unlikely]] return false;
  add(field.name, trim(field.value), NGHTTP2_NV_FLAG_NONE);
  return true;
}

void FieldArray::add_own(const Field& field) {
  if (!add_checked(field)) [[unlikely]] HG_BUG("a field with a control character in it was about to be sent");
}

void FieldArray::add_length(uint64_t length) {
  const size_t size = static_cast<size_t>(write_decimal(length_.data(), length) - length_.data());
  add_known("content-length", {length_.data(), size});
}

FieldArray::FieldArray(const http::ResponseHead& head, const ResponseOptions& options) {
  start(head.headers.size() + 3);
  const unsigned status = options.tunnel ? 200 : head.status >= 100 && head.status <= 999 ? head.status : 500;
  status_ = {static_cast<char>('0' + status / 100), static_cast<char>('0' + status / 10 % 10),
             static_cast<char>('0' + status % 10)};
  add_known(":status", {status_.data(), status_.size()});
  if (!options.date.empty() && !head.headers.has(FieldId::kDate)) add_known("date", options.date);
  for (const Field& field : head.headers.fields()) {
    if (ends_here(field.id)) continue;
    if (options.tunnel && equals_ignore_case(field.name, "sec-websocket-accept")) continue;
    add_own(field);
  }
  if (options.write_length && head.content_length) add_length(*head.content_length);
}

FieldArray::FieldArray(const http::RequestHead& head) {
  const bool tunnel = !head.protocol.empty();
  start(head.headers.size() + 6);
  add_known(":method", tunnel ? "CONNECT" : head.method_text);
  add_known(":scheme", http::scheme_name(head.scheme));
  if (!head.authority.empty()) add_known(":authority", head.authority);
  add_known(":path", head.target);
  if (tunnel) add_known(":protocol", head.protocol);
  for (const Field& field : head.headers.fields()) {
    // The authority has been said; a "te" that is still here says "trailers" (hop_by_hop.h).
    if ((ends_here(field.id) && field.id != FieldId::kTe) || field.id == FieldId::kHost) continue;
    // The handshake of RFC 6455 proves to the client what HTTP/2 shows by itself (RFC 8441 5).
    if (tunnel && equals_ignore_case(field.name, "sec-websocket-key")) continue;
    add_own(field);
  }
  if (!tunnel && head.content_length) add_length(*head.content_length);
}

FieldArray::FieldArray(const http::Trailers& trailers) {
  start(trailers.size());
  for (const Field& field : trailers.fields()) {
    if (ends_here(field.id) || http::is_forbidden_trailer(field.id, field.name)) continue;
    (void)add_checked(field);
  }
}

}  // namespace headgate::http2
