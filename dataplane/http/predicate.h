// predicate.h -- one condition on a request: a field, parameter, cookie or gRPC name compared with a text.
// Routes are chosen by them, and among the backends of a route the one for a marked request (canary).
// Thread: immutable, shared by all workers.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "dataplane/base/regex.h"
#include "dataplane/http/message.h"

namespace headgate::http {

// How one text is compared.
class TextMatcher {
 public:
  enum class Kind : uint8_t { kExact, kPrefix, kSuffix, kRegex, kPresent, kAbsent };

  TextMatcher(Kind kind, std::string text, bool ignore_case)
      : text_(std::move(text)), kind_(kind), ignore_case_(ignore_case) {}
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

// One condition on a request beyond host and path.
class Predicate {
 public:
  enum class Subject : uint8_t { kHeader, kQuery, kCookie, kGrpcService, kGrpcMethod };

  Predicate(Subject subject, std::string name, TextMatcher matcher)
      : name_(std::move(name)), matcher_(std::move(matcher)), subject_(subject) {}
  [[nodiscard]] bool holds(const RequestHead& request) const;

 private:
  std::string name_;
  TextMatcher matcher_;
  Subject subject_;
};

}  // namespace headgate::http
