#include "proto/json/uri.h"

#include <array>

#include "dataplane/base/address.h"
#include "dataplane/base/host_name.h"
#include "dataplane/base/text.h"

namespace headgate::json {

namespace {

struct SchemeRow {
  std::string_view name;
  Scheme scheme;
  bool listens;
  uint16_t port;  // default; 0: one must be given
};
constexpr std::array<SchemeRow, 12> kSchemes{{
    {"http", Scheme::kHttp, true, 80},
    {"https", Scheme::kHttps, true, 443},
    {"tcp", Scheme::kTcp, true, 0},
    {"ssl", Scheme::kSsl, true, 0},
    {"udp", Scheme::kUdp, true, 0},
    {"unix", Scheme::kUnix, true, 0},
    {"unixgram", Scheme::kUnixgram, true, 0},
    {"h2c", Scheme::kH2c, false, 80},
    {"h2", Scheme::kH2, false, 443},
    {"grpc", Scheme::kGrpc, false, 80},
    {"grpcs", Scheme::kGrpcs, false, 443},
    {"upstream", Scheme::kUpstream, false, 0},
}};

std::string known_schemes(bool listening) {
  std::string out;
  for (const SchemeRow& row : kSchemes) {
    if (listening && !row.listens) continue;
    out += (out.empty() ? "" : ", ") + std::string(row.name);
  }
  return out;
}

const SchemeRow* find_scheme(std::string_view name, bool listening) {
  for (const SchemeRow& row : kSchemes) {
    if (equals_ignore_case(row.name, name) && (row.listens || !listening)) return &row;
  }
  return nullptr;
}

bool parse_unix_path(std::string_view rest, Uri& uri, std::string& why) {
  if ((!rest.starts_with('/') && !rest.starts_with('@')) || rest.size() < 2) {
    why = "expected an absolute path after " + std::string(scheme_name(uri.scheme)) + "://, for example " +
          std::string(scheme_name(uri.scheme)) + ":///tmp/app.sock";
    return false;
  }
  if (!SocketAddress::unix_path(rest).has_value()) {
    why = "the path of a Unix socket has at most 107 bytes";
    return false;
  }
  uri.path = rest;
  return true;
}

bool parse_authority(std::string_view rest, const SchemeRow& row, Uri& uri, std::string& why) {
  if (rest.ends_with('/') && is_http_scheme(row.scheme)) rest.remove_suffix(1);
  if (const size_t slash = rest.find_first_of("/?#"); slash != std::string_view::npos) {
    why = "no path is expected after the port, found " + quote_json(rest.substr(slash)) +
          "; what part of a path is passed on is said by path and strip_prefix";
    return false;
  }
  if (rest.find('@') != std::string_view::npos) {
    why = "user and password have no place here";
    return false;
  }
  const auto parts = parse_host_port(rest, row.port);
  if (!parts.has_value()) {
    why = parts.error().detail;
    return false;
  }
  if (parts->port == 0) {
    const bool given = rest.ends_with(":0");
    if (!given) {
      why = std::string(row.name) + ":// has no usual port; expected " + std::string(row.name) + "://ADDRESS:PORT";
      return false;
    }
  }
  uri.host = parts->host;
  uri.port = parts->port;
  return true;
}

bool parse_uri(std::string_view text, bool listening, Uri& uri, std::string& why) {
  const size_t mark = text.find("://");
  if (mark == std::string_view::npos) {
    why =
        "expected SCHEME://..., found " + quote_json(text.substr(0, 200)) + "; schemes are " + known_schemes(listening);
    return false;
  }
  const SchemeRow* row = find_scheme(text.substr(0, mark), listening);
  if (row == nullptr) {
    why = "unknown scheme " + quote_json(text.substr(0, std::min<size_t>(mark, 40))) + "; expected one of " +
          known_schemes(listening);
    return false;
  }
  uri = Uri();
  uri.scheme = row->scheme;
  const std::string_view rest = text.substr(mark + 3);
  if (!is_field_value(rest)) {
    why = "control characters are not allowed here";
    return false;
  }
  if (is_path_scheme(uri.scheme)) return parse_unix_path(rest, uri, why);
  if (uri.scheme == Scheme::kUpstream) {
    if (rest.empty()) why = "expected a name after upstream://";
    uri.path = rest;
    return !rest.empty();
  }
  return parse_authority(rest, *row, uri, why);
}

}  // namespace

std::string_view scheme_name(Scheme scheme) {
  for (const SchemeRow& row : kSchemes) {
    if (row.scheme == scheme) return row.name;
  }
  return "";
}

bool is_path_scheme(Scheme scheme) { return scheme == Scheme::kUnix || scheme == Scheme::kUnixgram; }
bool is_http_scheme(Scheme scheme) {
  return scheme == Scheme::kHttp || scheme == Scheme::kHttps || scheme == Scheme::kH2c || scheme == Scheme::kH2 ||
         scheme == Scheme::kGrpc || scheme == Scheme::kGrpcs;
}
bool is_tls_scheme(Scheme scheme) {
  return scheme == Scheme::kHttps || scheme == Scheme::kSsl || scheme == Scheme::kH2 || scheme == Scheme::kGrpcs;
}
bool is_datagram_scheme(Scheme scheme) { return scheme == Scheme::kUdp || scheme == Scheme::kUnixgram; }

bool parse_listen_uri(std::string_view text, Uri& uri, std::string& why) {
  if (!parse_uri(text, true, uri, why)) return false;
  if (is_path_scheme(uri.scheme)) return true;
  if (uri.host == "*") uri.host.clear();
  // A name would have to be looked up before anything runs; this one is the same everywhere.
  if (equals_ignore_case(uri.host, "localhost")) uri.host = "127.0.0.1";
  if (!uri.host.empty() && !IpAddress::parse(uri.host).has_value()) {
    why = "expected an IP address to listen on, or none for all, found " + quote_json(uri.host);
    return false;
  }
  return true;
}

bool parse_target_uri(std::string_view text, Uri& uri, std::string& why) {
  if (!parse_uri(text, false, uri, why)) return false;
  if (is_path_scheme(uri.scheme) || uri.scheme == Scheme::kUpstream) return true;
  if (uri.host.empty()) {
    why = "expected a host, found " + quote_json(text);
    return false;
  }
  if (uri.port == 0) {
    why = "a target needs a port from 1 to 65535";
    return false;
  }
  if (!IpAddress::parse(uri.host).has_value() && !is_valid_host_name(uri.host)) {
    why = quote_json(uri.host) + " is neither an IP address nor a host name";
    return false;
  }
  if (!IpAddress::parse(uri.host).has_value()) uri.host = normalize_host(uri.host);
  return true;
}

std::string to_string(const Uri& uri) {
  std::string out = std::string(scheme_name(uri.scheme)) + "://";
  if (is_path_scheme(uri.scheme) || uri.scheme == Scheme::kUpstream) return out + uri.path;
  const bool brackets = uri.host.find(':') != std::string::npos;
  out += brackets ? "[" + uri.host + "]" : uri.host;
  return out + ":" + std::to_string(uri.port);
}

}  // namespace headgate::json
