// request_fields.h -- the fields of one HEADERS block, as HPACK gives them -> RequestHead.
//
// What RFC 9113 8.2 and 8.3 forbid makes the request malformed (field_rules.h). Beyond that: our limits, the rules of
// uri.h, Host against :authority, cookie crumbs.
// Texts are copied into the arena of the head; names we know are the static ones of header_map.h.
// Spec: RFC 9113 8.2.3, 8.3.1, RFC 8441 4.   Thread: worker.   Owner: Stream.
#pragma once

#include <cstdint>
#include <string_view>

#include "dataplane/base/random.h"
#include "dataplane/base/result.h"
#include "dataplane/http/exchange_sink.h"
#include "dataplane/http/framing.h"
#include "dataplane/http/message.h"
#include "dataplane/http2/field_rules.h"

namespace headgate::http2 {

class RequestFields {
 public:
  // False: so far over the limits that the connection should end. Over the limits alone is told by finish().
  [[nodiscard]] bool add(std::string_view name, std::string_view value, const http::HttpLimits& limits,
                         http::RequestHead& head);
  // A field of the trailer section, of which well_formed_trailers() tells when it is complete; the limits count head and
  // trailers together.
  [[nodiscard]] bool add_trailer(std::string_view name, std::string_view value, const http::HttpLimits& limits,
                                 http::Trailers& trailers);

  [[nodiscard]] bool well_formed_trailers() const { return !malformed_; }

  // kOk, or an answer to give (`error`), or bytes that no client with good intentions sends: reset the stream.
  enum class Outcome : uint8_t { kOk, kRefused, kMalformed };
  // `has_body`: HEADERS came without END_STREAM.
  Outcome finish(http::RequestHead& head, const http::HttpLimits& limits, bool has_body, Random& random);
  [[nodiscard]] const Error& error() const { return error_; }
  // CONNECT with or without :protocol: what follows is a tunnel, not a body.
  [[nodiscard]] bool is_connect() const { return is_connect_; }

 private:
  struct Crumb {
    std::string_view text;
    Crumb* next = nullptr;
  };

  void add_field(std::string_view name, std::string_view value, const http::HttpLimits& limits, http::RequestHead& head);
  bool count(std::string_view name, std::string_view value, const http::HttpLimits& limits);
  void add_pseudo(std::string_view name, std::string_view value, const http::HttpLimits& limits,
                  http::RequestHead& head);
  void add_crumb(std::string_view value, Arena& arena);
  void join_crumbs(http::HeaderMap& headers);
  Outcome refuse(Errc code, const char* detail);
  Outcome malformed(const char* detail);
  // Everything a head must have is there, and nothing that makes it another kind of request.
  [[nodiscard]] bool is_whole(const http::RequestHead& head, bool has_body) const;
  Outcome finish_target(http::RequestHead& head);

  FieldRules rules_{FieldRules::kRequest};
  http::LengthFields lengths_;
  std::string_view path_;
  std::string_view host_;
  Crumb* first_crumb_ = nullptr;
  Crumb* last_crumb_ = nullptr;
  size_t crumb_bytes_ = 0;
  size_t bytes_ = 0;
  uint32_t fields_ = 0;
  bool malformed_ = false;
  bool too_large_ = false;
  bool target_too_long_ = false;
  bool bad_host_ = false;
  bool is_connect_ = false;
  Error error_;
};

}  // namespace headgate::http2
