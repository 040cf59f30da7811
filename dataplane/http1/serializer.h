// serializer.h -- writes HTTP/1 heads and chunk framing into memory of the caller, in one pass and without allocation.
//
// The framing fields (Content-Length, Transfer-Encoding, Connection) are written from HeadOptions and never copied from
// the map, so that a head cannot contradict its body. A field whose name is no token, or whose value holds a control
// character, is a bug of whoever added it: reported and left out.
// Spec: RFC 9112 3 to 7.   Thread: worker (pure).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "dataplane/http/framing.h"
#include "dataplane/http/message.h"

namespace headgate::http1 {

enum class ConnectionField : uint8_t {
  kNone,
  kClose,
  kKeepAlive,  // for HTTP/1.0 clients
  kUpgrade,    // with Upgrade: HeadOptions::upgrade
};

struct HeadOptions {
  http::BodyFraming framing;  // kNone and kUntilClose write no field
  // Writes "Content-Length: 0" where `framing` is kNone: requests with a method that expects content, and responses
  // that could have content but have none.
  bool zero_length = false;
  // Instead of a length from `framing`: what a HEAD answer or a 304 says of a body that is not sent.
  std::optional<uint64_t> described_length{};
  ConnectionField connection = ConnectionField::kNone;
  std::string_view upgrade{};  // protocol token for kUpgrade
  std::string_view date{};     // responses: written as Date unless the map has one; empty writes none
};

// Room that suffices for the head, whatever the options. Cheap: one pass over the sizes.
size_t request_head_room(const http::RequestHead& head, const http::HeaderMap& fields, std::string_view target,
                         const HeadOptions& options);
size_t response_head_room(const http::ResponseHead& head, const HeadOptions& options);

// Writes "METHOD target HTTP/1.1", Host (from head.authority when `fields` has none), the fields in their order, the
// framing, and the empty line. Returns the end. `into` has request_head_room() bytes. `fields` may be head.headers or
// the copy made for one attempt; `target` is usually http::forward_target().
char* write_request_head(char* into, const http::RequestHead& head, const http::HeaderMap& fields,
                         std::string_view target, const HeadOptions& options);

// Writes "HTTP/1.1 status reason" and so on; also interim responses (with default options).
char* write_response_head(char* into, const http::ResponseHead& head, const HeadOptions& options);

// Chunk framing. Each header but the first also ends the chunk before it, so that a chunk costs one small write:
//   write_chunk_header(first) data write_chunk_header(next) data write_last_chunk
inline constexpr size_t kChunkHeaderRoom = 20;  // CRLF, 16 digits, CRLF
char* write_chunk_header(char* into, uint64_t size, bool first);

// `first`: no chunk came before. `trailers` may be null; forbidden ones are left out.
size_t last_chunk_room(const http::Trailers* trailers);
char* write_last_chunk(char* into, bool first, const http::Trailers* trailers);

}  // namespace headgate::http1
