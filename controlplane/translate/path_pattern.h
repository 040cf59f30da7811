// path_pattern.h -- a path of an Ingress as the regular expression it stands for, and rewrite-target in its terms.
// Thread: any (pure).   Owner: the caller.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headgate::translate {

struct PathPattern {
  std::string regex;                // "^/api/(.*)"
  int groups = 0;
  std::vector<std::string> names;   // of the groups from 1 on; empty where there is none
};
// Named groups "(?<name>" become plain ones. nullopt with `why`: not a pattern that can be matched in linear time.
std::optional<PathPattern> path_pattern(std::string_view path, std::string* why);

// The target with $1..$9 and $variables; named groups become numbers, groups the pattern does not have are empty.
// nullopt with `why`: an unknown variable.
std::optional<std::string> rewrite_text(std::string_view target, const PathPattern& pattern, std::string* why);

}  // namespace headgate::translate
