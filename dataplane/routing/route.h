// route.h -- the built form of a Route: matches -> filters and handler.
// Thread: immutable, shared by all workers.   Owner: VirtualHost.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/address.h"
#include "dataplane/base/regex.h"
#include "dataplane/http/filter.h"
#include "dataplane/http/handler.h"
#include "dataplane/http/message.h"

namespace headgate::routing {

// How one text is compared.
class TextMatcher {
 public:
  enum class Kind : uint8_t { kExact, kPrefix, kSuffix, kRegex, kPresent, kAbsent };

  TextMatcher(Kind kind, std::string text, bool ignore_case) : text_(std::move(text)), kind_(kind), ignore_case_(ignore_case) {}
  // Whole text.
  explicit TextMatcher(Regex regex) : regex_(std::make_shared<const Regex>(std::move(regex))), kind_(Kind::kRegex) {}

  // nullopt: there is no such text.
  [[nodiscard]] bool matches(std::optional<std::string_view> text) const;

 private:
  std::string text_;
  std::shared_ptr<const Regex> regex_;
  Kind kind_;
  bool ignore_case_ = false;
};

// One condition on a request beyond host and path. All of a Route must hold.
class Predicate {
 public:
  enum class Subject : uint8_t { kHeader, kQuery, kCookie, kGrpcService, kGrpcMethod };

  Predicate(Subject subject, std::string name, TextMatcher matcher)
      : name_(std::move(name)), matcher_(std::move(matcher)), subject_(subject) {}
  [[nodiscard]] bool holds(const http::RequestHead& request) const;

 private:
  std::string name_;
  TextMatcher matcher_;
  Subject subject_;
};

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
  [[nodiscard]] bool accepts(const http::RequestHead& request, const IpAddress& client) const;
};

// The value of a query parameter, or nullopt; percent-encoding is compared as sent.
std::optional<std::string_view> query_parameter(std::string_view query, std::string_view name);
std::optional<std::string_view> cookie_value(std::string_view cookies, std::string_view name);

}  // namespace headgate::routing
