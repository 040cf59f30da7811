// request_id.h -- the identifier of a request in logs and towards upstreams.
// Thread: worker.
#pragma once

#include <string_view>

namespace headgate::http {

class Exchange;
class HeaderMap;

// 32 hexadecimal digits from the worker's generator, made on the first call and kept in exchange.request_id; or what a
// trusted proxy sent as X-Request-Id (forwarded.h). Unpredictable enough to correlate, not a secret.
std::string_view request_id_of(Exchange& exchange);

// For a request that is sent beside the client's: the client's own X-Request-Id stays, who has none gets ours.
void ensure_request_id(Exchange& exchange, HeaderMap& outgoing);

// 1 to 128 visible ASCII characters without quotes and backslashes: what we take over from X-Request-Id.
bool is_usable_request_id(std::string_view text);

}  // namespace headgate::http
