// config_check.h -- `headgate check`, `print` and `explain -config`: what can be said about a file without serving it.
// Thread: the only one of its process (reads files, builds what the file describes).   Owner: cli.
#pragma once

#include <string>
#include <vector>

#include "dataplane/control/options.h"
#include "dataplane/explain/question.h"

namespace headgate::control {

struct ConfigReport {
  bool ok = false;
  std::vector<std::string> problems;  // one line each, FILE:LINE:COLUMN first; warnings too
  std::string text;                   // what to print
};

// Reads, checks and builds options.file, as the start of a server does; binds nothing.
ConfigReport check_config(const Options& options);
// The canonical text of options.file, or its messages with options.resources.
ConfigReport print_config(const Options& options);
// What a request would get if options.config were served.
ConfigReport explain_config(const Options& options, explain::Question question);
// The "admin" key of options.config; empty when there is no readable file, or no such key in it.
std::string configured_admin(const Options& options);

}  // namespace headgate::control
