#include "dataplane/http/framing.h"

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "dataplane/http/status.h"

namespace headgate::http {

namespace {

constexpr uint64_t kMaxLength = INT64_MAX;

Error malformed(const char* detail) {
  return {.code = Errc::kMalformed, .origin = Origin::kDownstream, .detail = detail};
}

}  // namespace

std::optional<uint64_t> parse_content_length(std::string_view value) {
  const auto length = parse_decimal<uint64_t>(value);
  if (!length || *length > kMaxLength) return std::nullopt;
  return length;
}

void LengthFields::add_content_length(std::string_view value) {
  if (content_lengths_ < 2) ++content_lengths_;
  const auto length = parse_content_length(value);
  length_valid_ = content_lengths_ == 1 && length.has_value();
  length_ = length.value_or(0);
}

void LengthFields::add_transfer_encoding(std::string_view value) {
  if (encodings_ < 2) ++encodings_;
  if (encodings_ > 1) {
    encoding_ = Encoding::kInvalid;
    return;
  }
  if (equals_ignore_case(value, "chunked")) {
    encoding_ = Encoding::kChunked;
    return;
  }
  // A list of plain tokens that ends in "chunked", once, is a message we could frame but not decode: 501.
  encoding_ = Encoding::kInvalid;
  std::string_view rest = value;
  bool last_is_chunked = false;
  for (size_t comma = 0; comma != std::string_view::npos;) {
    comma = rest.find(',');
    const std::string_view coding = trim(rest.substr(0, comma));
    if (!is_token(coding) || last_is_chunked) return;
    last_is_chunked = equals_ignore_case(coding, "chunked");
    if (comma != std::string_view::npos) rest.remove_prefix(comma + 1);
  }
  if (last_is_chunked) encoding_ = Encoding::kUnknown;
}

std::optional<uint64_t> LengthFields::content_length() const {
  if (!length_valid_) return std::nullopt;
  return length_;
}

Result<BodyFraming> LengthFields::framing(Version version, BodyFraming without_fields) const {
  if (encodings_ > 0) {
    // RFC 9112 6.3 rule 3 lets Transfer-Encoding win; 6.1 says to treat it as an attack. We refuse.
    if (content_lengths_ > 0) return malformed("Content-Length together with Transfer-Encoding");
    if (encodings_ > 1) return malformed("Transfer-Encoding more than once");
    // RFC 9112 6.1: faulty framing in HTTP/1.0.
    if (version == Version::kHttp10) return malformed("Transfer-Encoding in HTTP/1.0");
    switch (encoding_) {
      case Encoding::kChunked: return BodyFraming{BodyFraming::Kind::kChunked, 0};
      case Encoding::kUnknown:
        return Error{.code = Errc::kUnsupported, .origin = Origin::kDownstream, .detail = "transfer coding"};
      case Encoding::kInvalid: return malformed("Transfer-Encoding is not chunked");  // rule 4
    }
  }
  if (content_lengths_ == 0) return without_fields;
  if (content_lengths_ > 1) return malformed("Content-Length more than once");
  if (!length_valid_) return malformed("Content-Length is not a number");  // rule 5
  return BodyFraming::of_length(length_);                                  // rule 6
}

Result<BodyFraming> request_framing(const LengthFields& fields, Version version, Method method) {
  auto framing = fields.framing(version, BodyFraming{});  // rule 7: no fields, no body
  if (!framing) return framing;
  // RFC 9110 9.3.6: what follows CONNECT is the tunnel; a body would be read as part of it by someone.
  if (method == Method::kConnect && framing->kind != BodyFraming::Kind::kNone) return malformed("CONNECT with a body");
  return framing;
}

Result<BodyFraming> response_framing(const LengthFields& fields, Version version, Method request_method,
                                     uint16_t status) {
  // Rules 1 and 2: the fields of these describe nothing that follows.
  const bool tunnel = request_method == Method::kConnect && is_success(status);
  const bool bodiless = has_no_content(status) || request_method == Method::kHead;
  if (tunnel || is_informational(status)) return BodyFraming{};
  auto framing = fields.framing(version, BodyFraming{BodyFraming::Kind::kUntilClose, 0});
  if (!framing) {
    Error error = framing.error().from(Origin::kUpstream);
    error.code = Errc::kMalformed;
    return error;
  }
  if (bodiless) return BodyFraming{};
  return framing;
}

}  // namespace headgate::http
