#include "dataplane/explain/explain.h"

#include <algorithm>
#include <vector>

#include "dataplane/base/text.h"
#include "dataplane/explain/words.h"
#include "dataplane/http/uri.h"
#include "dataplane/routing/path_table.h"

namespace headgate::explain {

namespace {

using snapshot::Listener;

template <typename Message>
const Message* named(const google::protobuf::RepeatedPtrField<Message>& list, std::string_view name) {
  const auto found = std::find_if(list.begin(), list.end(), [&](const Message& one) { return one.name() == name; });
  return found == list.end() ? nullptr : &*found;
}

class Explainer {
 public:
  Explainer(const snapshot::Snapshot& snapshot, const config::v1::ResourceSet& set, const Question& question,
            MonotonicTime now)
      : snapshot_(snapshot), set_(set), question_(question), now_(now), head_(arena_) {}

  Answer run() {
    add(question_.method + " " + question_.url);
    if (!make_head()) return std::move(answer_);
    const auto listeners = listeners_for();
    if (listeners.empty()) add("listener", std::string("none serves ") + (question_.tls ? "https" : "http"));
    for (const Listener* listener : listeners) through(*listener);
    return std::move(answer_);
  }

 private:
  void add(const std::string& line) { answer_.text += line + "\n"; }
  void add(std::string_view what, const std::string& words) {
    std::string line(what);
    line.resize(std::max<size_t>(line.size() + 1, 12), ' ');
    add(line + words);
  }

  // As the parser of a connection makes it.
  bool make_head() {
    head_.method_text = question_.method;
    head_.method = http::parse_method(question_.method);
    head_.scheme = question_.tls ? http::Scheme::kHttps : http::Scheme::kHttp;
    head_.authority = question_.authority;
    head_.headers.add(http::FieldId::kHost, head_.authority);
    for (const auto& [name, value] : question_.fields) head_.headers.add(name, value);
    if (const auto parsed = http::parse_target(question_.target, head_); !parsed) {
      add("refused", "400: " + to_string(parsed.error()));
      return false;
    }
    const auto host = http::parse_host(head_.authority, arena_);
    if (!host) {
      add("refused", "400: " + to_string(host.error()));
      return false;
    }
    head_.host = *host;
    if (head_.path != std::string_view(question_.target).substr(0, question_.target.find('?'))) {
      add("path", std::string(head_.path) + " (normalized)");
    }
    return true;
  }

  // Those of the scheme; where one has the port of the URL, only that. A Service in front may have another port.
  std::vector<const Listener*> listeners_for() {
    std::vector<const Listener*> all;
    std::vector<const Listener*> exact;
    for (const auto& listener : snapshot_.listeners) {
      if (listener->kind != Listener::Kind::kHttp || (listener->tls != nullptr) != question_.tls) continue;
      all.push_back(listener.get());
      if (listener->address.is_ip() && listener->address.port() == question_.port) exact.push_back(listener.get());
    }
    port_matches_ = !exact.empty();
    return port_matches_ ? exact : all;
  }

  void through(const Listener& listener) {
    std::string words = listener.name + " at " + listener.address.to_string();
    if (!port_matches_) words += " (none has port " + std::to_string(question_.port) + ": for requests that reach it)";
    add("listener", words);
    if (listener.tls != nullptr) explain_certificate(listener);
    if (listener.routes == nullptr) return;
    const routing::VirtualHost* const host = listener.routes->find_host(head_.host);
    if (host == nullptr) {
      add("host", "none takes " + quote_json(head_.host) + ": answer " +
                      std::to_string(listener.routes->settings().no_host_status));
      return;
    }
    add("host", host->name() + ", " + how_it_takes(*host));
    explain_route(listener, *host);
  }

  void explain_certificate(const Listener& listener) {
    const auto* message = named(set_.listeners(), listener.name);
    const bool known = listener.tls->names->find(head_.host) != nullptr;
    std::string secrets;
    if (message != nullptr && known) {
      for (const auto& entry : message->tls().certificates()) {
        for (const std::string& name : entry.server_names()) {
          if (name == head_.host) secrets = " (" + entry.secret() + ")";
        }
      }
    }
    if (known) {
      add("certificate", "for " + quote_json(head_.host) + secrets);
    } else if (listener.tls->settings.require_known_name) {
      add("certificate", "none for " + quote_json(head_.host) + ": the handshake is refused");
    } else {
      add("certificate", "the default: none is for " + quote_json(head_.host));
    }
  }

  std::string how_it_takes(const routing::VirtualHost& host) const {
    std::string wildcard;
    for (const std::string& name : host.hosts()) {
      if (name == head_.host) return "by its name " + quote_json(name);
      if (name.starts_with("*.") && head_.host.ends_with(std::string_view(name).substr(1)) && name.size() > wildcard.size()) {
        wildcard = name;
      }
    }
    return wildcard.empty() ? "which takes what no other host does" : "by the wildcard " + quote_json(wildcard);
  }

