// static_files.h -- files below a folder as responses: index, try_files, listing, ranges, conditions, compressed siblings.
//
// GET and HEAD serve, OPTIONS names the methods, others get 405. The path of the request is decoded once; what leaves
// the root, goes through a refused link, or is no regular file is "not there". A folder without its slash is redirected.
// Compression on the fly is the filter's work (filters/compress.h).
// Thread: see handler.h.   Spec: RFC 9110 8.8 (validators), 12.5.3, 13 (conditions), 14 (ranges).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/handlers/file_cache.h"
#include "dataplane/http/handler.h"

namespace headgate::handlers {

struct StaticFilesOptions {
  FileRoot root;                                   // absolute; may be a link itself; need not exist yet
  std::vector<std::string> index{"index.html"};    // tried in order for a folder
  bool autoindex = false;                          // list a folder without index; else 403
  // As in nginx: names with $uri, the first that exists is served ("NAME/" asks for a folder); the last is the fallback:
  // a path, or "=404" for any status. Empty: the path itself.
  std::vector<std::string> try_files;
  std::string cache_control;                       // empty: no such field
  bool precompressed = true;                       // FILE.br, FILE.zst, FILE.gz beside FILE
  std::vector<std::pair<std::string, std::string>> content_types;  // extension without dot -> type, before the table
  std::string strip_prefix;                        // cut by segments before the lookup; "/docs"
};

class StaticFiles final : public http::Handler {
 public:
  // kInvalid: a root that is not absolute, an unknown variable or a bad status in try_files, an index with a slash in
  // front. `why`, if given, gets a sentence for the user.
  static Result<std::unique_ptr<StaticFiles>> create(StaticFilesOptions options, std::string* why = nullptr);

  http::Run* start(http::Exchange& exchange, WorkerContext& worker) const override;

 private:
  // "before$uri after": one name of try_files.
  struct Candidate {
    std::string before;
    bool has_uri = false;
    std::string after;
    bool folder = false;
  };
  struct Fallback {
    uint16_t status = 0;  // 0: serve the path
    Candidate path;
  };
  class Lookup;  // one request on its way to a file

  StaticFiles() = default;
  static Result<Candidate> parse_candidate(std::string_view text, std::string* why);

  StaticFilesOptions options_;
  std::vector<Candidate> candidates_;
  std::optional<Fallback> fallback_;
};

}  // namespace headgate::handlers
