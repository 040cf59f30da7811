#include "dataplane/http/request_id.h"

#include "dataplane/base/random.h"
#include "dataplane/http/exchange.h"

namespace headgate::http {

std::string_view request_id_of(Exchange& exchange) {
  if (!exchange.request_id.empty()) return exchange.request_id;
  constexpr std::string_view kHex = "0123456789abcdef";
  char* const text = exchange.arena().allocate_text(32);
  for (size_t half = 0; half < 2; ++half) {
    uint64_t bits = exchange.worker().random.next();
    for (size_t i = 0; i < 16; ++i, bits >>= 4) text[half * 16 + i] = kHex[bits & 15];
  }
  exchange.request_id = {text, 32};
  return exchange.request_id;
}

void ensure_request_id(Exchange& exchange, HeaderMap& outgoing) {
  if (!outgoing.has(FieldId::kXRequestId)) outgoing.set(FieldId::kXRequestId, request_id_of(exchange));
}

bool is_usable_request_id(std::string_view text) {
  if (text.empty() || text.size() > 128) return false;
  for (const char c : text) {
    if (c <= ' ' || c > '~' || c == '"' || c == '\\') return false;
  }
  return true;
}

}  // namespace headgate::http
