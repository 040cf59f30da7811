// variables.h -- texts with $variables: parsed once when the configuration is built, filled in per exchange.
//
//   $name, ${name}  a variable; $$ a dollar; a dollar before anything else stays; $0..$9 (one digit) groups of the regex
//                   that matched the path. Unknown names are refused, never empty.
//
// Families: $http_NAME and $header_NAME (request field, '_' reads as '-'), $sent_http_NAME and $response_header_NAME,
// $arg_NAME (query, as sent), $cookie_NAME. What is not known (yet) is empty.
// Thread: a template is const and shared by workers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/result.h"

namespace headgate::http {

class Exchange;

enum class Variable : uint8_t {
  kLiteral,  // text of the template itself
  kGroup,
  kRequestField,
  kResponseField,
  kArgument,
  kCookie,
  kScheme,
  kHost,
  kHttpHost,
  kPath,
  kRequestUri,
  kEscapedRequestUri,
  kQuery,
  kIsArgs,
  kMethod,
  kProtocol,
  kRequestLine,
  kRequestLength,
  kContentLength,
  kClientIp,
  kClientPort,
  kPeerAddress,
  kRemoteUser,
  kRequestId,
  kServerName,
  kServerAddress,
  kServerPort,
  kHostname,
  kListener,
  kRoute,
  kStatus,
  kBytesSent,
  kBytesReceived,
  kRequestTime,
  kUpstreamTime,
  kUpstreamAddress,
  kUpstreamName,
  kUpstreamStatus,
  kAttempts,
  kError,
  kTimeIso8601,
  kTimeLocal,
  kMsec,
  kTlsVersion,
  kTlsCipher,
  kTlsResumed,
  kTlsClientSubject,
  kTlsClientFingerprint,
  kTlsClientSerial,
  kAppendedForwardedFor,
};

struct VariableRow {
  std::string_view name;  // without "$"
  Variable variable;
};
// Every name without its "$" and the families, for documentation and for the check of configurations.
std::span<const VariableRow> variable_rows();
std::span<const std::string_view> variable_families();

// How values (never the text between them) are written.
enum class ValueEscape : uint8_t {
  kNone,
  kLog,  // '"', '\', controls and bytes above ASCII as \xHH; empty as "-"
};

class TextTemplate {
 public:
  TextTemplate() = default;  // the empty text
  // kInvalid for an unknown name or "${" without "}"; `why`, if given, gets a sentence that names it.
  static Result<TextTemplate> parse(std::string_view text, std::string* why = nullptr);

  // Without variables: expand() gives literal() and costs nothing.
  [[nodiscard]] bool is_literal() const { return pieces_.empty(); }
  [[nodiscard]] std::string_view literal() const { return text_; }
  // Does it need the response (status, fields, times)?
  [[nodiscard]] bool needs_response() const;
  // The largest group number used, or -1.
  [[nodiscard]] int highest_group() const;

  // The text lives in the exchange's arena, its request head, or this template: copy what must outlive any of them.
  [[nodiscard]] std::string_view expand(Exchange& exchange, ValueEscape escape = ValueEscape::kNone) const;

 private:
  struct Piece {
    Variable variable = Variable::kLiteral;
    uint8_t group = 0;
    uint32_t offset = 0;  // into text_: a literal, or the name of a field, argument or cookie
    uint32_t size = 0;
  };
  [[nodiscard]] std::string_view text_of(const Piece& piece) const {
    return std::string_view(text_).substr(piece.offset, piece.size);
  }
  [[nodiscard]] bool add_variable(std::string_view name);
  void add_literal(std::string_view text);
  [[nodiscard]] std::string_view value_of(const Piece& piece, Exchange& exchange) const;

  std::string text_;  // literals and names, one behind the other
  std::vector<Piece> pieces_;
};

// The value of `name` in a query ("a=1&b=2"), as sent; empty when missing.
std::string_view query_argument(std::string_view query, std::string_view name);
// The value of a cookie of the request, quotes kept; the first of that name.
std::string_view cookie_value(const class HeaderMap& headers, std::string_view name);

}  // namespace headgate::http
