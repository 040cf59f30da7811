// preset.h -- the usual sidecars in one word each, compiled to a configuration file.
//
//   tls:8443->8080                          HTTPS on port 8443, plain HTTP to the application; needs a TLS secret
//   tls:8443->unix:/run/app/app.sock        the same to a Unix socket in a volume that the application mounts
//   http:8080->3000                         HTTP to the application, with Headgate's limits in front of it
//   static:8080->/srv/www                   files of a volume that the application mounts
//   tcp:5432->tls/db.example:5432           127.0.0.1:5432 for the application, TLS to the database (with the client
//                                           certificate of the TLS secret, when there is one)
//   tcp:3306->db.shop.svc:3306              the same without TLS
//   statsd:tcp/8125->udp/10.0.0.9:8125      lines that arrive on 127.0.0.1:8125 leave as datagrams
//
// Several are separated by commas.
// Thread: any (pure).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace headgate::inject {

inline constexpr size_t kMaxPresets = 16;

struct CompiledPreset {
  std::string json;                   // the file
  bool needs_tls_secret = false;
  std::vector<std::string> folders;   // that the sidecar must share with the application: of sockets and files
  std::vector<std::string> problems;  // any: `json` is empty
};

// `has_tls_secret`: where TLS is optional, the files of the secret are used.
CompiledPreset compile_presets(std::string_view text, bool has_tls_secret);

}  // namespace headgate::inject
