// diagnostic.h -- one finding about a configuration file, with the place it is about.
// Thread: any (values).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace headgate::json {

enum class Severity : uint8_t { kError, kWarning };  // a warning never stops a configuration from being used

struct Diagnostic {
  Severity severity = Severity::kError;
  std::string file;
  uint32_t line = 0;  // 1-based; 0: no place in a text (a command line)
  uint32_t column = 0;
  std::string path;     // "$.dispatch[1].path"
  std::string rule;     // stable name for tests and tools; "unknown-key"
  std::string message;  // what is wrong and what is expected
};

// "site.json:12:5: error: $.listen[0].uri: unknown scheme ... [uri]"
std::string to_string(const Diagnostic& diagnostic);

bool has_errors(const std::vector<Diagnostic>& diagnostics);

}  // namespace headgate::json
