// framing.h -- where a message ends: the only code that reads Content-Length and Transfer-Encoding.
//
// Stricter than the RFC where it leaves a choice, because two readings of one length is how requests are smuggled:
// both fields together, any field twice, and any coding but exactly "chunked" are refused.
// Spec: RFC 9112 6, RFC 9113 8.1.1.   Thread: any (values).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "dataplane/base/result.h"
#include "dataplane/http/message.h"

namespace headgate::http {

struct BodyFraming {
  enum class Kind : uint8_t {
    kNone,        // the message ends with its head (Content-Length: 0 included)
    kLength,      // `length` bytes follow, never 0
    kChunked,
    kUntilClose,  // responses only
  };
  Kind kind = Kind::kNone;
  uint64_t length = 0;

  static constexpr BodyFraming of_length(uint64_t bytes) {
    return {bytes == 0 ? Kind::kNone : Kind::kLength, bytes};
  }
  bool operator==(const BodyFraming&) const = default;
};

// Collects the length fields of one head in the order in which they come; keeps no text.
class LengthFields {
 public:
  void add_content_length(std::string_view value);
  void add_transfer_encoding(std::string_view value);

  // The one valid Content-Length, if there is exactly that.
  [[nodiscard]] std::optional<uint64_t> content_length() const;
  [[nodiscard]] bool has_content_length() const { return content_lengths_ > 0; }
  [[nodiscard]] bool has_transfer_encoding() const { return encodings_ > 0; }

 private:
  friend Result<BodyFraming> request_framing(const LengthFields&, Version, Method);
  friend Result<BodyFraming> response_framing(const LengthFields&, Version, Method, uint16_t);
  enum class Encoding : uint8_t { kChunked, kUnknown, kInvalid };

  [[nodiscard]] Result<BodyFraming> framing(Version version, BodyFraming without_fields) const;

  uint64_t length_ = 0;
  uint8_t content_lengths_ = 0;  // saturates at 2
  uint8_t encodings_ = 0;        // saturates at 2
  bool length_valid_ = false;
  Encoding encoding_ = Encoding::kInvalid;
};

// 1*DIGIT up to 2^63-1; leading zeros are legal and mean nothing. Also for HTTP/2.
std::optional<uint64_t> parse_content_length(std::string_view value);

// kMalformed (400) or, for a coding we do not have before a final "chunked", kUnsupported (501). Origin downstream.
Result<BodyFraming> request_framing(const LengthFields& fields, Version version, Method method);

// `request_method` is that of the request being answered. kMalformed of origin upstream: 502.
Result<BodyFraming> response_framing(const LengthFields& fields, Version version, Method request_method,
                                     uint16_t status);

}  // namespace headgate::http
