#include "controlplane/translate/merge.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "controlplane/translate/path_pattern.h"
#include "dataplane/base/host_name.h"
#include "dataplane/base/text.h"

namespace headgate::translate {

namespace v1 = config::v1;

namespace {

std::string name_of(const IngressModel& ingress) { return ingress.ref.namespace_() + "/" + ingress.ref.name(); }

std::string without_dollars(std::string_view text) {
  std::string literal;
  for (const char c : text) literal += c == '$' ? "$$" : std::string(1, c);
  return literal;
}

bool is_among(const std::string& path, const std::vector<std::string>& locations) {
  return std::any_of(locations.begin(), locations.end(),
                     [&](const std::string& location) { return !location.empty() && path.starts_with(location); });
}

// One path of the host after conflicts are decided.
struct Location {
  IngressPtr ingress;
  const PathRule* rule = nullptr;
  IngressPtr canary_of{};                 // the canary that joined, if any
  const PathRule* canary_rule = nullptr;
  bool implied = false;                   // "/" that nobody wrote
};

class HostMerger {
 public:
  HostMerger(const HostInput& input, const Settings& settings, const Defaults& defaults)
      : input_(input), settings_(settings), defaults_(defaults) {}

  HostOutput run() {
    collect();
    if (primary_ == nullptr) return std::move(output_);
    certificate_ = certificate_of(input_.host, input_.ingresses);
    add_implied();
    decide_mode();
    sort();
    MergedHost& merged = output_.hosts.emplace_back();
    host_ = &merged.message;
    origin_ = &merged.origin;
    host_->set_name(std::string(kTable) + "/" + input_.host);
    host_->set_table(kTable);
    host_->set_host(input_.host);
    for (const std::string& alias : input_.aliases) host_->add_aliases(alias);
    if (input_.host.starts_with("*.")) host_->set_wildcard_single_label(v1::TOGGLE_ON);
    if (regex_) host_->set_order(v1::MATCH_ORDERED);
    add_host_filters();
    if (unusable_) {
      refuse_all();
    } else {
      for (const Location& location : locations_) add_route(location);
    }
    add_redirected_name();
    return std::move(output_);
  }

 private:
  void note(const IngressModel& ingress, bool warning, std::string reason, std::string message) {
    output_.notes.push_back({ingress.ref, warning, std::move(reason), std::move(message)});
  }

  void collect() {
    std::map<std::pair<std::string, bool>, size_t> taken;
    for (const IngressPtr& ingress : input_.ingresses) {
      if (ingress->canary) continue;
      if (primary_ == nullptr) primary_ = ingress;
      for (const PathRule& rule : ingress->paths) {
        if (rule.host != input_.host) continue;
        const auto [at, fresh] = taken.emplace(std::pair(rule.path, rule.exact), locations_.size());
        if (fresh) {
          locations_.push_back({ingress, &rule});
        } else {
          const Location& winner = locations_[at->second];
          note(*ingress, true, "PathTaken",
               "host " + input_.host + ", path " + rule.path + ": " +
                   (winner.ingress == ingress ? "an earlier rule of the same Ingress"
                                              : "the older Ingress " + name_of(*winner.ingress)) +
                   " has it");
        }
      }
    }
    for (const IngressPtr& ingress : input_.ingresses) {
      if (ingress->canary) join_canary(ingress, taken);
    }
  }

  void join_canary(const IngressPtr& canary, const std::map<std::pair<std::string, bool>, size_t>& taken) {
    for (const PathRule& rule : canary->paths) {
      if (rule.host != input_.host) continue;
      const std::string where = "host " + input_.host + ", path " + rule.path + ": ";
      const auto at = taken.find({rule.path, rule.exact});
      if (at == taken.end()) {
        note(*canary, true, "CanaryWithoutPrimary", where + "no other Ingress has this path with the same pathType");
        continue;
      }
      Location& location = locations_[at->second];
      if (location.canary_of != nullptr) {
        note(*canary, true, "CanaryTaken", where + "the older canary " + name_of(*location.canary_of) + " has it");
      } else if (rule.upstream == nullptr || location.rule->upstream == nullptr) {
        note(*canary, true, "CanaryWithoutBackend", where + "the canary or its primary has no backend");
      } else if (rule.upstream->name() == location.rule->upstream->name()) {
        note(*canary, true, "CanarySameBackend", where + "the canary sends to the same Service as its primary");
      } else {
        location.canary_of = canary;
        location.canary_rule = &rule;
      }
    }
  }

