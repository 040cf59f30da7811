#include "proto/json/command_line.h"

#include <utility>

#include "dataplane/base/text.h"
#include "proto/json/json_writer.h"
#include "proto/json/uri.h"

namespace headgate::json {

namespace {

constexpr std::string_view kName = "command line";

class Translator {
 public:
  explicit Translator(const CommandLine& line) : line_(line) {}

  CommandLineText run() {
    if (line_.listen.empty()) problem("expected an address to listen on, for example http://:8080");
    if (!line_.to.empty() && !line_.root.empty()) problem("-root serves files and -to forwards; give one of the two");
    if (line_.cert.empty() != line_.key.empty()) problem("-cert and -key go together");
    for (const std::string& text : line_.listen) {
      Uri uri;
      std::string why;
      if (!parse_listen_uri(text, uri, why)) {
        problem(quote_json(text) + ": " + why);
      } else {
        add_rule(text, uri);
      }
    }
    if (!out_.problems.empty()) return std::move(out_);
    write();
    return std::move(out_);
  }

 private:
  struct Rule {
    std::string listener;
    std::string handler;
    std::vector<std::string> targets;
  };

  void problem(std::string message) {
    Diagnostic one;
    one.file = kName;
    one.rule = "command-line";
    one.message = std::move(message);
    out_.problems.push_back(std::move(one));
  }

  void add_rule(const std::string& text, const Uri& uri) {
    const bool http = uri.scheme == Scheme::kHttp || uri.scheme == Scheme::kHttps;
    if (line_.to.empty()) {
      if (!http && uri.scheme != Scheme::kUnix) {
        problem(quote_json(text) + ": where to? expected -to TARGET");
        return;
      }
      rules_.push_back({text, "static", {}});
      return;
    }
    Rule rule{text, "", {}};
    bool proxies = http;
    for (const std::string& to : line_.to) {
      std::string target = to.find("://") == std::string::npos ? std::string(scheme_name(uri.scheme)) + "://" + to : to;
      Uri parsed;
      std::string why;
      if (!parse_target_uri(target, parsed, why)) {
        problem("-to " + quote_json(to) + ": " + why);
        return;
      }
      if (parsed.scheme == Scheme::kUpstream) {
        problem("-to " + quote_json(to) + ": there are no named upstreams on the command line");
        return;
      }
      if (uri.scheme == Scheme::kUnix && is_http_scheme(parsed.scheme)) proxies = true;
      if (!fit(http, uri, parsed)) {
        problem("-to " + quote_json(to) + ": " + std::string(scheme_name(parsed.scheme)) + ":// cannot answer for " +
                quote_json(text));
        return;
      }
      rule.targets.push_back(to_string(parsed));
    }
    rule.handler = proxies ? "proxy" : "forward";
    rules_.push_back(std::move(rule));
  }

  // The target as the kind of listener needs it: false when there is no such thing.
  static bool fit(bool http, const Uri& listener, Uri& target) {
    if (http) {
      if (target.scheme == Scheme::kTcp) target.scheme = Scheme::kHttp;
      if (target.scheme == Scheme::kSsl) target.scheme = Scheme::kHttps;
      return is_http_scheme(target.scheme) || target.scheme == Scheme::kUnix;
    }
    if (listener.scheme == Scheme::kUnix) return true;
    if (target.scheme == Scheme::kHttp) target.scheme = Scheme::kTcp;
    if (target.scheme == Scheme::kHttps) target.scheme = Scheme::kSsl;
    return !is_http_scheme(target.scheme);
  }

  void member(std::string_view key, std::string_view text) {
    writer_.key(key);
    writer_.string(text);
  }

  void strings(std::string_view key, const std::vector<std::string>& list) {
    writer_.key(key);
    writer_.open('[');
    for (const std::string& one : list) {
      writer_.element();
      writer_.string(one);
    }
    writer_.close(']');
  }

  // Several targets make a pool; listeners with the same targets share it.
  std::string target_of(const Rule& rule) const {
    if (rule.targets.size() == 1) return rule.targets.front();
    return "upstream://" + pool_name(rule);
  }
  std::string pool_name(const Rule& rule) const {
    for (size_t i = 0; i < rules_.size(); ++i) {
      if (rules_[i].targets == rule.targets && rules_[i].handler == rule.handler)
        return i == 0 ? "to" : "to-" + std::to_string(i + 1);
    }
    return "to";
  }

  void write_upstreams() {
    std::vector<std::string> written;
    for (const Rule& rule : rules_) {
      if (rule.targets.size() < 2) continue;
      const std::string name = pool_name(rule);
      bool done = false;
      for (const std::string& one : written) done = done || one == name;
      if (done) continue;
      if (written.empty()) {
        writer_.key("upstreams");
        writer_.open('{');
      }
      written.push_back(name);
      writer_.key(name);
      writer_.open('{');
      strings("targets", rule.targets);
      writer_.close('}');
    }
    if (!written.empty()) writer_.close('}');
  }

  void write_rule(const Rule& rule) {
    writer_.element();
    writer_.open('{');
    member("listener", rule.listener);
    member("handler", rule.handler);
    if (rule.handler == "static") {
      member("root", line_.root.empty() ? "./html" : line_.root);
    } else {
      member(rule.handler == "proxy" ? "proxy_pass" : "forward_to", target_of(rule));
    }
    writer_.close('}');
  }

  void write() {
    writer_.open('{');
    strings("listen", line_.listen);
    if (!line_.cert.empty()) {
      writer_.key("tls");
      writer_.open('{');
      member("cert", line_.cert);
      member("key", line_.key);
      writer_.close('}');
    }
    if (line_.backlog) {
      writer_.key("backlog");
      writer_.raw(std::to_string(*line_.backlog));
    }
    if (!line_.admin.empty()) member("admin", line_.admin);
    write_upstreams();
    writer_.key("dispatch");
    writer_.open('[');
    for (const Rule& rule : rules_) write_rule(rule);
    writer_.close(']');
    writer_.close('}');
    out_.json = writer_.take();
  }

  const CommandLine& line_;
  CommandLineText out_;
  std::vector<Rule> rules_;
  JsonWriter writer_;
};

}  // namespace

CommandLineText translate_command_line(const CommandLine& line) { return Translator(line).run(); }

void drop_positions(std::vector<Diagnostic>& diagnostics) {
  for (Diagnostic& one : diagnostics) {
    one.file = kName;
    one.line = 0;
    one.column = 0;
  }
}

}  // namespace headgate::json
