// route.h -- the built form of a Route: matches -> filters and handler.
// Thread: immutable, shared by all workers.   Owner: VirtualHost.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/address.h"
#include "dataplane/base/regex.h"
#include "dataplane/http/filter.h"
#include "dataplane/http/handler.h"
#include "dataplane/http/message.h"
#include "dataplane/http/predicate.h"

namespace headgate::routing {

using http::Predicate;
using http::TextMatcher;

struct Route {
  enum class PathKind : uint8_t { kAny, kExact, kPrefix, kSegment, kRegex, kRawPrefix };

  std::string name;
  PathKind path_kind = PathKind::kAny;
  std::string path;  // prefix: without a trailing '/', "/" is ""
  std::shared_ptr<const Regex> regex;
  bool final = false;        // prefix: beats regexes
  bool ignore_case = false;  // of the path
  std::vector<http::Method> methods;       // empty: any
  std::vector<std::string> other_methods;  // by text, for methods that have no number
  std::vector<Predicate> predicates;
  CidrSet sources;  // empty: any

  std::vector<std::shared_ptr<const http::Filter>> owned_filters;
  std::vector<const http::Filter*> filters;  // of the table, the host and the route, in phase order
  std::shared_ptr<const http::Handler> handler;
  bool access_log = true;

  // Everything but host and path.
  [[nodiscard]] bool accepts(const http::RequestHead& request, const IpAddress& client) const {
    return is_unconditional() || conditions_hold(request, client);
  }

 private:
  [[nodiscard]] bool is_unconditional() const {
    return methods.empty() && other_methods.empty() && predicates.empty() && sources.empty();
  }
  [[nodiscard]] bool conditions_hold(const http::RequestHead& request, const IpAddress& client) const;
};

}  // namespace headgate::routing
