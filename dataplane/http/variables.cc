#include "dataplane/http/variables.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/base/text.h"
#include "dataplane/http/exchange.h"
#include "dataplane/http/header_map.h"
#include "dataplane/http/variable_value.h"

namespace headgate::http {

namespace {

// Aliases are nginx's names and ours for the same thing.
constexpr std::array<VariableRow, 74> kRows = {{
    {"args", Variable::kQuery},
    {"attempts", Variable::kAttempts},
    {"body_bytes_sent", Variable::kBytesSent},
    {"bytes_received", Variable::kBytesReceived},
    {"bytes_sent", Variable::kBytesSent},
    {"client_ip", Variable::kClientIp},
    {"client_port", Variable::kClientPort},
    {"connection_address", Variable::kPeerAddress},
    {"content_length", Variable::kContentLength},
    {"duration", Variable::kRequestTime},
    {"error", Variable::kError},
    {"escaped_request_uri", Variable::kEscapedRequestUri},
    {"host", Variable::kHost},
    {"hostname", Variable::kHostname},
    {"http_host", Variable::kHttpHost},
    {"is_args", Variable::kIsArgs},
    {"listener", Variable::kListener},
    {"method", Variable::kMethod},
    {"msec", Variable::kMsec},
    {"path", Variable::kPath},
    {"protocol", Variable::kProtocol},
    {"proxy_add_x_forwarded_for", Variable::kAppendedForwardedFor},
    {"query", Variable::kQuery},
    {"query_string", Variable::kQuery},
    {"realip_remote_addr", Variable::kPeerAddress},
    {"remote_addr", Variable::kClientIp},
    {"remote_port", Variable::kClientPort},
    {"remote_user", Variable::kRemoteUser},
    {"req_id", Variable::kRequestId},
    {"request", Variable::kRequestLine},
    {"request_id", Variable::kRequestId},
    {"request_length", Variable::kRequestLength},
    {"request_method", Variable::kMethod},
    {"request_time", Variable::kRequestTime},
    {"request_uri", Variable::kRequestUri},
    {"route", Variable::kRoute},
    {"scheme", Variable::kScheme},
    {"server_addr", Variable::kServerAddress},
    {"server_name", Variable::kServerName},
    {"server_port", Variable::kServerPort},
    {"server_protocol", Variable::kProtocol},
    {"ssl_cipher", Variable::kTlsCipher},
    {"ssl_client_fingerprint", Variable::kTlsClientFingerprint},
    {"ssl_client_s_dn", Variable::kTlsClientSubject},
    {"ssl_client_serial", Variable::kTlsClientSerial},
    {"ssl_client_subject_dn", Variable::kTlsClientSubject},
    {"ssl_protocol", Variable::kTlsVersion},
    {"ssl_server_name", Variable::kServerName},
    {"ssl_session_reused", Variable::kTlsResumed},
    {"status", Variable::kStatus},
    {"the_real_ip", Variable::kClientIp},
    {"time", Variable::kTimeIso8601},
    {"time_iso8601", Variable::kTimeIso8601},
    {"time_local", Variable::kTimeLocal},
    {"tls_cipher", Variable::kTlsCipher},
    {"tls_client_fingerprint", Variable::kTlsClientFingerprint},
    {"tls_client_serial", Variable::kTlsClientSerial},
    {"tls_client_subject", Variable::kTlsClientSubject},
    {"tls_resumed", Variable::kTlsResumed},
    {"tls_server_name", Variable::kServerName},
    {"tls_sni", Variable::kServerName},
    {"tls_version", Variable::kTlsVersion},
    {"upstream", Variable::kUpstreamName},
    {"upstream_addr", Variable::kUpstreamAddress},
    {"upstream_attempts", Variable::kAttempts},
    {"upstream_duration", Variable::kUpstreamTime},
    {"upstream_name", Variable::kUpstreamName},
    {"upstream_response_time", Variable::kUpstreamTime},
    {"upstream_status", Variable::kUpstreamStatus},
    {"upstream_time", Variable::kUpstreamTime},
    {"uri", Variable::kPath},
    {"user", Variable::kRemoteUser},
    {"user_agent", Variable::kRequestField},
    {"version", Variable::kProtocol},
}};
constexpr bool is_sorted() {
  for (size_t i = 1; i < kRows.size(); ++i) {
    if (kRows[i - 1].name >= kRows[i].name) return false;
  }
  return true;
}
static_assert(is_sorted(), "searched by halves");

struct Family {
  std::string_view prefix;
  Variable variable;
};
constexpr std::array<Family, 6> kFamilies = {{{"http_", Variable::kRequestField},
                                              {"header_", Variable::kRequestField},
                                              {"sent_http_", Variable::kResponseField},
                                              {"response_header_", Variable::kResponseField},
                                              {"arg_", Variable::kArgument},
                                              {"cookie_", Variable::kCookie}}};
constexpr std::array<std::string_view, 6> kFamilyNames = {"http_",          "header_", "sent_http_",
                                                          "response_header_", "arg_",    "cookie_"};

constexpr bool is_name_char(char c) { return is_alpha(c) || is_digit(c) || c == '_'; }

// A value that nobody could put into a log line by sending it.
std::string_view escape_for_log(std::string_view value, Arena& arena) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  if (value.empty()) return "-";
  const auto plain = [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; };
  const auto special = static_cast<size_t>(std::count_if(value.begin(), value.end(), [&](char c) { return !plain(c); }));
  if (special == 0) return value;
  char* const text = arena.allocate_text(value.size() + special * 3);
  char* at = text;
  for (const char c : value) {
    if (plain(c)) {
      *at++ = c;
      continue;
    }
    const auto byte = static_cast<uint8_t>(c);
    *at++ = '\\';
    *at++ = 'x';
    *at++ = kHex[byte >> 4];
    *at++ = kHex[byte & 15];
  }
  return {text, static_cast<size_t>(at - text)};
}

Error invalid(std::string* why, std::string sentence) {
  if (why != nullptr) *why = std::move(sentence);
  return {.code = Errc::kInvalid, .detail = "unknown variable or malformed template"};
}

}  // namespace

