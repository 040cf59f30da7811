#include "dataplane/http/variable_value.h"

#include <unistd.h>

#include <array>
#include <cstring>

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "dataplane/http/date.h"
#include "dataplane/http/exchange.h"
#include "dataplane/http/forwarded.h"
#include "dataplane/http/request_id.h"
#include "dataplane/http/uri.h"

namespace headgate::http {

namespace {

std::string_view number_text(uint64_t value, Arena& arena) {
  char* const text = arena.allocate_text(20);
  return {text, static_cast<size_t>(write_decimal(text, value) - text)};
}

// Seconds with milliseconds: "1.042".
std::string_view seconds_text(Duration duration, Arena& arena) {
  const int64_t count = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  const uint64_t milliseconds = count > 0 ? static_cast<uint64_t>(count) : 0;
  char* const text = arena.allocate_text(24);
  char* at = write_decimal(text, milliseconds / 1000);
  *at++ = '.';
  *at++ = static_cast<char>('0' + milliseconds / 100 % 10);
  *at++ = static_cast<char>('0' + milliseconds / 10 % 10);
  *at++ = static_cast<char>('0' + milliseconds % 10);
  return {text, static_cast<size_t>(at - text)};
}

std::string_view ip_text(const IpAddress& address, Arena& arena) {
  char* const text = arena.allocate_text(46);
  return {text, static_cast<size_t>(address.write(text) - text)};
}

// Address without port, or "unix:" as nginx says.
std::string_view address_text(const SocketAddress& address, Arena& arena) {
  if (address.is_ip()) return ip_text(address.address(), arena);
  return address.is_unix() ? std::string_view("unix:") : std::string_view();
}

std::string_view protocol_text(Version version) {
  switch (version) {
    case Version::kHttp10: return "HTTP/1.0";
    case Version::kHttp11: return "HTTP/1.1";
    case Version::kHttp2: return "HTTP/2.0";
  }
  return {};
}

std::string_view hostname() {
  static const std::array<char, 256> name = [] {
    std::array<char, 256> text{};
    if (::gethostname(text.data(), text.size() - 1) != 0) text[0] = '\0';
    return text;
  }();
  return name.data();
}

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

// The user of "Authorization: Basic ...", whatever the password; empty when it is none.
std::string_view remote_user(const HeaderMap& headers, Arena& arena) {
  constexpr std::string_view kBasic = "Basic ";
  const std::string_view credentials = headers.get(FieldId::kAuthorization);
  if (!starts_with_ignore_case(credentials, kBasic)) return {};
  const std::string_view coded = trim(credentials.substr(kBasic.size()));
  char* const text = arena.allocate_text(coded.size() + 1);
  size_t size = 0;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : coded) {
    const int digit = base64_digit(c);
    if (digit < 0) break;
    bits = (bits << 6) | static_cast<uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    const auto byte = static_cast<char>((bits >> count) & 0xff);
    if (byte == ':') return {text, size};
    text[size++] = byte;
  }
  return {};
}

std::string_view request_line(const RequestHead& head, Arena& arena) {
  return arena.concat(head.method_text, " ", head.target, " ", protocol_text(head.version));
}

std::string_view status_text(uint16_t status, Arena& arena) {
  return status == 0 ? std::string_view() : number_text(status, arena);
}

std::string_view tls_value(Variable variable, const TlsFacts* tls) {
  if (tls == nullptr) return {};
  switch (variable) {
    case Variable::kServerName: return tls->server_name;
    case Variable::kTlsVersion: return tls->version;
    case Variable::kTlsCipher: return tls->cipher;
    case Variable::kTlsResumed: return tls->resumed ? "r" : ".";
    case Variable::kTlsClientSubject: return tls->client_subject;
    case Variable::kTlsClientFingerprint: return tls->client_fingerprint;
    case Variable::kTlsClientSerial: return tls->client_serial;
    default: return {};
  }
}

std::string_view time_value(Variable variable, Exchange& exchange) {
  event::Loop& loop = exchange.worker().loop;
  DateCache* const dates = exchange.worker().date;
  if (variable == Variable::kMsec) return seconds_text(loop.wall().time_since_epoch(), exchange.arena());
  // The cache changes with the second, the text must not.
  if (dates == nullptr) return {};
  return exchange.arena().copy(variable == Variable::kTimeLocal ? dates->log_time(loop) : dates->iso8601(loop));
}

}  // namespace

