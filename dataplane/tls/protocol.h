// protocol.h -- what server and client side set alike on an SSL_CTX. For this folder.
// Thread: worker.
#pragma once

#include <string>
#include <vector>

#include "dataplane/tls/context.h"

namespace headgate::tls {

// Empty when all is set; else what cannot be: "unknown cipher ...".
std::string apply_protocol(ssl_ctx_st* ctx, const ProtocolSettings& settings);
// RFC 7301 3.1: length-prefixed names. False: an empty name or one over 255 bytes.
bool write_alpn(const std::vector<std::string>& names, std::string& wire);

}  // namespace headgate::tls