std::span<const VariableRow> variable_rows() { return kRows; }
std::span<const std::string_view> variable_families() { return kFamilyNames; }

void TextTemplate::add_literal(std::string_view text) {
  if (text.empty()) return;
  if (!pieces_.empty() && pieces_.back().variable == Variable::kLiteral) {
    pieces_.back().size += static_cast<uint32_t>(text.size());
  } else {
    pieces_.push_back({.offset = static_cast<uint32_t>(text_.size()), .size = static_cast<uint32_t>(text.size())});
  }
  text_ += text;
}

bool TextTemplate::add_variable(std::string_view name) {
  if (name.size() == 1 && is_digit(name[0])) {
    pieces_.push_back({.variable = Variable::kGroup, .group = static_cast<uint8_t>(name[0] - '0')});
    return true;
  }
  if (name == "user_agent") return add_variable("http_user_agent");
  const auto* row = std::lower_bound(kRows.begin(), kRows.end(), name,
                                     [](const VariableRow& a, std::string_view b) { return a.name < b; });
  if (row != kRows.end() && row->name == name) {
    pieces_.push_back({.variable = row->variable});
    return true;
  }
  for (const Family& family : kFamilies) {
    if (!name.starts_with(family.prefix) || name.size() == family.prefix.size()) continue;
    const auto offset = static_cast<uint32_t>(text_.size());
    const bool field = family.variable == Variable::kRequestField || family.variable == Variable::kResponseField;
    for (const char c : name.substr(family.prefix.size())) text_ += field && c == '_' ? '-' : c;
    pieces_.push_back({.variable = family.variable,
                       .offset = offset,
                       .size = static_cast<uint32_t>(text_.size() - offset)});
    return true;
  }
  return false;
}

