// pattern.h -- the path patterns of headgate::Server.
//
//   "/a/b"           that path
//   "/a/*"           "/a" and everything below it
//   "/users/{id}/x"  one segment each, at most nine; may end in "/*"
//
// Order when several fit: exact paths, then patterns with {names} as they were added, then the longest "/*".
// Thread: any (pure).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/regex.h"
#include "dataplane/routing/route.h"

namespace headgate::embed {

struct Pattern {
  routing::Route::PathKind kind = routing::Route::PathKind::kExact;
  std::string path;                    // kExact, kPrefix: as routing::Route::path
  std::shared_ptr<const Regex> regex;  // kRegex
  std::vector<std::string> names;      // of its groups
};

// kInvalid: `why` gets a sentence.
Result<Pattern> parse_pattern(std::string_view text, std::string& why);

}  // namespace headgate::embed
