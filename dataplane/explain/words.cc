#include "dataplane/explain/words.h"

#include <google/protobuf/descriptor.h>

#include "dataplane/base/text.h"

namespace headgate::explain {

namespace {

using config::v1::RouteMatch;

// The name of the member that a oneof has; empty: none.
std::string member_of(const google::protobuf::Message& message, const char* oneof) {
  const auto* const descriptor = message.GetDescriptor()->FindOneofByName(oneof);
  const auto* const field = descriptor == nullptr ? nullptr : message.GetReflection()->GetOneofFieldDescriptor(message, descriptor);
  std::string name = field == nullptr ? std::string() : field->name();
  for (char& c : name) c = c == '_' ? ' ' : c;
  return name;
}

std::string lower_words(std::string name, std::string_view prefix) {
  if (name.starts_with(prefix)) name.erase(0, prefix.size());
  for (char& c : name) c = c == '_' ? ' ' : static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return name;
}

std::string path_words(const RouteMatch& match) {
  const std::string ignoring = match.ignore_case() ? ", letter case aside" : "";
  switch (match.path_case()) {
    case RouteMatch::kExact: return "path " + match.exact() + ignoring;
    case RouteMatch::kPrefix: return "prefix " + match.prefix() + ignoring;
    case RouteMatch::kSegment: return "one segment below " + match.segment() + ignoring;
    case RouteMatch::kRawPrefix: return "beginning " + match.raw_prefix() + ignoring;
    case RouteMatch::kRegex: return "regex " + match.regex() + ignoring;
    case RouteMatch::PATH_NOT_SET: break;
  }
  return "any path";
}

}  // namespace

std::string match_words(const config::v1::Route& route) {
  const RouteMatch& match = route.match();
  std::string words = path_words(match);
  for (const std::string& method : match.methods()) words += ", method " + method;
  for (const auto& one : match.headers()) words += ", header " + one.name();
  for (const auto& one : match.query()) words += ", parameter " + one.name();
  for (const auto& one : match.cookies()) words += ", cookie " + one.name();
  if (match.has_grpc()) words += ", gRPC " + match.grpc().service().exact() + "/" + match.grpc().method().exact();
  for (const std::string& range : match.source()) words += ", client in " + range;
  return words;
}

std::string action_words(const config::v1::Route& route) {
  switch (route.action_case()) {
    case config::v1::Route::kRespond: return "respond " + std::to_string(route.respond().status());
    case config::v1::Route::kRedirect:
      return "redirect " + std::to_string(route.redirect().status()) + " to " + route.redirect().location();
    case config::v1::Route::kStaticFiles: return "files below " + route.static_files().root();
    default: return member_of(route, "action");
  }
}

std::string filter_words(const config::v1::HttpFilter& filter) {
  const std::string name = member_of(filter, "filter");
  return name.empty() ? "an unknown one" : name;
}

std::string upstream_words(const config::v1::Upstream& upstream) {
  std::string words = lower_words(config::v1::UpstreamProtocol_Name(upstream.protocol()), "UPSTREAM_");
  words += ", " + lower_words(config::v1::BalancePolicy_Name(upstream.balance().policy()), "BALANCE_");
  if (upstream.has_tls()) words += ", TLS";
  return words;
}

std::string endpoint_words(const upstream::Endpoint& endpoint, MonotonicTime now) {
  if (!endpoint.resolved()) return "name not resolved";
  if (endpoint.cell != nullptr && endpoint.cell->health() == upstream::Health::kUnhealthy) return "health check fails";
  if (endpoint.cell != nullptr && endpoint.cell->is_ejected(now)) return "left out after failures";
  if (endpoint.terminating) return endpoint.serving ? "terminating, used when there is no other" : "terminating";
  return endpoint.ready ? "usable" : "not ready";
}

}  // namespace headgate::explain