  // Every host has "/": of the first Ingress, with its default backend, that of the controller, or a 404.
  void add_implied() {
    for (const Location& location : locations_) {
      if (location.rule->path == "/" && !location.rule->exact) return;
    }
    implied_.host = input_.host;
    implied_.path = "/";
    implied_.id = "default";
    IngressPtr owner = primary_;
    // An Ingress without rules takes what is left on the host of all hosts.
    if (input_.host == "*") {
      for (const IngressPtr& ingress : input_.ingresses) {
        if (ingress->canary || !ingress->default_backend) continue;
        owner = ingress;
        break;
      }
      for (const IngressPtr& ingress : input_.ingresses) {
        if (ingress == owner || ingress->canary || !ingress->default_backend || !ingress->paths.empty()) continue;
        note(*ingress, true, "PathTaken", "defaultBackend: the older Ingress " + name_of(*owner) + " has it");
      }
    }
    if (owner->default_backend) {
      implied_ = *owner->default_backend;
      implied_.host = input_.host;
    } else {
      implied_.upstream = input_.default_backend;
    }
    locations_.push_back({owner, &implied_, nullptr, nullptr, true});
  }

  void decide_mode() {
    IngressPtr cause;
    std::string reason;
    for (const IngressPtr& ingress : input_.ingresses) {
      if (ingress->canary) continue;
      const bool here =
          std::any_of(locations_.begin(), locations_.end(), [&](const Location& l) { return l.ingress == ingress; });
      if (!here) continue;
      std::string why = ingress->regex ? ingress->regex_reason : "";
      for (const Location& location : locations_) {
        if (!why.empty()) break;
        const bool own = location.ingress == ingress && !location.implied;
        if (own && !ingress->rewrite_target.empty() && ingress->rewrite_target != location.rule->path) {
          why = "rewrite-target";
        }
      }
      if (why.empty()) continue;
      cause = ingress;
      reason = why;
      break;
    }
    if (cause == nullptr) return;
    regex_ = true;
    std::set<const IngressModel*> told;
    for (const Location& location : locations_) {
      const IngressModel& other = *location.ingress;
      if (&other == cause.get() || location.implied || other.regex || !other.rewrite_target.empty()) continue;
      if (!told.insert(&other).second) continue;
      note(other, false, "HostInRegexMode",
           "all paths of the host " + input_.host + " match as regular expressions without case, because of " + reason +
               " of the Ingress " + name_of(*cause));
    }
  }

  void sort() {
    std::sort(locations_.begin(), locations_.end(), [&](const Location& a, const Location& b) {
      const std::string& left = a.rule->path;
      const std::string& right = b.rule->path;
      if (regex_ && left.size() != right.size()) return left.size() > right.size();
      if (left != right) return regex_ ? left > right : left < right;
      return a.rule->exact && !b.rule->exact;
    });
  }

  uint32_t origin_index(const IngressModel& ingress) {
    for (size_t i = 0; i < origin_->size(); ++i) {
      if ((*origin_)[i].uid() == ingress.ref.uid() && (*origin_)[i].namespace_() == ingress.ref.namespace_() &&
          (*origin_)[i].name() == ingress.ref.name()) {
        return static_cast<uint32_t>(i);
      }
    }
    origin_->push_back(ingress.ref);
    return static_cast<uint32_t>(origin_->size() - 1);
  }

