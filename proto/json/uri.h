// uri.h -- the addresses of the users' file: "http://:8080", "tcp://db.lan:3306", "unix:///tmp/app.sock".
// Thread: any (pure).   A Unix path follows "unix://"; "unix:@name" does not exist: write "unix://@name".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace headgate::json {

enum class Scheme : uint8_t {
  kHttp,
  kHttps,
  kTcp,
  kSsl,
  kUdp,
  kUnix,
  kUnixgram,
  // Targets only.
  kH2c,
  kH2,
  kGrpc,
  kGrpcs,
  kUpstream,
};
std::string_view scheme_name(Scheme scheme);
bool is_path_scheme(Scheme scheme);      // unix, unixgram
bool is_http_scheme(Scheme scheme);      // spoken to with HTTP; unix is not one by itself
bool is_tls_scheme(Scheme scheme);       // https, ssl, h2, grpcs
bool is_datagram_scheme(Scheme scheme);  // udp, unixgram

struct Uri {
  Scheme scheme = Scheme::kHttp;
  std::string host;   // without brackets; empty: every address (listeners)
  uint16_t port = 0;  // default of the scheme filled in
  std::string path;   // Unix path, or the name after upstream://
};

// False: `why` says what is wrong and what is expected.
bool parse_listen_uri(std::string_view text, Uri& uri, std::string& why);
// A target without a scheme is refused here; the command line adds the listener's first.
bool parse_target_uri(std::string_view text, Uri& uri, std::string& why);

// "http://127.0.0.1:8000", "http://[::1]:80", "unix:///run/a.sock", "upstream://app".
std::string to_string(const Uri& uri);

}  // namespace headgate::json