  void explain_route(const Listener& listener, const routing::VirtualHost& host) {
    routing::PathTable::Match match;
    const bool found = host.find(head_, question_.address, match);
    const auto* message = named(set_.virtual_hosts(), host.name());
    for (const auto& route : host.routes()) {
      if (route.get() == match.route) continue;
      explain_other(*route, message, found);
    }
    if (!found) {
      add("route", "none of " + std::to_string(host.routes().size()) + ": answer " +
                       std::to_string(listener.routes->settings().no_route_status));
      return;
    }
    const auto* route = message == nullptr ? nullptr : named(message->routes(), match.route->name);
    if (route == nullptr) {
      add("route", match.route->name);
      answer_.taken = true;
      return;
    }
    add("route", match.route->name + ", by " + match_words(*route));
    if (const auto* table = named(set_.route_tables(), listener.routes->settings().name)) explain_filters("table", table->filters());
    explain_filters("host", message->filters());
    explain_filters("route", route->filters());
    add("action", action_words(*route));
    answer_.taken = true;
    explain_marks(route->proxy());
    for (const auto& backend : route->proxy().backends()) explain_backend(backend, route->proxy().backends_size() > 1);
    if (!route->proxy().fallback_upstream().empty()) {
      add("fallback", "when there is no endpoint:");
      explain_upstream(route->proxy().fallback_upstream(), "");
    }
  }

  // A Route that nearly took it: alone in a table it would, or its path does.
  void explain_other(const routing::Route& route, const config::v1::VirtualHost* host, bool found) {
    const auto* message = host == nullptr ? nullptr : named(host->routes(), route.name);
    const std::string by = message == nullptr ? "" : ", by " + match_words(*message);
    routing::Route path_only;
    path_only.path_kind = route.path_kind;
    path_only.path = route.path;
    path_only.regex = route.regex;
    path_only.ignore_case = route.ignore_case;
    const std::vector<std::shared_ptr<const routing::Route>> alone{std::make_shared<const routing::Route>(path_only)};
    routing::PathTable::Match match;
    if (!routing::PathTable(alone).find(head_, question_.address, match)) return;
    if (route.accepts(head_, question_.address)) {
      if (found) add("  behind", route.name + by + ": would take it, but another is preferred");
      return;
    }
    add("  passed", route.name + by + ": " + why_not(route));
  }

  std::string why_not(const routing::Route& route) const {
    const bool any_method = route.methods.empty() && route.other_methods.empty();
    const bool method = any_method || std::count(route.methods.begin(), route.methods.end(), head_.method) > 0 ||
                        std::count(route.other_methods.begin(), route.other_methods.end(), head_.method_text) > 0;
    if (!method) return "not for the method " + question_.method;
    for (const auto& predicate : route.predicates) {
      if (!predicate.holds(head_)) return "a condition on a header, parameter or cookie does not hold";
    }
    return "not for clients at " + question_.client;
  }

  void explain_filters(std::string_view scope, const google::protobuf::RepeatedPtrField<config::v1::HttpFilter>& filters) {
    for (const auto& filter : filters) add("filter", filter_words(filter) + " (of the " + std::string(scope) + ")");
  }

  void explain_marks(const config::v1::ProxyAction& action) {
    for (const auto& choice : action.choices()) {
      const bool by_header = choice.has_header();
      add("  marked", std::string(by_header ? "header " + choice.header().name() : "cookie " + choice.cookie().name()) +
                          " may choose " +
                          (choice.backend() < static_cast<uint32_t>(action.backends_size())
                               ? action.backends(static_cast<int>(choice.backend())).upstream()
                               : std::string("none")) +
                          " before the weights");
    }
  }

  void explain_backend(const config::v1::Backend& backend, bool several) {
    explain_upstream(backend.upstream(), several ? ", weight " + std::to_string(backend.weight()) : "");
  }

  void explain_upstream(const std::string& name, const std::string& more) {
    const auto* message = named(set_.upstreams(), name);
    add("upstream", name + more + (message == nullptr ? "" : ", " + upstream_words(*message)));
    for (const auto& upstream : snapshot_.upstreams) {
      if (upstream == nullptr || upstream->name() != name) continue;
      if (upstream->endpoints().empty()) add("endpoint", "none: answer 503");
      for (const upstream::Endpoint& endpoint : upstream->endpoints()) {
        add("endpoint", endpoint.text + ", " + endpoint_words(endpoint, now_));
      }
    }
  }

  const snapshot::Snapshot& snapshot_;
  const config::v1::ResourceSet& set_;
  const Question& question_;
  const MonotonicTime now_;
  Arena arena_;
  http::RequestHead head_;
  bool port_matches_ = false;
  Answer answer_;
};

}  // namespace

Answer explain(const snapshot::Snapshot& snapshot, const config::v1::ResourceSet& set, const Question& question,
               MonotonicTime now) {
  return Explainer(snapshot, set, question, now).run();
}

}  // namespace headgate::explain
