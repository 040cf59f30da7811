#include "dataplane/routing/path_table.h"

#include <algorithm>
#include <array>

#include "dataplane/base/text.h"

namespace headgate::routing {
namespace {

struct Search {
  const http::RequestHead& request;
  const IpAddress& client;

  const Route* first_of(const std::vector<const Route*>& bucket) const {
    for (const Route* route : bucket) {
      if (route->accepts(request, client)) return route;
    }
    return nullptr;
  }
  template <typename Index>
  const Route* at(const Index& index, std::string_view path) const {
    if (index.empty()) return nullptr;
    const auto found = index.find(path);
    return found == index.end() ? nullptr : first_of(found->second);
  }
};

}  // namespace

size_t PathTable::depth(std::string_view path) {
  return static_cast<size_t>(std::count(path.begin(), path.end(), '/'));
}

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
      (route.final ? paths.final_prefix : paths.prefix)[path].push_back(&route);
      paths.deepest_prefix = std::max(paths.deepest_prefix, depth(path));
      break;
  }
}

namespace {

// Prefixes of `path` that end at a segment boundary, longest first, at most `deepest` segments long.
template <typename Index>
const Route* longest_prefix(const Search& search, const Index& index, std::string_view path, size_t deepest) {
  if (index.empty()) return nullptr;
  // Where segments end: "/a/b" has the prefixes "/a/b" and "/a" and "".
  std::array<uint32_t, 64> boundaries;
  size_t count = 0;
  for (size_t i = 1; i < path.size() && count < deepest && count < boundaries.size(); ++i) {
    if (path[i] == '/') boundaries[count++] = static_cast<uint32_t>(i);
  }
  const bool whole = count < deepest && !path.empty() && path.back() != '/';
  if (whole) {
    if (const Route* route = search.at(index, path)) return route;
  }
  for (size_t i = count; i > 0; --i) {
    if (const Route* route = search.at(index, path.substr(0, boundaries[i - 1]))) return route;
  }
  return search.at(index, std::string_view());
}

}  // namespace

bool PathTable::find(const http::RequestHead& request, const IpAddress& client, Match& match) const {
  const Search search{request, client};
  const std::string_view path = request.path;
  std::string lower;
  if (insensitive_ != nullptr) lower = lower_copy(path);
  const auto found = [&match](const Route* route) {
    match.route = route;
    return route != nullptr;
  };
  // Each step asks the paths as written first, then those that ignore case.
  const auto both = [&](auto&& step) {
    return found(step(sensitive_, path)) ||
           (insensitive_ != nullptr && found(step(*insensitive_, std::string_view(lower))));
  };

  if (both([&](const Paths& paths, std::string_view text) { return search.at(paths.exact, text); })) return true;
  if (both([&](const Paths& paths, std::string_view text) {
        return longest_prefix(search, paths.final_prefix, text, paths.deepest_prefix);
      })) {
    return true;
  }
  for (const Route* route : regex_) {
    if (!route->regex->search(path, match.captures) || !route->accepts(request, client)) continue;
    return found(route);
  }
  match.captures = {};
  if (both([&](const Paths& paths, std::string_view text) -> const Route* {
        const size_t slash = text.rfind('/');
        if (paths.segment.empty() || slash == std::string_view::npos || slash + 1 == text.size()) return nullptr;
        return search.at(paths.segment, text.substr(0, slash));
      })) {
    return true;
  }
  if (both([&](const Paths& paths, std::string_view text) -> const Route* {
        const Route* by_segment = longest_prefix(search, paths.prefix, text, paths.deepest_prefix);
        for (const Route* route : paths.raw_prefix) {
          if (by_segment != nullptr && by_segment->path.size() >= route->path.size()) break;
          const bool fits = route->ignore_case ? starts_with_ignore_case(text, route->path) : text.starts_with(route->path);
          if (fits && route->accepts(request, client)) return route;
        }
        return by_segment;
      })) {
    return true;
  }
  return found(search.first_of(any_));
}

}  // namespace headgate::routing
