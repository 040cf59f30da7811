// admin_client.h -- one request to the admin listener of a running process.
//
// Our own few lines instead of a client library: a command that lives for milliseconds loads nothing more for it.
// Spec: HTTP/1.0 (RFC 1945), so that the answer ends with its length or with the connection, never in chunks.
// Thread: the only one of its process (blocks).   Errors: kRefused when nobody listens, kTimeout, kMalformed, kTooLarge.
#pragma once

#include <string>
#include <string_view>

#include "dataplane/base/address.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/result.h"

namespace headgate::cli {

struct AdminResponse {
  int status = 0;
  std::string body;
};

inline constexpr size_t kMaxAdminBody = size_t{64} << 20;

// `limit` is for the whole exchange.
Result<AdminResponse> ask_admin(const SocketAddress& address, std::string_view method, std::string_view path,
                                Duration limit);

// Head and body of a complete answer.
Result<AdminResponse> parse_admin_response(std::string_view bytes);

}  // namespace headgate::cli
