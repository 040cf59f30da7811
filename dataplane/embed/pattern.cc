#include "dataplane/embed/pattern.h"

#include <algorithm>

#include "dataplane/base/text.h"
#include "dataplane/http/uri.h"

namespace headgate::embed {
namespace {

constexpr size_t kMaxNames = 9;  // the groups that Captures can hold

Error invalid(std::string& why, std::string sentence) {
  why = std::move(sentence);
  return {.code = Errc::kInvalid, .detail = "path pattern"};
}

bool is_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return is_alpha(c) || is_digit(c) || c == '_'; });
}

void append_quoted(std::string& regex, std::string_view literal) {
  for (const char c : literal) {
    if (!is_alpha(c) && !is_digit(c)) regex.push_back('\\');
    regex.push_back(c);
  }
}

// A literal that no normalized path can equal would never match: say so instead.
bool is_normalized(std::string_view path) {
  Arena arena;
  const auto normalized = http::normalize_path(path, arena);
  return normalized.has_value() && *normalized == path;
}

Result<Pattern> parse_names(std::string_view text, bool below, std::string& why) {
  Pattern pattern{.kind = routing::Route::PathKind::kRegex};
  std::string regex = "(?s)^";
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t open = rest.find('{');
    append_quoted(regex, rest.substr(0, open));
    if (open == std::string_view::npos) break;
    const size_t close = rest.find('}', open);
    if (close == std::string_view::npos) return invalid(why, "a '{' without its '}'");
    const std::string_view name = rest.substr(open + 1, close - open - 1);
    if (!is_name(name)) return invalid(why, "a name between braces has letters, digits and '_'");
    if (std::ranges::find(pattern.names, name) != pattern.names.end()) return invalid(why, "a name that occurs twice");
    if (pattern.names.size() == kMaxNames) return invalid(why, "more than nine names");
    const bool whole = open > 0 && rest[open - 1] == '/' && (close + 1 == rest.size() || rest[close + 1] == '/');
    if (!whole) return invalid(why, "a {name} is a whole segment");
    pattern.names.emplace_back(name);
    regex += "([^/]+)";
    rest.remove_prefix(close + 1);
  }
  regex += below ? "(?:/.*)?$" : "$";
  auto compiled = Regex::compile(regex, Regex::Case::kSensitive, &why);
  if (!compiled) return compiled.error();
  pattern.regex = std::make_shared<const Regex>(*std::move(compiled));
  return pattern;
}

}  // namespace

Result<Pattern> parse_pattern(std::string_view text, std::string& why) {
  if (!text.starts_with('/')) return invalid(why, "a path begins with '/'");
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte <= 0x20 || byte >= 0x7f) return invalid(why, "other than visible ASCII characters are written as %XX");
    if (c == '?' || c == '#') return invalid(why, "a pattern is of the path alone, without query");
  }
  const bool below = text.ends_with("/*");
  if (below) text.remove_suffix(2);
  if (text.find('*') != std::string_view::npos) return invalid(why, "'*' stands at the end, after '/'");
  if (text.find_first_of("{}") != std::string_view::npos) return parse_names(text, below, why);
  if (!(below && text.empty()) && !is_normalized(text)) return invalid(why, "not how a path looks after normalization");
  if (below && text.ends_with('/')) return invalid(why, "an empty segment before '/*'");
  return Pattern{.kind = below ? routing::Route::PathKind::kPrefix : routing::Route::PathKind::kExact,
                 .path = std::string(text)};
}

}  // namespace headgate::embed
