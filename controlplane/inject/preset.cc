#include "controlplane/inject/preset.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "controlplane/inject/annotations.h"
#include "controlplane/inject/settings.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "proto/json/uri.h"

namespace headgate::inject {
namespace {

using Ordered = nlohmann::ordered_json;  // users read the result: keys stay in our order

constexpr const char* kExpected =
    "expected tls:PORT->TARGET, http:PORT->TARGET, static:PORT->/FOLDER, tcp:PORT->[tls/]HOST:PORT or "
    "statsd:tcp/PORT->udp/HOST:PORT; a TARGET is PORT, HOST:PORT or unix:/PATH";

std::optional<uint16_t> parse_port(std::string_view text) {
  const auto port = parse_decimal<uint16_t>(text);
  return port && *port > 0 ? port : std::nullopt;
}

class Compiler {
 public:
  explicit Compiler(bool has_tls_secret) : has_tls_secret_(has_tls_secret) {}

  void add(std::string_view preset) {
    preset_ = preset;
    const size_t arrow = preset.find("->");
    const size_t colon = preset.find(':');
    if (arrow == std::string_view::npos || colon == std::string_view::npos || colon > arrow) return fail(kExpected);
    const std::string_view kind = preset.substr(0, colon);
    const std::string_view listen = trim(preset.substr(colon + 1, arrow - colon - 1));
    const std::string_view target = trim(preset.substr(arrow + 2));
    if (kind == "tls" || kind == "http") return add_proxy(kind == "tls", listen, target);
    if (kind == "static") return add_static(listen, target);
    if (kind == "tcp") return add_tunnel(listen, target);
    if (kind == "statsd") return add_statsd(listen, target);
    fail(kExpected);
  }

  CompiledPreset finish() {
    if (!result_.problems.empty()) return std::move(result_);
    Ordered file = {{"listen", listen_}};
    if (result_.needs_tls_secret) file["tls"] = {{"cert", in_secret("tls.crt")}, {"key", in_secret("tls.key")}};
    file["dispatch"] = dispatch_;
    result_.json = file.dump(2, ' ', false, Ordered::error_handler_t::replace);
    return std::move(result_);
  }

 private:
  static std::string in_secret(const char* file) { return std::string(kTlsFolder) + "/" + file; }

  void fail(std::string why) { result_.problems.push_back(quote_json(preset_) + ": " + std::move(why)); }

  // The name of the new listener; empty after a problem.
  std::string listen(std::string_view kind, std::string_view port_text, const std::string& uri_prefix) {
    const auto port = parse_port(port_text);
    if (!port) {
      fail("there is no port " + quote_json(port_text));
      return {};
    }
    if (std::ranges::find(ports_, *port) != ports_.end()) {
      fail("port " + std::to_string(*port) + " is taken by the preset before it");
      return {};
    }
    ports_.push_back(*port);
    std::string name = std::string(kind) + "-" + std::to_string(*port);
    listen_.push_back({{"name", name}, {"uri", uri_prefix + ":" + std::to_string(*port)}});
    return name;
  }

  bool is_target(const std::string& uri) {
    json::Uri parsed;
    std::string why;
    if (json::parse_target_uri(uri, parsed, why)) return true;
    fail(why);
    return false;
  }

  // The folder of a Unix socket; false after a problem.
  bool share_socket(std::string_view path) {
    const size_t slash = path.rfind('/');
    if (!is_clean_path(path) || slash == 0 || path.size() > 107) {
      fail("expected unix:/FOLDER/NAME, at most 107 characters");
      return false;
    }
    result_.folders.emplace_back(path.substr(0, slash));
    return true;
  }

  void add_proxy(bool tls, std::string_view port, std::string_view target) {
    std::string uri;
    if (target.starts_with("unix:")) {
      if (!share_socket(target.substr(5))) return;
      uri = "unix://" + std::string(target.substr(5));
    } else if (target.find(':') == std::string_view::npos) {
      const auto local = parse_port(target);
      if (!local) return fail("there is no port " + quote_json(target));
      uri = "http://127.0.0.1:" + std::to_string(*local);
    } else {
      uri = "http://" + std::string(target);
      if (!is_target(uri)) return;
    }
    const std::string name = listen(tls ? "tls" : "http", port, tls ? "https://" : "http://");
    if (name.empty()) return;
    result_.needs_tls_secret |= tls;
    dispatch_.push_back({{"listener", name}, {"handler", "proxy"}, {"proxy_pass", uri}});
  }

  void add_static(std::string_view port, std::string_view folder) {
    if (!is_clean_path(folder)) return fail("expected the path of a folder");
    const std::string name = listen("static", port, "http://");
    if (name.empty()) return;
    result_.folders.emplace_back(folder);
    dispatch_.push_back({{"listener", name}, {"handler", "static"}, {"root", std::string(folder)}});
  }

  void add_tunnel(std::string_view port, std::string_view target) {
    const bool tls = target.starts_with("tls/");
    if (tls) target.remove_prefix(4);
    std::string uri;
    if (!tls && target.starts_with("unix:")) {
      if (!share_socket(target.substr(5))) return;
      uri = "unix://" + std::string(target.substr(5));
    } else {
      uri = (tls ? "ssl://" : "tcp://") + std::string(target);
      if (!is_target(uri)) return;
    }
    const std::string name = listen("tcp", port, "tcp://127.0.0.1");
    if (name.empty()) return;
    Ordered rule = {{"listener", name}, {"handler", "forward"}, {"forward_to", uri}};
    if (tls && has_tls_secret_) {
      rule["tls"] = {{"ca", in_secret("ca.crt")}, {"cert", in_secret("tls.crt")}, {"key", in_secret("tls.key")}};
    }
    dispatch_.push_back(std::move(rule));
  }

  void add_statsd(std::string_view port, std::string_view target) {
    if (!port.starts_with("tcp/") || !target.starts_with("udp/")) {
      return fail("expected statsd:tcp/PORT->udp/HOST:PORT");
    }
    const std::string uri = "udp://" + std::string(target.substr(4));
    if (!is_target(uri)) return;
    const std::string name = listen("statsd", port.substr(4), "tcp://127.0.0.1");
    if (name.empty()) return;
    dispatch_.push_back(
        {{"listener", name}, {"handler", "forward"}, {"forward_to", uri}, {"mode", "datagram"}, {"framing", "line"}});
  }

  const bool has_tls_secret_;
  std::string_view preset_;
  std::vector<uint16_t> ports_;
  Ordered listen_ = Ordered::array();
  Ordered dispatch_ = Ordered::array();
  CompiledPreset result_;
};

}  // namespace

CompiledPreset compile_presets(std::string_view text, bool has_tls_secret) {
  Compiler compiler(has_tls_secret);
  const std::vector<std::string_view> presets = split(text, ',');
  if (presets.size() > kMaxPresets) return {.problems = {"more than " + std::to_string(kMaxPresets) + " presets"}};
  for (const std::string_view preset : presets) compiler.add(trim(preset));
  return compiler.finish();
}

}  // namespace headgate::inject
