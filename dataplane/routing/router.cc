#include "dataplane/routing/router.h"

#include "dataplane/base/text.h"

namespace headgate::routing {
namespace {

// ORDERED: does this Route's path take the request?
bool path_matches(const Route& route, std::string_view path, Captures& captures) {
  const auto starts = [&](std::string_view prefix) {
    return route.ignore_case ? starts_with_ignore_case(path, prefix) : path.starts_with(prefix);
  };
  switch (route.path_kind) {
    case Route::PathKind::kAny: return true;
    case Route::PathKind::kExact: return route.ignore_case ? equals_ignore_case(path, route.path) : path == route.path;
    case Route::PathKind::kPrefix:
      return starts(route.path) && (path.size() == route.path.size() || path[route.path.size()] == '/');
    case Route::PathKind::kRawPrefix: return starts(route.path);
    case Route::PathKind::kSegment: {
      if (!starts(route.path) || path.size() < route.path.size() + 2 || path[route.path.size()] != '/') return false;
      return path.find('/', route.path.size() + 1) == std::string_view::npos;
    }
    case Route::PathKind::kRegex: return route.regex->search(path, captures);
  }
  return false;
}

}  // namespace

VirtualHost::VirtualHost(std::string name, std::vector<std::string> hosts, bool wildcard_single_label, Order order,
                         std::vector<std::shared_ptr<const Route>> routes)
    : name_(std::move(name)),
      hosts_(std::move(hosts)),
      wildcard_single_label_(wildcard_single_label),
      order_(order),
      routes_(std::move(routes)),
      paths_(order == Order::kTree ? routes_ : std::vector<std::shared_ptr<const Route>>()) {}

bool VirtualHost::find(const http::RequestHead& request, const IpAddress& client, PathTable::Match& match) const {
  if (order_ == Order::kTree) return paths_.find(request, client, match);
  for (const auto& route : routes_) {
    if (!path_matches(*route, request.path, match.captures) || !route->accepts(request, client)) continue;
    match.route = route.get();
    return true;
  }
  return false;
}

RouteTable::RouteTable(Settings settings, const std::vector<std::shared_ptr<const VirtualHost>>& hosts)
    : settings_(std::move(settings)) {
  for (const auto& host : hosts) insert(host);
}

void RouteTable::insert(const std::shared_ptr<const VirtualHost>& host) {
  for (const std::string& name : host->hosts()) {
    if (name == "*") {
      if (default_ == nullptr) default_ = host;
    } else if (name.starts_with("*.")) {
      wildcard_.insert(std::string_view(name).substr(1), host);
    } else {
      exact_.insert(name, host);
    }
  }
}

void RouteTable::erase(const VirtualHost& host) {
  for (const std::string& name : host.hosts()) {
    if (name == "*") {
      if (default_.get() == &host) default_ = nullptr;
    } else if (name.starts_with("*.")) {
      wildcard_.erase(std::string_view(name).substr(1), host);
    } else {
      exact_.erase(name, host);
    }
  }
}

const VirtualHost* RouteTable::find_host(std::string_view host) const {
  if (const VirtualHost* const found = exact_.find(host)) return found;
  if (!wildcard_.empty()) {
    // ".b.example.com", ".example.com", ".com": the longest suffix that is known.
    bool first_label = true;
    for (size_t dot = host.find('.'); dot != std::string_view::npos; dot = host.find('.', dot + 1)) {
      const VirtualHost* const found = wildcard_.find(host.substr(dot));
      if (found != nullptr && dot > 0 && (first_label || !found->wildcard_single_label())) return found;
      first_label = false;
    }
  }
  return default_.get();
}

}  // namespace headgate::routing
