#include "controlplane/translate/path_pattern.h"

#include "controlplane/translate/values.h"
#include "dataplane/base/regex.h"
#include "dataplane/base/text.h"

namespace headgate::translate {

std::optional<PathPattern> path_pattern(std::string_view path, std::string* why) {
  PathPattern pattern;
  pattern.regex = "^";
  pattern.names.emplace_back();  // group 0
  bool in_class = false;
  for (size_t i = 0; i < path.size(); ++i) {
    const char c = path[i];
    if (c == '\\' && i + 1 < path.size()) {
      pattern.regex += c;
      pattern.regex += path[++i];
      continue;
    }
    if (c == '[') in_class = true;
    if (c == ']') in_class = false;
    pattern.regex += c;
    if (c != '(' || in_class) continue;
    const std::string_view rest = path.substr(i + 1);
    const bool named =
        (rest.starts_with("?<") && !rest.starts_with("?<=") && !rest.starts_with("?<!")) || rest.starts_with("?P<");
    if (named) {
      const size_t start = rest.find('<') + 1;
      const size_t end = rest.find('>');
      if (end == std::string_view::npos) {
        *why = "a group has a name without its end";
        return std::nullopt;
      }
      pattern.names.emplace_back(rest.substr(start, end - start));
      i += end + 1;
    } else if (!rest.starts_with('?')) {
      pattern.names.emplace_back();
    }
  }
  const auto compiled = Regex::compile(pattern.regex, Regex::Case::kIgnore, why);
  if (!compiled) return std::nullopt;
  pattern.groups = static_cast<int>(compiled->group_count());
  return pattern;
}

std::optional<std::string> rewrite_text(std::string_view target, const PathPattern& pattern, std::string* why) {
  Constants groups;
  for (size_t i = 1; i < pattern.names.size() && i < 10; ++i) {
    if (!pattern.names[i].empty()) groups.emplace_back(pattern.names[i], "$" + std::to_string(i));
  }
  const std::string named = our_variables(target, groups);
  std::string text;
  for (size_t i = 0; i < named.size(); ++i) {
    if (named[i] == '$' && i + 1 < named.size() && is_digit(named[i + 1]) && named[i + 1] - '0' > pattern.groups) {
      ++i;
      continue;
    }
    text += named[i];
  }
  *why = unknown_variable(text, pattern.groups);
  if (!why->empty()) return std::nullopt;
  return text;
}

}  // namespace headgate::translate
