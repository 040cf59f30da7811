#include "dataplane/http/predicate.h"

#include "dataplane/base/text.h"

namespace headgate::http {
namespace {

bool starts_with(std::string_view text, std::string_view prefix, bool ignore_case) {
  return ignore_case ? starts_with_ignore_case(text, prefix) : text.starts_with(prefix);
}

bool ends_with(std::string_view text, std::string_view suffix, bool ignore_case) {
  if (text.size() < suffix.size()) return false;
  const std::string_view end = text.substr(text.size() - suffix.size());
  return ignore_case ? equals_ignore_case(end, suffix) : end == suffix;
}

// "/package.Service/Method" apart; empty parts when the path is not of that form.
struct GrpcPath {
  std::string_view service;
  std::string_view method;
};
GrpcPath grpc_path(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (path.size() < 4 || path[0] != '/' || slash == 0 || slash == std::string_view::npos) return {};
  return {path.substr(1, slash - 1), path.substr(slash + 1)};
}

// The value of a query parameter, or nullopt; percent-encoding is compared as sent.
std::optional<std::string_view> query_parameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    const size_t equals = pair.find('=');
    if (pair.substr(0, equals) == name) {
      return equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    }
    if (end == std::string_view::npos) break;
    query.remove_prefix(end + 1);
  }
  return std::nullopt;
}

std::optional<std::string_view> cookie_value(std::string_view cookies, std::string_view name) {
  while (!cookies.empty()) {
    const size_t end = cookies.find(';');
    const std::string_view pair = trim(cookies.substr(0, end));
    const size_t equals = pair.find('=');
    if (equals != std::string_view::npos && pair.substr(0, equals) == name) return pair.substr(equals + 1);
    if (end == std::string_view::npos) break;
    cookies.remove_prefix(end + 1);
  }
  return std::nullopt;
}

}  // namespace

bool TextMatcher::matches(std::optional<std::string_view> text) const {
  if (kind_ == Kind::kAbsent) return !text.has_value();
  if (!text.has_value()) return false;
  switch (kind_) {
    case Kind::kExact: return ignore_case_ ? equals_ignore_case(*text, text_) : *text == text_;
    case Kind::kPrefix: return starts_with(*text, text_, ignore_case_);
    case Kind::kSuffix: return ends_with(*text, text_, ignore_case_);
    case Kind::kRegex: return regex_->matches(*text);
    case Kind::kPresent: return true;
    case Kind::kAbsent: return false;
  }
  return false;
}

bool Predicate::holds(const RequestHead& request) const {
  switch (subject_) {
    case Subject::kHeader: {
      const FieldId id = field_id(name_);
      if (id == FieldId::kHost) return matcher_.matches(request.authority);
      if (id != FieldId::kOther && request.headers.count(id) > 1) {
        return matcher_.matches(request.headers.combined(id));
      }
      const Field* field = request.headers.find(name_);
      return matcher_.matches(field == nullptr ? std::nullopt : std::optional(field->value));
    }
    case Subject::kQuery: return matcher_.matches(query_parameter(request.query, name_));
    case Subject::kCookie: {
      for (const Field& field : request.headers.fields()) {
        if (field.id != FieldId::kCookie) continue;
        if (const auto value = cookie_value(field.value, name_)) return matcher_.matches(value);
      }
      return matcher_.matches(std::nullopt);
    }
    case Subject::kGrpcService: {
      const GrpcPath path = grpc_path(request.path);
      return !path.service.empty() && matcher_.matches(path.service);
    }
    case Subject::kGrpcMethod: {
      const GrpcPath path = grpc_path(request.path);
      return !path.service.empty() && matcher_.matches(path.method);
    }
  }
  return false;
}

}  // namespace headgate::http
