// upgrade.h -- requests that turn a connection into a tunnel: HTTP/1 Upgrade, and the WebSocket handshake.
//
// "h2c" and "TLS/..." are never honoured: they are read as if absent, and stripped with the other connection fields.
// Spec: RFC 9110 7.8, RFC 6455 4, RFC 8441.   Thread: any (pure).
#pragma once

#include <array>
#include <string_view>

#include "dataplane/http/message.h"

namespace headgate::http {

// The first protocol of Upgrade that we may tunnel, when Connection asks for it and the version is HTTP/1.1; else empty.
std::string_view requested_upgrade(const HeaderMap& headers, Version version);

// Is this request a WebSocket handshake (any HTTP version)? Looks at `protocol` only.
bool is_websocket(const RequestHead& head);

// Are method, Sec-WebSocket-Version and Sec-WebSocket-Key of an HTTP/1 handshake as RFC 6455 4.2.1 wants them?
bool is_valid_websocket_request(const RequestHead& head);

// base64(SHA-1(key + GUID)), RFC 6455 4.2.2.
using WebSocketAccept = std::array<char, 28>;
WebSocketAccept websocket_accept(std::string_view key);

// Does the 101 answer a WebSocket handshake made with `key`? Checks Upgrade, Connection and Sec-WebSocket-Accept.
bool is_valid_websocket_response(const ResponseHead& head, std::string_view key);

// A fresh Sec-WebSocket-Key from 16 random bytes: for a handshake that came by HTTP/2, which has none.
std::array<char, 24> websocket_key(const std::array<uint8_t, 16>& random);

}  // namespace headgate::http
