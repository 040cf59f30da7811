// rewrite.h -- changes the path (and host) that the handler sees.
// Phase: REWRITE.   Thread: see filter.h.
//
// A new path that has a '?' brings its own query; otherwise the query stays. What comes out is encoded where it must be
// and normalized like a path from the wire: a value that leads out of the root is 400.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "dataplane/base/regex.h"
#include "dataplane/base/result.h"
#include "dataplane/http/filter.h"
#include "dataplane/http/variables.h"

namespace headgate::filters {

struct PathRewriteOptions {
  enum class Kind : uint8_t {
    kNone,    // the path stays
    kFull,    // `text` is the whole path; $variables, groups of the regex that matched the route
    kPrefix,  // `text` in place of `matched_prefix`, by whole segments
    kRegex,   // the first match of `pattern` becomes `text`, with $1..$9
  };
  Kind kind = Kind::kNone;
  std::string text;
  std::string matched_prefix;  // kPrefix: what the route matched; "" or "/" is everything
  std::string pattern;         // kRegex: RE2
};

// The rule alone; redirects use it, too.
class PathRewriter {
 public:
  PathRewriter() = default;
  // kInvalid, with a sentence for the user: a bad pattern, an unknown variable, a group that the pattern does not have.
  static Result<PathRewriter> create(PathRewriteOptions options, std::string* why = nullptr);

  [[nodiscard]] bool changes() const { return options_.kind != PathRewriteOptions::Kind::kNone; }
  struct Target {
    std::string_view path;  // in the arena, normalized
    std::string_view query;
    bool has_query = false;
  };
  // kMalformed (downstream): no path comes out.
  [[nodiscard]] Result<Target> apply(http::Exchange& exchange) const;

 private:
  [[nodiscard]] std::string_view replaced(http::Exchange& exchange) const;

  PathRewriteOptions options_;
  http::TextTemplate template_;  // kFull
  std::optional<Regex> regex_;   // kRegex
};

struct RewriteOptions {
  PathRewriteOptions path;
  std::string host;  // Host sent on; empty: unchanged
};

class Rewrite final : public http::Filter {
 public:
  static Result<std::unique_ptr<Rewrite>> create(RewriteOptions options, std::string* why = nullptr);
  http::FilterRun* start(http::Exchange& exchange, WorkerContext& worker) const override;

 private:
  class RewriteRun;
  Rewrite() = default;

  PathRewriter path_;
  std::string host_;
};

}  // namespace headgate::filters
