#include "dataplane/http/hop_by_hop.h"

#include <array>

#include "dataplane/base/text.h"
#include "dataplane/http/field_bits.h"

namespace headgate::http {

namespace {

constexpr uint64_t kHopByHop = bit(FieldId::kConnection) | bit(FieldId::kKeepAlive) | bit(FieldId::kProxyConnection) |
                               bit(FieldId::kProxyAuthorization) | bit(FieldId::kProxyAuthenticate) |
                               bit(FieldId::kTe) | bit(FieldId::kTransferEncoding) | bit(FieldId::kUpgrade) |
                               bit(FieldId::kHttp2Settings) | bit(FieldId::kExpect);

// Known fields that a trailer section may carry: they describe the response after the fact.
constexpr uint64_t kTrailerFields = bit(FieldId::kETag) | bit(FieldId::kServer) | bit(FieldId::kVia);

constexpr std::array<std::string_view, 3> kProtectedPrefixes = {"x-forwarded-", "content-", "sec-"};
// Framing, routing, authentication and the like (RFC 9110 6.5.1).
constexpr std::array<std::string_view, 4> kForbiddenPrefixes = {"proxy-", "x-real-", "x-envoy-", "access-control-"};
constexpr std::array<std::string_view, 12> kForbiddenNames = {
    "age",    "alt-svc",     "authentication-info", "clear-site-data", "expires",          "max-forwards",
    "pragma", "retry-after", "set-cookie2",         "upgrade-insecure-requests", "warning", "x-http-method-override"};

// With which letters those begin: most trailers begin with another.
constexpr uint32_t first_letters(const auto&... lists) {
  uint32_t letters = 0;
  const auto note = [&letters](const auto& list) {
    for (const std::string_view name : list) letters |= 1U << (name.front() - 'a');
  };
  (note(lists), ...);
  return letters;
}
constexpr uint32_t kForbiddenLetters = first_letters(kProtectedPrefixes, kForbiddenPrefixes, kForbiddenNames);

template <size_t kSize>
bool starts_with_any(std::string_view name, const std::array<std::string_view, kSize>& prefixes) {
  for (const std::string_view prefix : prefixes) {
    if (starts_with_ignore_case(name, prefix)) return true;
  }
  return false;
}

bool is_protected_name(std::string_view name) { return starts_with_any(name, kProtectedPrefixes); }

// Is an unknown field named by one of the Connection fields?
bool is_named(const HeaderMap& headers, std::string_view name) {
  for (const Field& field : headers.fields()) {
    if (field.id == FieldId::kConnection && list_contains(field.value, name)) return true;
  }
  return false;
}

bool wants_trailers(const HeaderMap& headers) {
  for (const Field& field : headers.fields()) {
    if (field.id == FieldId::kTe && list_contains(field.value, "trailers")) return true;
  }
  return false;
}

// Does a Connection field name more than the tokens every client sends?
bool names_fields(const HeaderMap& headers) {
  for (const Field& field : headers.fields()) {
    if (field.id != FieldId::kConnection) continue;
    if (!equals_ignore_case(field.value, "keep-alive") && !equals_ignore_case(field.value, "close") &&
        !equals_ignore_case(field.value, "upgrade")) {
      return true;
    }
  }
  return false;
}

}  // namespace

void strip_hop_by_hop(HeaderMap& headers, TeField te) {
  if (!headers.has_any(kHopByHop)) return;
  const bool keep_trailers = te == TeField::kKeepTrailers && wants_trailers(headers);
  // The fields named by Connection go first, while Connection is still there to ask.
  if (headers.has(FieldId::kConnection) && headers.has(FieldId::kOther) && names_fields(headers)) {
    // Marked by an empty name, which no parsed field has: remove_if moves fields while it looks at them.
    for (Field& field : headers.fields()) {
      if (field.id == FieldId::kOther && !is_protected_name(field.name) && is_named(headers, field.name)) {
        field.name = {};
      }
    }
    headers.remove_if([](const Field& field) { return field.name.empty(); });
  }
  headers.remove_if([](const Field& field) { return (kHopByHop & bit(field.id)) != 0; });
  if (keep_trailers) headers.add(FieldId::kTe, "trailers");
}

bool is_forbidden_trailer(FieldId id, std::string_view name) {
  if (id != FieldId::kOther) return (kTrailerFields & bit(id)) == 0;
  const unsigned letter = name.empty() ? 32 : static_cast<uint8_t>(to_lower(name.front())) - unsigned{'a'};
  if (letter >= 32 || (kForbiddenLetters >> letter & 1) == 0) return false;
  if (is_protected_name(name) || starts_with_any(name, kForbiddenPrefixes)) return true;
  for (const std::string_view forbidden : kForbiddenNames) {
    if (equals_ignore_case(name, forbidden)) return true;
  }
  return false;
}

}  // namespace headgate::http