std::string_view variable_value(Variable variable, Exchange& exchange) {
  Arena& arena = exchange.arena();
  const RequestHead& request = exchange.request();
  const ConnectionFacts& connection = exchange.connection();
  switch (variable) {
    case Variable::kLiteral:
    case Variable::kGroup:
    case Variable::kRequestField:
    case Variable::kResponseField:
    case Variable::kArgument:
    case Variable::kCookie: return {};  // TextTemplate::value_of
    case Variable::kScheme: return scheme_name(request.scheme);
    case Variable::kHost: return request.host;
    case Variable::kHttpHost: return request.authority;
    case Variable::kPath: return request.path;
    case Variable::kRequestUri: return exchange.original_target();  // a rewrite does not change it
    case Variable::kEscapedRequestUri: return encode_path(exchange.original_target(), "", arena);
    case Variable::kQuery: return request.query;
    case Variable::kIsArgs: return request.query.empty() ? "" : "?";
    case Variable::kMethod: return request.method_text;
    case Variable::kProtocol: return protocol_text(request.version);
    case Variable::kRequestLine: return request_line(request, arena);
    case Variable::kContentLength:
      return request.content_length ? number_text(*request.content_length, arena) : std::string_view();
    case Variable::kRequestLength:
    case Variable::kBytesReceived: return number_text(exchange.body_bytes_received, arena);
    case Variable::kClientIp:
      return connection.remote.is_ip() ? ip_text(exchange.client_address, arena) : address_text(connection.remote, arena);
    case Variable::kClientPort:
      // Behind a proxy the client's port is not known.
      return connection.remote.is_ip() && exchange.client_address == connection.remote.address()
                 ? number_text(connection.remote.port(), arena)
                 : std::string_view();
    case Variable::kPeerAddress:
      return address_text(connection.peer.family() == SocketAddress::Family::kNone ? connection.remote : connection.peer,
                          arena);
    case Variable::kRemoteUser: return remote_user(request.headers, arena);
    case Variable::kRequestId: return request_id_of(exchange);
    case Variable::kServerName:
    case Variable::kTlsVersion:
    case Variable::kTlsCipher:
    case Variable::kTlsResumed:
    case Variable::kTlsClientSubject:
    case Variable::kTlsClientFingerprint:
    case Variable::kTlsClientSerial: return tls_value(variable, connection.tls);
    case Variable::kServerAddress: return address_text(connection.local, arena);
    case Variable::kServerPort:
      return connection.local.is_ip() ? number_text(connection.local.port(), arena) : std::string_view();
    case Variable::kHostname: return hostname();
    case Variable::kListener: return exchange.listener_name;
    case Variable::kRoute: return exchange.route_name;
    case Variable::kStatus: return status_text(exchange.response().status, arena);
    case Variable::kBytesSent: return number_text(exchange.body_bytes_sent, arena);
    case Variable::kRequestTime: return seconds_text(exchange.worker().loop.now() - exchange.started, arena);
    case Variable::kUpstreamTime:
      return exchange.attempts == 0 ? std::string_view() : seconds_text(exchange.upstream_duration, arena);
    case Variable::kUpstreamAddress: return exchange.upstream_address;
    case Variable::kUpstreamName: return exchange.upstream_name;
    case Variable::kUpstreamStatus: return status_text(exchange.upstream_status, arena);
    case Variable::kAttempts: return number_text(exchange.attempts, arena);
    case Variable::kError: return exchange.failed ? arena.copy(to_string(exchange.error)) : std::string_view();
    case Variable::kTimeIso8601:
    case Variable::kTimeLocal:
    case Variable::kMsec: return time_value(variable, exchange);
    case Variable::kAppendedForwardedFor: return appended_forwarded_for(exchange, arena);
  }
  return {};
}

}  // namespace headgate::http