  // What concerns the whole host is taken from the first Ingress that has it.
  void add_host_filters() {
    IngressPtr guard;
    IngressPtr root;
    for (const IngressPtr& ingress : input_.ingresses) {
      if (ingress->canary) continue;
      const bool guards = ingress->client_certificate || ingress->client_certificate_unusable;
      if (guards && guard == nullptr) {
        guard = ingress;
      } else if (guards) {
        const bool same = ingress->client_certificate_unusable == guard->client_certificate_unusable &&
                          ingress->client_certificate.has_value() == guard->client_certificate.has_value() &&
                          (!guard->client_certificate || guard->client_certificate->SerializeAsString() ==
                                                             ingress->client_certificate->SerializeAsString());
        if (!same) {
          note(*ingress, true, "HostSettingTaken",
               "auth-tls-*: on the host " + input_.host + " those of the older Ingress " + name_of(*guard) + " hold");
        }
      }
      if (!ingress->app_root.empty() && root == nullptr) {
        root = ingress;
      } else if (!ingress->app_root.empty() && ingress->app_root != root->app_root) {
        note(*ingress, true, "HostSettingTaken",
             "app-root: on the host " + input_.host + " that of the older Ingress " + name_of(*root) + " holds");
      }
    }
    unusable_ = guard != nullptr && guard->client_certificate_unusable;
    if (unusable_) origin_index(*guard);
    if (guard != nullptr && guard->client_certificate) {
      *host_->add_filters()->mutable_client_certificate() = *guard->client_certificate;
    }
    if (root != nullptr) {
      v1::RedirectFilter* redirect = host_->add_filters()->mutable_redirect();
      redirect->set_status(302);
      redirect->set_location("$scheme://$http_host" + without_dollars(root->app_root));
      redirect->set_only_path("/");
    }
  }

  void refuse_all() {
    v1::Route* route = host_->add_routes();
    route->set_name("client-certificates-unusable");
    route->mutable_match()->set_prefix("/");
    route->mutable_respond()->set_status(403);
  }

  void add_route(const Location& location) {
    const IngressModel& ingress = *location.ingress;
    const PathRule& rule = *location.rule;
    v1::Route route;
    route.set_name(name_of(ingress) + ":" + rule.id);
    route.add_origin(origin_index(ingress));
    if (!ingress.access_log) route.set_access_log("off");
    std::optional<PathPattern> pattern;
    v1::RouteMatch* match = route.mutable_match();
    if (regex_) {
      std::string why;
      pattern = path_pattern(rule.path, &why);
      if (!pattern) {
        note(ingress, true, "PatternNotSupported",
             "path " + rule.path + ": no regular expression that can be matched in linear time (no look-around, no "
                 "back-reference): " + why + "; the path is left out");
        return;
      }
      match->set_regex(pattern->regex);
      match->set_ignore_case(true);
    } else if (rule.path.find_first_of("?#") != std::string::npos) {
      note(
          ingress, true, "InvalidPath",
          "path " + rule.path + ": a path has no query and no fragment; patterns need use-regex. The path is left out");
      return;
    } else if (rule.exact) {
      match->set_exact(rule.path);
    } else if (rule.path.size() > 1 && rule.path.ends_with('/')) {
      match->set_raw_prefix(rule.path);
    } else {
      match->set_prefix(rule.path);
    }
    if (ingress.denied) {
      route.mutable_respond()->set_status(503);
    } else {
      add_filters(location, route);
      add_action(location, pattern, route);
    }
    add_slash_redirect(location);
    *host_->add_routes() = std::move(route);
  }

  void add_filters(const Location& location, v1::Route& route) {
    const IngressModel& ingress = *location.ingress;
    const std::string& path = location.rule->path;
    for (const v1::HttpFilter& filter : ingress.filters) {
      v1::HttpFilter* added = route.add_filters();
      *added = filter;
      if (added->has_error_pages()) {
        add_facts(ingress, *location.rule, *added->mutable_error_pages()->mutable_request_headers());
      }
    }
    const bool redirect = (certificate_ && ingress.ssl_redirect) || ingress.force_ssl_redirect;
    if (redirect && !is_among(path, defaults_.no_tls_redirect_locations)) {
      v1::TlsRedirect* to_tls = route.add_filters()->mutable_tls_redirect();
      to_tls->set_status(defaults_.redirect_code);
      if (settings_.https_redirect_port != 443) to_tls->set_port(settings_.https_redirect_port);
      to_tls->set_trust_forwarded(defaults_.use_forwarded_headers);
      to_tls->set_force(ingress.force_ssl_redirect);
    }
    if (ingress.auth && !is_among(path, defaults_.no_auth_locations)) {
      UpstreamPtr upstream;
      std::string why;
      auto auth = auth_for_host(*ingress.auth, input_.host, defaults_.connection, &upstream, &why);
      if (auth) {
        *route.add_filters()->mutable_external_auth() = std::move(*auth);
      } else {
        route.mutable_respond()->set_status(503);  // its note was written when the Ingress was read
      }
    }
  }

