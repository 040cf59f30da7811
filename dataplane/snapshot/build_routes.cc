#include <algorithm>

#include "dataplane/base/text.h"
#include "dataplane/handlers/echo.h"
#include "dataplane/handlers/redirect.h"
#include "dataplane/handlers/respond.h"
#include "dataplane/handlers/static_files.h"
#include "dataplane/filters/compress.h"
#include "dataplane/snapshot/build_parts.h"

namespace headgate::snapshot {

using http::Predicate;
using http::TextMatcher;

Result<TextMatcher> text_matcher_of(const v1::TextMatch& message, std::string* why) {
  switch (message.how_case()) {
    case v1::TextMatch::kExact:
      return TextMatcher(TextMatcher::Kind::kExact, message.exact(), message.ignore_case());
    case v1::TextMatch::kPrefix:
      return TextMatcher(TextMatcher::Kind::kPrefix, message.prefix(), message.ignore_case());
    case v1::TextMatch::kSuffix:
      return TextMatcher(TextMatcher::Kind::kSuffix, message.suffix(), message.ignore_case());
    case v1::TextMatch::kRegex: {
      auto regex = Regex::compile(message.regex(), message.ignore_case() ? Regex::Case::kIgnore : Regex::Case::kSensitive,
                                  why);
      if (!regex) return regex.error();
      return TextMatcher(std::move(*regex));
    }
    case v1::TextMatch::kPresent:
      return TextMatcher(message.present() ? TextMatcher::Kind::kPresent : TextMatcher::Kind::kAbsent, "", false);
    case v1::TextMatch::HOW_NOT_SET: break;
  }
  return TextMatcher(TextMatcher::Kind::kPresent, "", false);
}

std::string without_final_slash(std::string path) {
  while (!path.empty() && path.back() == '/') path.pop_back();
  return path;
}

// Every host that may be another one. A name may go from one host to another: first all that leave, then all that come.
void Build::build_hosts() {
  struct Arrival {
    KnownHost* known;
    KnownTable* table;
  };
  std::vector<Arrival> arrivals;
  for (const std::string& name : dirty_hosts_) {
    const auto* const message = view_.find<v1::VirtualHost>(name);
    const auto* const table_message = message == nullptr ? nullptr : view_.find<v1::RouteTable>(message->table());
    KnownHost& known = parts_.hosts[name];
    parts_.unbuilt_hosts.erase(name);
    if (message != nullptr && table_message == nullptr) parts_.unbuilt_hosts.insert(name);  // until there is one
    KnownTable* table = nullptr;
    const std::shared_ptr<const routing::VirtualHost> before = known.host.built;
    if (table_message != nullptr) {
      table = &parts_.tables[message->table()];
      if (table->print.empty()) table->print = "=" + fingerprint_of(*table_message);
      const size_t errors = errors_;
      const auto built = virtual_host(*message, *table_message, table->print, known);
      if (errors_ > errors) {
        parts_.unbuilt_hosts.insert(name);
        continue;
      }
      if (known.in == table && built == before) continue;
    }
    if (known.in != nullptr) {
      known.in->table.erase(*before);
      known.in->built = nullptr;
      known.in = nullptr;
    }
    if (table != nullptr) {
      arrivals.push_back({&known, table});
    } else {
      parts_.gone_hosts.push_back(name);
    }
  }
  for (const Arrival& arrival : arrivals) {
    arrival.known->in = arrival.table;
    arrival.table->table.insert(arrival.known->host.built);
    arrival.table->built = nullptr;
  }
}

void Build::build_tables() {
  std::erase_if(parts_.tables, [&](const auto& entry) { return view_.find<v1::RouteTable>(entry.first) == nullptr; });
  view_.visit<v1::RouteTable>([&](const v1::RouteTable& message) {
    KnownTable& known = parts_.tables[message.name()];
    routing::RouteTable::Settings settings;
    settings.name = message.name();
    settings.no_host_status = static_cast<uint16_t>(message.no_host_status());
    settings.no_route_status = static_cast<uint16_t>(message.no_route_status());
    if (known.built != nullptr && known.table.settings() == settings) return;
    known.table.set_settings(std::move(settings));
    known.built = std::make_shared<const routing::RouteTable>(known.table);
  });
}

std::shared_ptr<const routing::VirtualHost> Build::virtual_host(const v1::VirtualHost& message,
                                                                const v1::RouteTable& table,
                                                                const std::string& table_print, KnownHost& known) {
  // Handlers hold slots: a slot that moved to another Upstream makes another host.
  std::string print = fingerprint_of(message) + table_print + slots_of(table.filters()) + slots_of(message.filters()) +
                      "|" + parts_.era;
  for (const v1::Route& route : message.routes()) {
    for (const v1::Backend& backend : route.proxy().backends()) {
      print += "|" + std::to_string(slot_of(backend.upstream()));
      const auto* const upstream = view_.find<v1::Upstream>(backend.upstream());
      if (upstream != nullptr && upstream->has_balance()) print += "=" + fingerprint_of(upstream->balance());
    }
    print += slots_of(route.filters());
    const std::string& fallback = route.proxy().fallback_upstream();
    if (!fallback.empty()) print += "|" + std::to_string(slot_of(fallback));
  }
  const Fingerprint fingerprint(print);
  if (known.host.is_of(fingerprint)) return known.host.built;
  const size_t errors = errors_;
  host_name_ = message.name();
  std::vector<std::shared_ptr<const routing::Route>> routes;
  for (const v1::Route& entry : message.routes()) {
    if (auto built = route(entry, message, table)) routes.push_back(std::move(built));
  }
  std::vector<std::string> hosts{message.host()};
  hosts.insert(hosts.end(), message.aliases().begin(), message.aliases().end());
  const auto order =
      message.order() == v1::MATCH_ORDERED ? routing::VirtualHost::Order::kOrdered : routing::VirtualHost::Order::kTree;
  auto built = std::make_shared<const routing::VirtualHost>(
      message.name(), std::move(hosts), message.wildcard_single_label() == v1::TOGGLE_ON, order, std::move(routes));
  if (errors_ == errors) known.host = {fingerprint, built};
  return built;
}

std::shared_ptr<const routing::Route> Build::route(const v1::Route& message, const v1::VirtualHost& host,
                                                   const v1::RouteTable& table) {
  auto route = std::make_shared<routing::Route>();
  route->name = message.name();
  route->access_log = message.access_log() != "off";
  if (message.has_match() && !add_match(message.match(), *route)) return nullptr;
  matched_prefix_ = message.match().path_case() == v1::RouteMatch::kPrefix ? without_final_slash(message.match().prefix()) : "";
  RouteFilters filters;
  HeadChanges changes;
  if (message.has_proxy()) filters.head_changes = &changes;
  add_filters(table.filters(), "table:" + table.name(), filters);
  add_filters(host.filters(), "host:" + host.name(), filters);
  add_filters(message.filters(), "route:" + host.name() + "/" + message.name(), filters);
  finish_access(filters);
  if (message.has_static_files() && message.static_files().compress() != v1::TOGGLE_OFF && !filters.compresses) {
    filters.list.push_back({v1::PHASE_RESPONSE, std::make_shared<const filters::Compress>(filters::CompressOptions())});
  }
  std::stable_sort(filters.list.begin(), filters.list.end(),
                   [](const PhasedFilter& a, const PhasedFilter& b) { return a.phase < b.phase; });
  for (PhasedFilter& entry : filters.list) {
    route->filters.push_back(entry.filter.get());
    route->owned_filters.push_back(std::move(entry.filter));
  }
  route->handler = handler(message, table, std::move(changes));
  if (route->handler == nullptr) return nullptr;
  return route;
}

bool Build::add_match(const v1::RouteMatch& message, routing::Route& route) {
  using Kind = routing::Route::PathKind;
  std::string why;
  route.ignore_case = message.ignore_case();
  route.final = message.final();
  switch (message.path_case()) {
    case v1::RouteMatch::kExact: route.path_kind = Kind::kExact, route.path = message.exact(); break;
    case v1::RouteMatch::kPrefix:
      route.path_kind = Kind::kPrefix;
      route.path = without_final_slash(message.prefix());
      break;
    case v1::RouteMatch::kSegment:
      route.path_kind = Kind::kSegment;
      route.path = without_final_slash(message.segment());
      break;
    case v1::RouteMatch::kRawPrefix: route.path_kind = Kind::kRawPrefix, route.path = message.raw_prefix(); break;
    case v1::RouteMatch::kRegex: {
      auto regex = Regex::compile(
          message.regex(), message.ignore_case() ? Regex::Case::kIgnore : Regex::Case::kSensitive, &why);
      if (!regex) {
        error(check::Kind::kVirtualHost, host_name_, route.name, why);
        return false;
      }
      route.path_kind = Kind::kRegex;
      route.regex = std::make_shared<const Regex>(std::move(*regex));
      break;
    }
    case v1::RouteMatch::PATH_NOT_SET: break;
  }
  for (const std::string& method : message.methods()) {
    const http::Method known = http::parse_method(method);
    if (known == http::Method::kOther) {
      route.other_methods.push_back(method);
    } else {
      route.methods.push_back(known);
    }
  }
  const auto add = [&](Predicate::Subject subject, const std::string& name, const v1::TextMatch& text) {
    auto matcher = text_matcher_of(text, &why);
    if (!matcher) {
      error(check::Kind::kVirtualHost, host_name_, route.name, why);
      return;
    }
    route.predicates.emplace_back(subject, name, std::move(*matcher));
  };
  for (const v1::HeaderMatch& match : message.headers()) add(Predicate::Subject::kHeader, match.name(), match.value());
  for (const v1::HeaderMatch& match : message.query()) add(Predicate::Subject::kQuery, match.name(), match.value());
  for (const v1::HeaderMatch& match : message.cookies()) add(Predicate::Subject::kCookie, match.name(), match.value());
  if (message.grpc().has_service()) add(Predicate::Subject::kGrpcService, "", message.grpc().service());
  if (message.grpc().has_method()) add(Predicate::Subject::kGrpcMethod, "", message.grpc().method());
  for (const std::string& range : message.source()) {
    if (auto cidr = Cidr::parse(range)) route.sources.add(*cidr);
  }
  return why.empty();
}

std::shared_ptr<const http::Handler> Build::handler(const v1::Route& message, const v1::RouteTable& table,
                                                    HeadChanges changes) {
  const auto refuse = [&](const std::string& why) {
    error(check::Kind::kVirtualHost, host_name_, message.name(), why);
    return std::shared_ptr<const http::Handler>();
  };
  std::string why;
  switch (message.action_case()) {
    case v1::Route::kProxy: return proxy(message.proxy(), table, std::move(changes));
    case v1::Route::kStaticFiles: {
      const v1::StaticFilesAction& action = message.static_files();
      handlers::StaticFilesOptions options;
      options.root.path = action.root();
      options.index.assign(action.index().begin(), action.index().end());
      options.autoindex = action.autoindex();
      options.try_files.assign(action.try_files().begin(), action.try_files().end());
      options.cache_control = action.cache_control();
      options.precompressed = action.precompressed() != v1::TOGGLE_OFF;
      for (const v1::NameValue& type : action.content_types()) {
        options.content_types.emplace_back(type.name(), type.value());
      }
      options.strip_prefix = action.strip_prefix();
      auto created = handlers::StaticFiles::create(std::move(options), &why);
      if (!created) return refuse(why);
      return std::shared_ptr<const http::Handler>(std::move(*created));
    }
    case v1::Route::kRespond: {
      const v1::RespondAction& action = message.respond();
      handlers::RespondOptions options;
      options.status = static_cast<uint16_t>(action.status());
      for (const v1::NameValue& header : action.headers()) options.headers.emplace_back(header.name(), header.value());
      options.body = action.body();
      options.expand_body = action.expand_body();
      auto created = handlers::Respond::create(options, &why);
      if (!created) return refuse(why);
      return std::shared_ptr<const http::Handler>(std::move(*created));
    }
    case v1::Route::kRedirect: {
      auto created = handlers::Redirect::create(
          {.status = static_cast<uint16_t>(message.redirect().status()), .location = message.redirect().location()},
          &why);
      if (!created) return refuse(why);
      return std::shared_ptr<const http::Handler>(std::move(*created));
    }
    case v1::Route::kEcho: return std::make_shared<const handlers::Echo>();
    case v1::Route::ACTION_NOT_SET: break;
  }
  return refuse("a route needs an action");
}

}  // namespace headgate::snapshot