Result<TextTemplate> TextTemplate::parse(std::string_view text, std::string* why) {
  TextTemplate made;
  size_t at = 0;
  while (at < text.size()) {
    const size_t dollar = std::min(text.find('$', at), text.size());
    made.add_literal(text.substr(at, dollar - at));
    at = dollar;
    if (at == text.size()) break;
    ++at;
    if (at < text.size() && text[at] == '$') {
      made.add_literal("$");
      ++at;
      continue;
    }
    const bool braces = at < text.size() && text[at] == '{';
    if (braces) ++at;
    size_t end = at;
    if (end < text.size() && is_digit(text[end])) {
      ++end;
    } else {
      while (end < text.size() && is_name_char(text[end])) ++end;
    }
    const std::string_view name = text.substr(at, end - at);
    if (braces && (end == text.size() || text[end] != '}')) return invalid(why, "\"${\" without its \"}\"");
    if (name.empty()) {
      if (braces) return invalid(why, "\"${}\" names no variable");
      made.add_literal("$");
      continue;
    }
    if (!made.add_variable(name)) return invalid(why, "unknown variable $" + std::string(name));
    at = end + (braces ? 1 : 0);
  }
  // One literal alone is the whole text: no pieces to look at.
  if (made.pieces_.size() == 1 && made.pieces_[0].variable == Variable::kLiteral) made.pieces_.clear();
  return made;
}

bool TextTemplate::needs_response() const {
  return std::any_of(pieces_.begin(), pieces_.end(), [](const Piece& piece) {
    switch (piece.variable) {
      case Variable::kResponseField:
      case Variable::kStatus:
      case Variable::kBytesSent:
      case Variable::kBytesReceived:
      case Variable::kRequestTime:
      case Variable::kRequestLength:
      case Variable::kUpstreamTime:
      case Variable::kUpstreamAddress:
      case Variable::kUpstreamName:
      case Variable::kUpstreamStatus:
      case Variable::kAttempts:
      case Variable::kError: return true;
      default: return false;
    }
  });
}

int TextTemplate::highest_group() const {
  int highest = -1;
  for (const Piece& piece : pieces_) {
    if (piece.variable == Variable::kGroup) highest = std::max<int>(highest, piece.group);
  }
  return highest;
}

std::string_view TextTemplate::value_of(const Piece& piece, Exchange& exchange) const {
  switch (piece.variable) {
    case Variable::kLiteral: return text_of(piece);
    case Variable::kGroup: {
      const Captures* captures = exchange.captures();
      return captures != nullptr && piece.group < captures->count ? captures->groups[piece.group] : std::string_view();
    }
    case Variable::kRequestField: return exchange.request().headers.get(text_of(piece));
    case Variable::kResponseField: return exchange.response().headers.get(text_of(piece));
    case Variable::kArgument: return query_argument(exchange.request().query, text_of(piece));
    case Variable::kCookie: return cookie_value(exchange.request().headers, text_of(piece));
    default: return variable_value(piece.variable, exchange);
  }
}

std::string_view TextTemplate::expand(Exchange& exchange, ValueEscape escape) const {
  if (pieces_.empty()) return text_;
  constexpr size_t kOnStack = 24;
  std::array<std::string_view, kOnStack> few;
  Arena& arena = exchange.arena();
  std::string_view* parts = few.data();
  if (pieces_.size() > kOnStack) {
    parts = static_cast<std::string_view*>(
        arena.allocate(sizeof(std::string_view) * pieces_.size(), alignof(std::string_view)));
  }
  size_t size = 0;
  for (size_t i = 0; i < pieces_.size(); ++i) {
    std::string_view value = value_of(pieces_[i], exchange);
    if (escape == ValueEscape::kLog && pieces_[i].variable != Variable::kLiteral) value = escape_for_log(value, arena);
    new (parts + i) std::string_view(value);
    size += value.size();
  }
  if (pieces_.size() == 1) return parts[0];
  char* const text = arena.allocate_text(size + 1);
  char* at = text;
  for (size_t i = 0; i < pieces_.size(); ++i) {
    if (!parts[i].empty()) std::memcpy(at, parts[i].data(), parts[i].size());
    at += parts[i].size();
  }
  return {text, size};
}

std::string_view query_argument(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    // Names compare without case, as nginx does for $arg_NAME.
    if (pair.size() > name.size() && pair[name.size()] == '=' && starts_with_ignore_case(pair, name)) {
      return pair.substr(name.size() + 1);
    }
  }
  return {};
}

std::string_view cookie_value(const HeaderMap& headers, std::string_view name) {
  for (const Field& field : headers.fields()) {
    if (field.id != FieldId::kCookie) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find(';'), rest.size());
      const std::string_view pair = trim(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (pair.size() > name.size() && pair[name.size()] == '=' && pair.starts_with(name)) {
        return trim(pair.substr(name.size() + 1));
      }
    }
  }
  return {};
}

}  // namespace headgate::http