  void add_action(const Location& location, const std::optional<PathPattern>& pattern, v1::Route& route) {
    if (route.has_respond()) return;
    const IngressModel& ingress = *location.ingress;
    const PathRule& rule = *location.rule;
    std::string prefix_of_rewrite = ingress.proxy.forwarded().prefix();
    const bool rewritten = pattern && !location.implied;
    if (rewritten && !ingress.rewrite_target.empty() && ingress.rewrite_target != rule.path) {
      std::string why;
      auto target = rewrite_text(ingress.rewrite_target, *pattern, &why);
      if (!target) {
        note(ingress, true, "InvalidAnnotation", "rewrite-target: " + why + "; the path is not rewritten");
      } else if (target->starts_with("http://") || target->starts_with("https://")) {
        route.mutable_redirect()->set_status(302);
        route.mutable_redirect()->set_location(*target);
        return;
      } else {
        if (!target->starts_with('/') && !target->starts_with('$')) target->insert(0, "/");
        route.add_filters()->mutable_rewrite()->set_full(*target);
      }
    } else {
      prefix_of_rewrite.clear();
    }
    if (rule.upstream == nullptr) {
      route.mutable_respond()->set_status(location.implied && !ingress.default_backend ? 404 : 503);
      return;
    }
    v1::ProxyAction* proxy = route.mutable_proxy();
    *proxy = ingress.proxy;
    if (prefix_of_rewrite.empty()) proxy->mutable_forwarded()->clear_prefix();
    if (proxy->has_affinity()) {
      const bool plain = !regex_ && !location.implied;
      proxy->mutable_affinity()->set_path(!ingress.cookie_path.empty() ? ingress.cookie_path : plain ? rule.path : "/");
    }
    if (!proxy->host_rewrite().empty()) {
      proxy->set_host_rewrite(
          our_variables(proxy->host_rewrite(), {{"service_name", rule.service}, {"service_port", rule.port}}));
    }
    if (!proxy->fallback_upstream().empty()) {
      const auto fact = [&](const char* name, const std::string& value) {
        v1::NameValue* header = proxy->add_fallback_headers();
        header->set_name(name);
        header->set_value(value);
      };
      fact("X-Code", "503");
      fact("X-Format", "$header_accept");
      fact("X-Original-URI", "$request_uri");
      add_facts(ingress, rule, *proxy->mutable_fallback_headers());
    }
    proxy->add_backends()->set_upstream(rule.upstream->name());
    if (location.canary_of != nullptr) add_canary(*location.canary_of, *location.canary_rule, route);
  }

  // What a default backend is told about the Ingress, as ingress-nginx does.
  static void add_facts(const IngressModel& ingress, const PathRule& rule,
                        google::protobuf::RepeatedPtrField<v1::NameValue>& into) {
    const std::pair<const char*, const std::string&> facts[] = {{"X-Namespace", ingress.ref.namespace_()},
                                                                 {"X-Ingress-Name", ingress.ref.name()},
                                                                 {"X-Service-Name", rule.service},
                                                                 {"X-Service-Port", rule.port}};
    for (const auto& [name, value] : facts) {
      if (value.empty()) continue;
      v1::NameValue* header = into.Add();
      header->set_name(name);
      header->set_value(value);
    }
  }

  void add_canary(const IngressModel& ingress, const PathRule& rule, v1::Route& route) {
    const Canary& canary = *ingress.canary;
    v1::ProxyAction* proxy = route.mutable_proxy();
    route.add_origin(origin_index(ingress));
    proxy->mutable_backends(0)->set_weight(canary.total - canary.weight);
    v1::Backend* backend = proxy->add_backends();
    backend->set_upstream(rule.upstream->name());
    backend->set_weight(canary.weight);
    if (proxy->has_affinity() && !canary.sticky) backend->set_sticky(v1::TOGGLE_OFF);
    const auto choose = [&](bool header, const std::string& name, uint32_t which) {
      v1::BackendChoice* choice = proxy->add_choices();
      choice->set_backend(which);
      v1::HeaderMatch* mark = header ? choice->mutable_header() : choice->mutable_cookie();
      mark->set_name(name);
      return mark->mutable_value();
    };
    if (!canary.header.empty()) {
      if (!canary.header_value.empty()) {
        choose(true, canary.header, 1)->set_exact(canary.header_value);
      } else if (!canary.header_pattern.empty()) {
        std::string why;
        const std::string pattern = "(?s).*(?:" + canary.header_pattern + ").*";
        if (path_pattern(pattern, &why)) {
          choose(true, canary.header, 1)->set_regex(pattern);
        } else {
          note(ingress, true, "PatternNotSupported",
               "canary-by-header-pattern: " + why + "; no request is chosen by it");
        }
      } else {
        choose(true, canary.header, 1)->set_exact("always");
        choose(true, canary.header, 0)->set_exact("never");
      }
    }
    if (!canary.cookie.empty()) {
      choose(false, canary.cookie, 1)->set_exact("always");
      choose(false, canary.cookie, 0)->set_exact("never");
    }
  }

