// compress.h -- compresses responses for clients that accept it, and remembers the result for files.
// Phase: RESPONSE.   Thread: see filter.h.   Spec: RFC 9110 8.4, 12.5.3 (Accept-Encoding), RFC 9111 5.2.2.6 (no-transform).
//
// Left alone: what is encoded already, partial content, Cache-Control: no-transform, answers with Set-Cookie (a secret
// beside text the client chose can be guessed from the size) unless `with_cookies`, types not listed, sizes outside the
// bounds. What could have been compressed says Vary: Accept-Encoding; what was has a weak ETag.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/http/accept.h"
#include "dataplane/http/filter.h"
#include "dataplane/http/message.h"

namespace headgate::filters {

struct CompressOptions {
  std::vector<http::Coding> codings{http::Coding::kGzip};  // what may be made; the earlier when a client likes two alike
  std::vector<std::string> content_types;  // "text/html", "text/*"; empty: see http::is_compressible
  uint64_t min_bytes = 256;                // of bodies whose length is known
  uint64_t max_bytes = 5 * 1024 * 1024;
  int level = 5;  // 1-9, for brotli to 11, for zstd to 19
  bool with_cookies = false;
};

class Compress final : public http::Filter {
 public:
  explicit Compress(CompressOptions options) : options_(std::move(options)) {}
  http::FilterRun* start(http::Exchange& exchange, WorkerContext& worker) const override;

 private:
  const CompressOptions options_;
};

}  // namespace headgate::filters
