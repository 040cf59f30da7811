// message.h -- heads of requests and responses, independent of the HTTP version that carried them.
// Thread: worker.   Owner: the Exchange; all texts are views into its head block or arena.
// Spec: RFC 9110 3.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "dataplane/http/header_map.h"
#include "dataplane/http/method.h"

namespace headgate::http {

enum class Version : uint8_t { kHttp10, kHttp11, kHttp2 };

enum class Scheme : uint8_t { kHttp, kHttps };
constexpr std::string_view scheme_name(Scheme scheme) { return scheme == Scheme::kHttps ? "https" : "http"; }

struct RequestHead {
  explicit RequestHead(Arena& arena) : headers(arena) {}

  Method method = Method::kOther;
  Version version = Version::kHttp11;
  Scheme scheme = Scheme::kHttp;   // how it reached us (after trusted X-Forwarded-Proto: see forwarded.h)
  std::string_view method_text;    // "GET"
  std::string_view target;         // as sent, absolute-form reduced to origin-form: "/a%20b?x=1", "*", "host:443" (CONNECT)
  std::string_view path;           // normalized (uri.h), still percent-encoded where that matters: what routing matches
  std::string_view query;          // without '?'; empty when none
  bool has_query = false;          // "/a?" differs from "/a"
  std::string_view authority;      // Host or :authority as sent; empty for HTTP/1.0 without Host
  std::string_view host;           // authority without port, lower case, no trailing dot: what routing matches
  std::string_view protocol;       // Upgrade token or :protocol when this asks for a tunnel ("websocket"), else empty
  std::optional<uint64_t> content_length;  // known length of the body
  bool expect_continue = false;
  HeaderMap headers;
};

struct ResponseHead {
  explicit ResponseHead(Arena& arena) : headers(arena) {}

  uint16_t status = 200;
  std::string_view reason;                 // empty: the standard phrase
  std::optional<uint64_t> content_length;  // of the body to come; the serializer writes the field
  HeaderMap headers;                       // without Content-Length, Transfer-Encoding, Connection: framing is not data
};

using Trailers = HeaderMap;

}  // namespace headgate::http
