// config_loader.h -- the configuration that this process was started with: a file, or the words of the command line.
// Thread: control (reads files).   Owner: Supervisor, cli.
#pragma once

#include <string>
#include <vector>

#include "dataplane/base/file_print.h"
#include "dataplane/control/options.h"
#include "proto/json/config_file.h"

namespace headgate::control {

class ConfigLoader {
 public:
  explicit ConfigLoader(const Options& options);

  // Reads everything anew. Diagnostics carry file, line and column (none for the command line).
  json::ConfigFile load();
  // Reads `text` instead of the file (the last good configuration, kept over a crash).
  json::ConfigFile load_text(std::string text);
  // Of all files that were read since the latest load() began, or should have been, from before that.
  [[nodiscard]] const FilePrints& prints() const { return prints_; }
  // Empty when the command line says it all.
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  Options options_;
  std::string path_;
  std::string folder_;
  FilePrints prints_;
};

// Whole contents; kInvalid above 64 MiB.
Result<std::string> read_whole_file(const std::string& path);
// One line each, errors and warnings, as check prints them.
std::vector<std::string> lines_of(const std::vector<json::Diagnostic>& diagnostics);

}  // namespace headgate::control
