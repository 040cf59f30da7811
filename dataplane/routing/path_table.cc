#include "dataplane/routing/path_table.h"

#include <algorithm>
#include <array>

#include "dataplane/base/text.h"

namespace headgate::routing {

struct PathTable::Search {
  const http::RequestHead& request;
  const IpAddress& client;

  [[nodiscard]] bool accepts(const Route& route) const { return route.accepts(request, client); }
  const Route* first_of(const Bucket& bucket) const {
    for (const Route* route : bucket) {
      if (accepts(*route)) return route;
    }
    return nullptr;
  }
  const Route* at(const Index& index, std::string_view path) const {
    if (index.empty()) return nullptr;
    const auto found = index.find(path);
    return found == index.end() ? nullptr : first_of(found->second);
  }
};

PathTable::PathTable(const std::vector<std::shared_ptr<const Route>>& routes) {
  for (const auto& route : routes) add(*route);
  for (Paths* paths : {&sensitive_, insensitive_.get()}) {
    if (paths == nullptr) continue;
    std::stable_sort(paths->raw_prefix.begin(), paths->raw_prefix.end(),
                     [](const Route* a, const Route* b) { return a->path.size() > b->path.size(); });
  }
}

void PathTable::add(const Route& route) {
  if (route.path_kind == Route::PathKind::kAny) return any_.push_back(&route);
  if (route.path_kind == Route::PathKind::kRegex) return regex_.push_back(&route);
  if (route.ignore_case && insensitive_ == nullptr) insensitive_ = std::make_unique<Paths>();
  Paths& paths = route.ignore_case ? *insensitive_ : sensitive_;
  const std::string path = route.ignore_case ? lower_copy(route.path) : route.path;
  switch (route.path_kind) {
    case Route::PathKind::kAny:
    case Route::PathKind::kRegex: break;
    case Route::PathKind::kExact: paths.exact[path].push_back(&route); break;
    case Route::PathKind::kSegment: paths.segment[path].push_back(&route); break;
    case Route::PathKind::kRawPrefix: paths.raw_prefix.push_back(&route); break;
    case Route::PathKind::kPrefix:
      (route.final ? paths.final_prefix : paths.prefix).add(path, route);
      break;
  }
}

void PathTable::Prefixes::add(const std::string& path, const Route& route) {
  (path.empty() ? root : below[path]).push_back(&route);
  deepest = std::max(deepest, static_cast<size_t>(std::count(path.begin(), path.end(), '/')));
}

// The first Route that takes the request, of the prefixes of `path`, longest first.
const Route* PathTable::Prefixes::longest(const Search& search, std::string_view path) const {
  if (!below.empty()) {
    if (const Route* route = longest_below(search, path)) return route;
  }
  return search.first_of(root);
}

const Route* PathTable::Prefixes::longest_below(const Search& search, std::string_view path) const {
  // Where segments end: "/a/b" has the prefixes "/a/b" and "/a" and "".
  std::array<uint32_t, 64> boundaries;
  size_t count = 0;
  for (size_t i = 1; i < path.size() && count < deepest && count < boundaries.size(); ++i) {
    if (path[i] == '/') boundaries[count++] = static_cast<uint32_t>(i);
  }
  const bool whole = count < deepest && !path.empty() && path.back() != '/';
  if (whole) {
    if (const Route* route = search.at(below, path)) return route;
  }
  for (size_t i = count; i > 0; --i) {
    if (const Route* route = search.at(below, path.substr(0, boundaries[i - 1]))) return route;
  }
  return nullptr;
}

bool PathTable::find(const http::RequestHead& request, const IpAddress& client, Match& match) const {
  const Search search{request, client};
  if (insensitive_ == nullptr) return find(search, {}, match);
  return find(search, lower_copy(request.path), match);
}

bool PathTable::find(const Search& search, std::string_view lower, Match& match) const {
  const std::string_view path = search.request.path;
  const auto found = [&match](const Route* route) {
    match.route = route;
    return route != nullptr;
  };
  // Each step asks the paths as written first, then those that ignore case.
  const auto both = [&](auto&& step) {
    return found(step(sensitive_, path)) ||
           (insensitive_ != nullptr && found(step(*insensitive_, lower)));
  };

  if (both([&](const Paths& paths, std::string_view text) { return search.at(paths.exact, text); })) return true;
  if (both([&](const Paths& paths, std::string_view text) {
        return paths.final_prefix.empty() ? nullptr : paths.final_prefix.longest(search, text);
      })) {
    return true;
  }
  for (const Route* route : regex_) {
    if (route->regex->search(path, match.captures) && search.accepts(*route)) return found(route);
    match.captures.count = 0;
  }
  if (both([&](const Paths& paths, std::string_view text) -> const Route* {
        if (paths.segment.empty()) return nullptr;
        const size_t slash = text.rfind('/');
        if (slash == std::string_view::npos || slash + 1 == text.size()) return nullptr;
        return search.at(paths.segment, text.substr(0, slash));
      })) {
    return true;
  }
  if (both([&](const Paths& paths, std::string_view text) -> const Route* {
        const Route* by_segment = paths.prefix.longest(search, text);
        for (const Route* route : paths.raw_prefix) {
          if (by_segment != nullptr && by_segment->path.size() >= route->path.size()) break;
          const bool fits = route->ignore_case ? starts_with_ignore_case(text, route->path) : text.starts_with(route->path);
          if (fits && search.accepts(*route)) return route;
        }
        return by_segment;
      })) {
    return true;
  }
  return found(search.first_of(any_));
}

}  // namespace headgate::routing
