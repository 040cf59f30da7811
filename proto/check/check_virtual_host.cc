#include <set>
#include <string>
#include <unordered_set>

#include "dataplane/base/host_name.h"
#include "dataplane/base/text.h"
#include "proto/check/routes.h"
#include "proto/check/values.h"

namespace headgate::check {

namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only

constexpr uint32_t kMaxWeight = 1000000;

void check_host(std::string_view field, std::string_view host, Problems& problems) {
  if (host_pattern_kind(host) == HostPatternKind::kInvalid) {
    problems.error(
        field, "host",
        quote_json(host) + " is no host; expected for example \"shop.example.com\", \"*.example.com\" or \"*\"");
  } else if (normalize_host(host) != host) {
    problems.error(field, "host", "expected lower case without a final dot");
  }
}

void check_plain_path(std::string_view field, std::string_view path, Problems& problems) {
  if (!path.starts_with('/')) problems.error(field, "path", "expected a path that starts with \"/\"");
  if (path.find_first_of("?#") != std::string_view::npos) {
    problems.error(field, "path", "a path has no query and no fragment; they are not part of what is compared");
  }
  check_field_value(field, path, problems);
}

void check_prefix(std::string_view field, std::string_view path, Problems& problems) {
  check_plain_path(field, path, problems);
  if (path.size() > 1 && path.ends_with('/'))
    problems.error(field, "path", "a prefix ends without \"/\": segments are compared");
}

void check_header_matches(std::string_view field, const google::protobuf::RepeatedPtrField<HeaderMatch>& list,
                          bool field_names, Problems& problems) {
  for (int i = 0; i < list.size(); ++i) {
    const Field entry(problems, field, i);
    if (field_names) {
      check_field_name("name", list[i].name(), problems);
    } else if (list[i].name().empty()) {
      problems.error("name", "missing", "expected a name");
    }
    if (!list[i].has_value()) continue;
    const Field value(problems, "value");
    check_text_match(list[i].value(), problems);
  }
}

// Number of groups of the route's regex, -1 when it has none.
int check_match(const RouteMatch& match, Problems& problems) {
  const Field field(problems, "match");
  int groups = -1;
  switch (match.path_case()) {
    case RouteMatch::kExact: check_plain_path("exact", match.exact(), problems); break;
    case RouteMatch::kPrefix: check_prefix("prefix", match.prefix(), problems); break;
    case RouteMatch::kSegment: check_prefix("segment", match.segment(), problems); break;
    case RouteMatch::kRawPrefix: check_plain_path("raw_prefix", match.raw_prefix(), problems); break;
    case RouteMatch::kRegex: groups = check_regex("regex", match.regex(), problems); break;
    case RouteMatch::PATH_NOT_SET: break;
  }
  if (match.final() && match.path_case() != RouteMatch::kPrefix && match.path_case() != RouteMatch::kRawPrefix) {
    problems.error("final", "unused", "only a prefix can be final: exact paths come before regexes anyway");
  }
  for (int i = 0; i < match.methods_size(); ++i) {
    if (!is_token(match.methods(i))) problems.error(at("methods", i), "method", "expected a method such as \"GET\"");
    for (const char c : match.methods(i)) {
      if (c < 'a' || c > 'z') continue;
      problems.error(at("methods", i), "method", "methods are case-sensitive (RFC 9110 9.1): expected upper case");
      break;
    }
  }
  check_header_matches("headers", match.headers(), true, problems);
  check_header_matches("query", match.query(), false, problems);
  check_header_matches("cookies", match.cookies(), false, problems);
  for (int i = 0; i < match.source_size(); ++i) check_cidr("source", i, match.source(i), problems);
  if (match.has_grpc()) {
    const Field grpc(problems, "grpc");
    if (match.path_case() != RouteMatch::PATH_NOT_SET)
      problems.error("", "conflict", "service and method are the path; give one or the other");
    if (match.grpc().has_service()) check_text_match(match.grpc().service(), problems);
    if (match.grpc().has_method()) check_text_match(match.grpc().method(), problems);
  }
  return groups;
}

void check_backends(const ProxyAction& proxy, int groups, Problems& problems) {
  for (int i = 0; i < proxy.backends_size(); ++i) {
    const Field field(problems, "backends", i);
    const Backend& backend = proxy.backends(i);
    if (backend.upstream().empty()) problems.error("upstream", "missing", "expected the name of an upstream");
    if (backend.weight() > kMaxWeight) problems.error("weight", "range", "expected 0 to 1000000");
    for (int j = 0; j < backend.filters_size(); ++j) {
      const Field filter(problems, "filters", j);
      check_filter(backend.filters(j), groups, true, problems);
    }
  }
  for (int i = 0; i < proxy.choices_size(); ++i) {
    const Field field(problems, "choices", i);
    if (proxy.choices(i).mark_case() == BackendChoice::MARK_NOT_SET)
      problems.error("", "missing", "expected a header or a cookie");
    if (proxy.choices(i).backend() >= static_cast<uint32_t>(proxy.backends_size())) {
      problems.error("backend", "range", "there are only " + std::to_string(proxy.backends_size()) + " backends");
    }
  }
}

void check_affinity(const SessionAffinity& affinity, Problems& problems) {
  if (!is_token(affinity.cookie())) problems.error("cookie", "cookie", "expected a cookie name (RFC 6265 4.1.1)");
  const std::string& same_site = affinity.same_site();
  if (!same_site.empty() && same_site != "None" && same_site != "Lax" && same_site != "Strict") {
    problems.error("same_site", "enum", "expected None, Lax or Strict");
  }
  // What ends an attribute would let the value make up others.
  if (affinity.path().find(';') != std::string::npos || (!affinity.path().empty() && !affinity.path().starts_with('/'))) {
    problems.error("path", "path", "expected a path without \";\"");
  }
  check_field_value("path", affinity.path(), problems);
  if (!affinity.domain().empty() && host_pattern_kind(affinity.domain()) != HostPatternKind::kExact) {
    problems.error("domain", "host", "expected a host name such as \"example.com\"");
  }
  check_duration("max_age", affinity.has_max_age(), affinity.max_age(), true, problems);
  check_duration("expires", affinity.has_expires(), affinity.expires(), true, problems);
}

void check_proxy(const ProxyAction& proxy, int groups, Problems& problems) {
  const Field field(problems, "proxy");
  check_backends(proxy, groups, problems);
  if (proxy.has_timeouts()) {
    const Field times(problems, "timeouts");
    check_route_timeouts(proxy.timeouts(), problems);
  }
  if (proxy.has_retry()) {
    const Field retry(problems, "retry");
    check_retry(proxy.retry(), problems);
  }
  if (proxy.has_balance()) {
    const Field balance(problems, "balance");
    check_balance(proxy.balance(), problems);
  }
  check_text("host_rewrite", proxy.host_rewrite(), TextScope::kRequest, groups, problems);
  if (!proxy.strip_prefix().empty()) check_prefix("strip_prefix", proxy.strip_prefix(), problems);
  if (proxy.has_affinity()) {
    const Field affinity(problems, "affinity");
    check_affinity(proxy.affinity(), problems);
  }
  check_name_values("fallback_headers", proxy.fallback_headers(), TextScope::kRequest, problems);
  if (proxy.fallback_upstream().empty() && !proxy.fallback_headers().empty()) {
    problems.error("fallback_headers", "unused", "there is no fallback_upstream");
  }
}

void check_static(const StaticFilesAction& files, Problems& problems) {
  const Field field(problems, "static_files");
  if (!files.root().starts_with('/')) problems.error("root", "path", "expected an absolute folder");
  for (int i = 0; i < files.index_size(); ++i) {
    if (files.index(i).empty() || files.index(i).find('/') != std::string::npos) {
      problems.error(at("index", i), "path", "expected a file name without \"/\"");
    }
  }
  for (int i = 0; i < files.try_files_size(); ++i) {
    const std::string& candidate = files.try_files(i);
    if (candidate.starts_with('=')) {
      const bool code = candidate.size() == 4 && candidate[1] >= '2' && candidate[1] <= '5' && is_digit(candidate[2]) &&
                        is_digit(candidate[3]);
      if (!code) problems.error(at("try_files", i), "status", "expected a status such as \"=404\"");
      if (i + 1 < files.try_files_size())
        problems.error(at("try_files", i), "order", "a status stands last: it always applies");
    } else if (!candidate.starts_with('/') && !candidate.starts_with('$')) {
      problems.error(at("try_files", i), "path",
                     "expected a path that starts with \"/\" or \"$uri\", or a status such as \"=404\"");
    }
    check_text(at("try_files", i), candidate, TextScope::kRequest, -1, problems);
  }
  check_field_value("cache_control", files.cache_control(), problems);
  if (!files.strip_prefix().empty()) check_prefix("strip_prefix", files.strip_prefix(), problems);
}

void check_respond(const RespondAction& respond, int groups, Problems& problems) {
  const Field field(problems, "respond");
  if (respond.has_status()) check_status("status", respond.status(), 200, 599, problems);
  const uint32_t status = respond.status();
  if ((status == 204 || status == 205 || status == 304) && !respond.body().empty()) {
    problems.error("body", "status",
                   "an answer with status " + std::to_string(status) + " has no body (RFC 9110 6.4.1)");
  }
  for (int i = 0; i < respond.headers_size(); ++i) {
    const Field header(problems, "headers", i);
    check_field_name("name", respond.headers(i).name(), problems);
    for (const std::string_view framing :
         {"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "trailer"}) {
      if (equals_ignore_case(respond.headers(i).name(), framing))
        problems.error("name", "framing", "this field is the server's own");
    }
    check_text("value", respond.headers(i).value(), TextScope::kRequest, groups, problems);
  }
}

void check_redirect(const RedirectAction& redirect, int groups, Problems& problems) {
  const Field field(problems, "redirect");
  if (redirect.has_status() &&
      (redirect.status() < 300 || redirect.status() > 308 || (redirect.status() > 303 && redirect.status() < 307))) {
    problems.error("status", "status",
                   "expected 300, 301, 302, 303, 307 or 308, found " + std::to_string(redirect.status()));
  }
  if (redirect.location().empty())
    problems.error("location", "missing", "expected where to, for example \"https://$host$uri\"");
  check_text("location", redirect.location(), TextScope::kRequest, groups, problems);
}

void check_action(const Route& route, int groups, Problems& problems) {
  switch (route.action_case()) {
    case Route::kProxy: return check_proxy(route.proxy(), groups, problems);
    case Route::kStaticFiles: return check_static(route.static_files(), problems);
    case Route::kRespond: return check_respond(route.respond(), groups, problems);
    case Route::kRedirect: return check_redirect(route.redirect(), groups, problems);
    case Route::kEcho: return;
    case Route::ACTION_NOT_SET: {
      for (const HttpFilter& filter : route.filters()) {
        if (filter.filter_case() == HttpFilter::kRedirect) return;  // answers everything itself
      }
      problems.error("action", "missing", "expected one of proxy, static_files, respond, redirect, echo");
      return;
    }
  }
}

// A route whose path an earlier one without further conditions has taken.
void check_never_matches(const VirtualHost& host, Problems& problems) {
  std::set<std::string> taken;
  for (int i = 0; i < host.routes_size(); ++i) {
    const RouteMatch& match = host.routes(i).match();
    RouteMatch path_only;
    path_only.CopyFrom(match);
    for (auto clear :
         {&RouteMatch::clear_methods, &RouteMatch::clear_headers, &RouteMatch::clear_query, &RouteMatch::clear_cookies,
          &RouteMatch::clear_source, &RouteMatch::clear_grpc, &RouteMatch::clear_final}) {
      (path_only.*clear)();
    }
    if (path_only.path_case() == RouteMatch::PATH_NOT_SET && !match.has_grpc()) path_only.set_prefix("/");
    const std::string key = path_only.SerializeAsString();
    if (taken.contains(key) && !match.has_grpc()) {
      problems.warning(at("routes", i), "never-matches",
                       "this route can never match: an earlier one takes the same path without further conditions");
      continue;
    }
    const bool unconditional = match.methods().empty() && match.headers().empty() && match.query().empty() &&
                               match.cookies().empty() && match.source().empty() && !match.has_grpc();
    if (unconditional) taken.insert(key);
  }
}

}  // namespace

void check_route_timeouts(const RouteTimeouts& times, Problems& problems) {
  check_duration("connect", times.has_connect(), times.connect(), false, problems);
  check_duration("response", times.has_response(), times.response(), false, problems);
  check_duration("request", times.has_request(), times.request(), false, problems);
  check_duration("per_try", times.has_per_try(), times.per_try(), false, problems);
  check_duration("send", times.has_send(), times.send(), false, problems);
  check_duration("tunnel_idle", times.has_tunnel_idle(), times.tunnel_idle(), false, problems);
}

void check_virtual_host(const VirtualHost& host, Problems& problems) {
  check_resource_name(host.name(), problems);
  if (host.name() != host.table() + "/" + host.host()) {
    problems.error("name", "name", "expected \"<table>/<host>\": " + quote_json(host.table() + "/" + host.host()));
  }
  check_host("host", host.host(), problems);
  for (int i = 0; i < host.aliases_size(); ++i) check_host(at("aliases", i), host.aliases(i), problems);
  for (int i = 0; i < host.filters_size(); ++i) {
    const Field field(problems, "filters", i);
    check_filter(host.filters(i), -1, false, problems);
  }
  std::unordered_set<std::string> names;
  for (int i = 0; i < host.routes_size(); ++i) {
    const Field field(problems, "routes", i);
    const Route& route = host.routes(i);
    if (route.name().empty()) {
      problems.error("name", "missing", "expected a name");
    } else if (!names.insert(route.name()).second) {
      problems.error("name", "duplicate", "another route of this host is named " + quote_json(route.name()));
    }
    const int groups = check_match(route.match(), problems);
    for (int j = 0; j < route.filters_size(); ++j) {
      const Field filter(problems, "filters", j);
      check_filter(route.filters(j), groups, false, problems);
    }
    check_action(route, groups, problems);
  }
  check_never_matches(host, problems);
}

void check_route_table(const RouteTable& table, Problems& problems) {
  check_resource_name(table.name(), problems);
  if (table.has_no_host_status()) check_status("no_host_status", table.no_host_status(), 400, 599, problems);
  if (table.has_no_route_status()) check_status("no_route_status", table.no_route_status(), 400, 599, problems);
  for (int i = 0; i < table.filters_size(); ++i) {
    const Field field(problems, "filters", i);
    check_filter(table.filters(i), -1, false, problems);
  }
  if (table.has_timeouts()) {
    const Field field(problems, "timeouts");
    check_route_timeouts(table.timeouts(), problems);
  }
  if (table.has_retry()) {
    const Field field(problems, "retry");
    check_retry(table.retry(), problems);
  }
}

}  // namespace headgate::check
