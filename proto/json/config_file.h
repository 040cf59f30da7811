// config_file.h -- the users' JSON file becomes resource messages.
// Thread: any; reads no file itself but through the FileReader it is given.   Owner: the caller.
// Relative paths in the file are relative to the folder of the file, whatever the working directory is.
// Every problem is reported at once, each with file, line, column, JSON path and what is expected; what proto/check
// finds in the messages is mapped back to the place in the text.
#pragma once

#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "headgate/config/v1/resources.pb.h"
#include "proto/json/diagnostic.h"
#include "proto/json/json_text.h"

namespace headgate::json {

// Whole contents of the file at an absolute or working-directory path.
using FileReader = std::function<Result<std::string>(const std::string& path)>;

struct ReadOptions {
  std::string file_name = "config.json";  // for messages
  std::string folder;                     // what relative paths are joined to; empty: they stay relative
  FileReader read_file;                   // for certificates, keys, authorities and zone files
  std::time_t now = 0;                    // for the dates of certificates (warnings); 0: not looked at
};

struct ConfigFile {
  std::unique_ptr<Document> document;   // never null; the text as read, for print()
  config::v1::ResourceSet resources;    // normalized; usable only if ok()
  std::vector<Diagnostic> diagnostics;  // in the order of the text
  [[nodiscard]] bool ok() const { return !has_errors(diagnostics); }
};

ConfigFile read_config(std::string text, const ReadOptions& options);

// Folder of a path, made absolute with `working_directory`: what ReadOptions.folder should be.
std::string folder_of(const std::string& file, const std::string& working_directory);

}  // namespace headgate::json
