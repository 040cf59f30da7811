// links: headgate_json
// Any bytes as a configuration file: no crash; what is accepted prints, and the print is accepted and prints the same.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "proto/json/print.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;  // NOLINT: a program of its own
  json::ReadOptions options;
  options.folder = "/srv";
  options.read_file = [](const std::string&) { return Result<std::string>(std::string("not PEM")); };
  const std::string text(reinterpret_cast<const char*>(data), size);
  const json::ConfigFile first = json::read_config(text, options);
  if (!first.ok()) {
    for (const json::Diagnostic& one : first.diagnostics) {
      if (json::to_string(one).empty()) std::abort();
    }
    return 0;
  }
  const std::string printed = json::print_config(first);
  const json::ConfigFile second = json::read_config(printed, options);
  if (!second.ok() || json::print_config(second) != printed) std::abort();
  if (json::print_resources(first.resources).empty()) std::abort();
  return 0;
}
