// file_response.h -- turns a found file, or a folder to list, into a response: representation, conditions, ranges.
// Thread: worker.   Spec: RFC 9110 12.5.3, 13.2.2, 14.   Note: nothing of `options` is used once the response is given.
#pragma once

#include <string_view>

#include "dataplane/handlers/file_cache.h"
#include "dataplane/handlers/static_files.h"
#include "dataplane/http/exchange.h"

namespace headgate::handlers {

// `file` is of kind kFile. The request is GET or HEAD.
void send_file(http::Exchange& exchange, FileCache& cache, const StaticFilesOptions& options, const FileRef& file);

// `path`: of the folder below the root; `title`: what the page calls it.
void send_listing(http::Exchange& exchange, FileCache& cache, const StaticFilesOptions& options, std::string_view path,
                  std::string_view title);

}  // namespace headgate::handlers
