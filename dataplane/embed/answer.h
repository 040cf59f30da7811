// answer.h -- between the values of the public interface and an Exchange.
// Thread: worker.
#pragma once

#include <functional>
#include <string_view>

#include "dataplane/base/regex.h"
#include "dataplane/embed/request.h"
#include "dataplane/embed/response.h"
#include "dataplane/embed/server.h"
#include "dataplane/http/exchange.h"

namespace headgate::embed {

// Views of the request; what has to be made is made in the arena. `names` are those of the pattern that matched.
RequestView view_of(http::Exchange& exchange, std::span<const std::string> names, std::string_view body);

// Sends it, or a 500 when it has a problem().
void answer(http::Exchange& exchange, Response&& response, const ErrorHook& hook);
// Sends status and fields of `head` with that body. `head` has no problem().
void answer_with(http::Exchange& exchange, const Response& head, http::BodySource& body, std::optional<uint64_t> length);
// An answer of our own, which the hook may change. `reason` is for the hook and the log. `allow`: for 405 and OPTIONS.
void answer_failure(http::Exchange& exchange, uint16_t status, std::string_view reason, const ErrorHook& hook,
                    std::string_view allow = {});
// The same for an error of reading the request: 408, 413, 400; nothing when the client has left.
void answer_error(http::Exchange& exchange, const Error& error, const ErrorHook& hook);

// Upgrade and CONNECT: no handler of ours takes a tunnel.
inline bool asks_for_tunnel(const http::RequestHead& head) {
  return !head.protocol.empty() || head.method == http::Method::kConnect;
}

}  // namespace headgate::embed