  // nginx sends /docs to /docs/ where only the second exists.
  void add_slash_redirect(const Location& location) {
    const std::string& path = location.rule->path;
    if (regex_ || location.rule->exact || path.size() < 2 || !path.ends_with('/')) return;
    const std::string bare = path.substr(0, path.size() - 1);
    for (const Location& other : locations_) {
      if (other.rule->path == bare) return;
    }
    if (bare.ends_with('/')) return;
    v1::Route* route = host_->add_routes();
    route->set_name(name_of(*location.ingress) + ":" + location.rule->id + "/slash");
    route->add_origin(origin_index(*location.ingress));
    route->mutable_match()->set_exact(bare);
    route->mutable_redirect()->set_status(301);
    route->mutable_redirect()->set_location("$scheme://$host" + without_dollars(path) + "$is_args$args");
  }

  void add_redirected_name() {
    if (input_.redirected_name.empty()) return;
    const auto wishing = std::find_if(input_.ingresses.begin(), input_.ingresses.end(), [](const IngressPtr& ingress) {
      return ingress->from_to_www && !ingress->canary;
    });
    MergedHost merged;
    v1::VirtualHost& host = merged.message;
    host.set_name(std::string(kTable) + "/" + input_.redirected_name);
    host.set_table(kTable);
    host.set_host(input_.redirected_name);
    v1::Route* route = host.add_routes();
    route->set_name(name_of(**wishing) + ":www");
    route->add_origin(0);
    route->mutable_match()->set_prefix("/");
    route->mutable_redirect()->set_status(defaults_.redirect_code);
    route->mutable_redirect()->set_location("$scheme://" + input_.host + "$request_uri");
    merged.origin.push_back((*wishing)->ref);
    output_.hosts.push_back(std::move(merged));
  }

  const HostInput& input_;
  const Settings& settings_;
  const Defaults& defaults_;
  HostOutput output_{};
  std::vector<Location> locations_{};
  PathRule implied_{};
  IngressPtr primary_{};
  std::optional<std::string> certificate_{};
  bool regex_ = false;
  bool unusable_ = false;
  v1::VirtualHost* host_ = nullptr;
  std::vector<control::v1::ObjectRef>* origin_ = nullptr;
};

}  // namespace

HostOutput merge_host(const HostInput& input, const Settings& settings, const Defaults& defaults) {
  return HostMerger(input, settings, defaults).run();
}

NameWishes wishes_of(const std::string& host, const std::vector<IngressPtr>& ingresses) {
  NameWishes wishes;
  bool first = true;
  for (const IngressPtr& ingress : ingresses) {
    if (ingress->canary) continue;
    if (std::exchange(first, false)) wishes.precedence = ingress->precedence;
    if (wishes.aliases.empty() && host != "*") {
      for (const std::string& alias : ingress->aliases) {
        if (alias != host) wishes.aliases.push_back(alias);
      }
    }
    if (ingress->from_to_www && wishes.redirected_name.empty() && host_pattern_kind(host) == HostPatternKind::kExact) {
      wishes.redirected_name = host.starts_with("www.") ? host.substr(4) : "www." + host;
      if (!is_valid_host_name(wishes.redirected_name)) wishes.redirected_name.clear();
    }
  }
  return wishes;
}

std::optional<std::string> certificate_of(const std::string& host, const std::vector<IngressPtr>& ingresses) {
  for (const IngressPtr& ingress : ingresses) {
    if (ingress->canary) continue;
    for (const HostTls& tls : ingress->tls) {
      if (tls.host == host) return tls.secret;
    }
    for (const HostTls& tls : ingress->tls) {
      if (host_matches(tls.host, host, true)) return tls.secret;
    }
  }
  return std::nullopt;
}

}  // namespace headgate::translate
