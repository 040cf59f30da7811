// answer_fields.h -- the fields of the HEADERS blocks of one response, as HPACK gives them -> ResponseHead.
//
// What RFC 9113 8.2 and 8.3 forbid makes the response malformed (field_rules.h). Beyond that: our limits, which count
// interim responses, head and trailers together, and Content-Length, which is framing and no field. Texts are copied into
// the arena of the head.
// Spec: RFC 9113 8.3.2.   Thread: worker.   Owner: ClientStream.
#pragma once

#include <cstdint>
#include <string_view>

#include "dataplane/http/exchange_sink.h"
#include "dataplane/http/framing.h"
#include "dataplane/http/message.h"
#include "dataplane/http2/field_rules.h"

namespace headgate::http2 {

class AnswerFields {
 public:
  // False: so far over the limits that the connection should end.
  [[nodiscard]] bool add(std::string_view name, std::string_view value, const http::HttpLimits& limits,
                         http::ResponseHead& head);
  [[nodiscard]] bool add_trailer(std::string_view name, std::string_view value, const http::HttpLimits& limits,
                                 http::Trailers& trailers);
  // The trailer section is complete.
  [[nodiscard]] bool well_formed_trailers() const { return !malformed_; }
  // The block of a head is complete. False: it is not acceptable, for the reason that problem() tells.
  [[nodiscard]] bool finish(http::ResponseHead& head);
  // Another response follows an interim one. False: there were too many.
  [[nodiscard]] bool next(http::ResponseHead& head);
  [[nodiscard]] const char* problem() const { return problem_; }

 private:
  bool count(std::string_view name, std::string_view value, const http::HttpLimits& limits);

  FieldRules rules_{FieldRules::kResponse};
  http::LengthFields lengths_;
  size_t bytes_ = 0;
  uint32_t fields_ = 0;
  uint16_t status_ = 0;
  uint16_t interim_ = 0;
  bool malformed_ = false;
  bool too_large_ = false;
  const char* problem_ = "";
};

}  // namespace headgate::http2
