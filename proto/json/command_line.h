// command_line.h -- `headgate http://:8080 -root DIR` and its relatives as a configuration file.
// Thread: any (pure).   Owner: the caller.
// The words become the text of a file, so that one reader, one set of checks and `print` serve both.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proto/json/diagnostic.h"

namespace headgate::json {

struct CommandLine {
  std::vector<std::string> listen;  // "http://:8080", "tcp://:3307"; at least one
  std::vector<std::string> to;      // -to, several times: one pool; without a scheme: the listener's
  std::string root;                 // -root; empty: ./html when nothing is forwarded
  std::string cert;                 // -cert
  std::string key;                  // -key
  std::optional<uint32_t> backlog;  // -c
  std::string admin;                // -admin; empty: the default
};

struct CommandLineText {
  std::string json;                  // empty after a problem
  std::vector<Diagnostic> problems;  // file "command line", no position
};

// What each listener does:
//   no -to                            http, https, unix: static files of -root; tcp, ssl, udp, unixgram: a problem
//   http, https                       proxies to http://, https://, unix:// (tcp:// and ssl:// mean http:// and
//   https://) unix                              proxies when the target is http:// or https://, else forwards bytes
//   tcp, ssl, udp, unixgram           forwards; http:// and https:// targets mean tcp:// and ssl:// there
CommandLineText translate_command_line(const CommandLine& line);

// The diagnostics of reading that text, without its lines and columns, which nobody has seen.
void drop_positions(std::vector<Diagnostic>& diagnostics);

}  // namespace headgate::json
