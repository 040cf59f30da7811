#include "controlplane/translate/explain.h"

#include <algorithm>
#include <map>
#include <set>

#include "headgate/config/v1/resources.pb.h"

namespace headgate::translate {

namespace v1 = config::v1;
using control::v1::ObjectRef;

namespace {

std::string name_of(const ObjectRef& ref) {
  return ref.kind() + " " + (ref.namespace_().empty() ? "" : ref.namespace_() + "/") + ref.name();
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string bytes_text(uint64_t bytes) {
  if (bytes != 0 && bytes % (uint64_t{1} << 20) == 0) return std::to_string(bytes >> 20) + " MiB";
  if (bytes != 0 && bytes % 1024 == 0) return std::to_string(bytes / 1024) + " KiB";
  return std::to_string(bytes) + " bytes";
}

// What a filter does, in a few words.
std::string filter_text(const v1::HttpFilter& filter) {
  switch (filter.filter_case()) {
    case v1::HttpFilter::kBodyLimit: return "body up to " + bytes_text(filter.body_limit().bytes());
    case v1::HttpFilter::kTlsRedirect:
      return "http goes to https (" + std::to_string(filter.tls_redirect().status()) + ")";
    case v1::HttpFilter::kRedirect:
      return (filter.redirect().only_path().empty() ? "" : filter.redirect().only_path() + " ") + "redirected (" +
             std::to_string(filter.redirect().status()) + ") to " + filter.redirect().location();
    case v1::HttpFilter::kRewrite: return "path becomes " + filter.rewrite().full();
    case v1::HttpFilter::kIpAccess: return "by client address";
    case v1::HttpFilter::kBasicAuth: return "password (" + std::to_string(filter.basic_auth().users_size()) + " users)";
    case v1::HttpFilter::kExternalAuth: return "asks " + filter.external_auth().upstream();
    case v1::HttpFilter::kRateLimit:
      return std::to_string(filter.rate_limit().requests()) + " requests per " +
             std::to_string(filter.rate_limit().period().seconds()) + " s";
    case v1::HttpFilter::kConnectionLimit:
      return std::to_string(filter.connection_limit().connections()) + " requests at once";
    case v1::HttpFilter::kCors: return "CORS";
    case v1::HttpFilter::kMirror: return "copied to " + filter.mirror().upstream();
    case v1::HttpFilter::kErrorPages: return "errors by " + filter.error_pages().upstream();
    case v1::HttpFilter::kClientCertificate: return "client certificate of " + filter.client_certificate().secret();
    case v1::HttpFilter::kRequestHeaders: return "request fields changed";
    case v1::HttpFilter::kResponseHeaders: return "response fields changed";
    default: break;
  }
  const auto* field = v1::HttpFilter::descriptor()->FindFieldByNumber(filter.filter_case());
  return field == nullptr ? std::string() : std::string(field->name());
}

std::string match_text(const v1::RouteMatch& match) {
  switch (match.path_case()) {
    case v1::RouteMatch::kExact: return "exact   " + match.exact();
    case v1::RouteMatch::kPrefix: return "prefix  " + match.prefix();
    case v1::RouteMatch::kRawPrefix: return "prefix  " + match.raw_prefix();
    case v1::RouteMatch::kRegex: return "pattern " + match.regex();
    default: return "every path";
  }
}

class Explainer {
 public:
  explicit Explainer(const Output& output) : output_(output) {}

  std::string run() {
    for (const ResourcePtr& resource : output_.resources) take(*resource);
    for (const v1::EndpointShard& shard : shards_) {
      for (const v1::ShardTarget& target : shard.upstreams()) {
        for (const v1::Endpoint& endpoint : shard.endpoints()) {
          auto& [ready, all] = endpoints_[target.upstream()];
          ++all;
          if (!endpoint.has_ready() || endpoint.ready()) ++ready;
        }
      }
    }
    listeners();
    for (const auto& [name, host] : hosts_) explain_host(host);
    upstreams();
    notes();
    return std::move(text_);
  }

 private:
  void take(const Resource& resource) {
    if (resource.kind == control::v1::KIND_VIRTUAL_HOST) {
      v1::VirtualHost host;
      if (host.ParseFromString(resource.body)) hosts_.emplace(host.host(), std::move(host));
    } else if (resource.kind == control::v1::KIND_UPSTREAM) {
      v1::Upstream upstream;
      if (upstream.ParseFromString(resource.body)) upstreams_.push_back(std::move(upstream));
    } else if (resource.kind == control::v1::KIND_ENDPOINT_SHARD) {
      v1::EndpointShard shard;
      if (shard.ParseFromString(resource.body)) shards_.push_back(std::move(shard));
    } else if (resource.kind == control::v1::KIND_LISTENER) {
      v1::Listener listener;
      if (listener.ParseFromString(resource.body)) listeners_.push_back(std::move(listener));
    }
  }

  void listeners() {
    for (const v1::Listener& listener : listeners_) {
      text_ += "listener " + listener.name() + " on " + listener.address() + ":" + std::to_string(listener.port());
      for (const v1::ForwardRule& rule : listener.forward()) text_ += " -> " + rule.upstream();
      text_ += "\n";
      for (const v1::ServerCertificate& certificate : listener.tls().certificates()) {
        for (const std::string& name : certificate.server_names()) certificate_of_[name] = certificate.secret();
      }
    }
  }

  void explain_host(const v1::VirtualHost& host) {
    text_ += "\nhost " + (host.host() == "*" ? "* (every other)" : host.host());
    for (const std::string& alias : host.aliases()) text_ += ", " + alias;
    const auto certificate = certificate_of_.find(host.host());
    if (certificate != certificate_of_.end()) text_ += "   certificate " + certificate->second;
    if (host.order() == v1::MATCH_ORDERED) text_ += "   in the order below, regular expressions without case";
    text_ += "\n";
    for (const v1::HttpFilter& filter : host.filters()) text_ += "  all paths: " + filter_text(filter) + "\n";
    size_t widest = 0;
    for (const v1::Route& route : host.routes()) widest = std::max(widest, match_text(route.match()).size());
    for (const v1::Route& route : host.routes()) {
      std::string match = match_text(route.match());
      match.resize(std::max(match.size(), std::min(widest, size_t{48})), ' ');
      text_ += "  " + match + "  -> " + action_text(route) + "   [" + route.name() + "]\n";
      std::vector<std::string> words;
      for (const v1::HttpFilter& filter : route.filters()) words.push_back(filter_text(filter));
      if (!words.empty()) text_ += "      " + joined(words) + "\n";
    }
  }

  std::string action_text(const v1::Route& route) {
    if (route.has_respond()) return std::to_string(route.respond().status());
    if (route.has_redirect()) return std::to_string(route.redirect().status()) + " " + route.redirect().location();
    std::vector<std::string> words;
    const bool several = route.proxy().backends_size() > 1;
    for (const v1::Backend& backend : route.proxy().backends()) {
      words.push_back(backend.upstream() + (several ? " (" + std::to_string(backend.weight()) + ")" : ""));
    }
    return joined(words);
  }

  void upstreams() {
    if (!upstreams_.empty()) text_ += "\n";
    for (const v1::Upstream& upstream : upstreams_) {
      text_ += "upstream " + upstream.name() + ": ";
      if (!upstream.unavailable_status_reason().empty()) {
        text_ += "503: " + upstream.unavailable_status_reason() + "\n";
        continue;
      }
      const auto& [ready, all] = endpoints_[upstream.name()];
      text_ += std::to_string(ready) + " of " + std::to_string(all) + " endpoints ready\n";
    }
  }

  void notes() {
    std::string last;
    for (const Note& note : output_.notes) {
      const std::string name = name_of(note.object);
      if (name != last) text_ += "\n" + name + "\n";
      last = name;
      text_ += std::string("  ") + (note.warning ? "warning " : "note    ") + note.reason + ": " + note.message + "\n";
    }
  }

  const Output& output_;
  std::string text_;
  std::map<std::string, v1::VirtualHost> hosts_;
  std::vector<v1::Upstream> upstreams_;
  std::vector<v1::EndpointShard> shards_;
  std::vector<v1::Listener> listeners_;
  std::map<std::string, std::pair<size_t, size_t>> endpoints_;  // ready, all
  std::map<std::string, std::string> certificate_of_;
};

}  // namespace

std::string explain(const Output& output) { return Explainer(output).run(); }

}  // namespace headgate::translate
