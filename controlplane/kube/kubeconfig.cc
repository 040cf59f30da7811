// kubeconfig.cc -- the YAML of kubeconfig files: contexts, clusters and users, merged as kubectl does.
#include <yaml-cpp/yaml.h>

#include <exception>

#include "controlplane/kube/config.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "dataplane/tls/crypto.h"

namespace headgate::kube {
namespace {

// An entry of a list of {name, cluster | user | context}, and the folder of the file it stands in.
struct Entry {
  YAML::Node body;
  const std::string* folder = nullptr;
};

class Reader {
 public:
  Reader(const std::vector<KubeconfigFile>& files, std::string& problem) : files_(files), problem_(problem) {
    for (const auto& file : files_) roots_.push_back(YAML::Load(file.text));
  }

  std::optional<Config> read(std::string context) {
    for (const auto& root : roots_) {
      if (!root.IsMap() && !root.IsNull()) return fail("a kubeconfig is a mapping with clusters, users and contexts");
      if (context.empty()) context = text(root, "current-context");
    }
    if (context.empty()) return fail("no current-context, and none was chosen");
    const Entry chosen = find("contexts", "context", context);
    if (chosen.folder == nullptr) return fail("there is no context " + quote_json(context));
    const std::string cluster_name = text(chosen.body, "cluster");
    const Entry cluster = find("clusters", "cluster", cluster_name);
    if (cluster.folder == nullptr) return fail("there is no cluster " + quote_json(cluster_name));
    Config config;
    config.name_space = text(chosen.body, "namespace");
    if (config.name_space.empty()) config.name_space = "default";
    if (!read_cluster(cluster, cluster_name, config)) return std::nullopt;
    // A context without a user is anonymous.
    const std::string user_name = text(chosen.body, "user");
    if (user_name.empty()) return config;
    const Entry user = find("users", "user", user_name);
    if (user.folder == nullptr) return fail("there is no user " + quote_json(user_name));
    if (!read_user(user, user_name, config)) return std::nullopt;
    return config;
  }

 private:
  std::nullopt_t fail(std::string why) {
    problem_ = "kubeconfig: " + std::move(why);
    return std::nullopt;
  }

  // Null for what is not there: yaml-cpp's own answer throws when it is looked at.
  static YAML::Node child(const YAML::Node& map, const char* key) {
    if (!map.IsMap()) return {};
    const YAML::Node value = map[key];
    return value ? value : YAML::Node();
  }
  static std::string text(const YAML::Node& map, const char* key) {
    const YAML::Node value = child(map, key);
    return value.IsScalar() ? value.Scalar() : std::string();
  }

  Entry find(const char* list_name, const char* body_name, const std::string& name) {
    for (size_t i = 0; i < roots_.size(); ++i) {
      const YAML::Node& root = roots_[i];
      const YAML::Node list = child(root, list_name);
      if (!list.IsSequence()) continue;
      for (const YAML::Node& item : list) {
        const YAML::Node body = child(item, body_name);
        if (text(item, "name") == name && body.IsMap()) return {body, &files_[i].folder};
      }
    }
    return {};
  }

  bool read_cluster(const Entry& cluster, const std::string& name, Config& config) {
    const std::string where = "cluster " + quote_json(name) + ": ";
    if (!text(cluster.body, "proxy-url").empty()) return refuse(where + "proxy-url is not supported");
    if (!parse_server(text(cluster.body, "server"), config)) {
      return refuse(where + "server is not a URL like https://host:6443");
    }
    config.server_name = text(cluster.body, "tls-server-name");
    config.verify = text(cluster.body, "insecure-skip-tls-verify") != "true";
    if (!read_pem(cluster, where, "certificate-authority", config.authority)) return false;
    if (!config.verify && !config.authority.empty()) {
      return refuse(where + "insecure-skip-tls-verify and certificate-authority exclude each other");
    }
    return true;
  }

  bool read_user(const Entry& user, const std::string& name, Config& config) {
    const std::string where = "user " + quote_json(name) + ": ";
    if (user.body["exec"]) {
      return refuse(
          where + "exec plugins are not supported: use a token, a client certificate, or the ServiceAccount of a Pod");
    }
    if (user.body["auth-provider"]) return refuse(where + "auth-provider is not supported");
    for (const char* key : {"as", "as-uid", "as-groups", "as-user-extra"}) {
      if (user.body[key]) return refuse(where + "impersonation (" + key + ") is not supported");
    }
    if (!read_pem(user, where, "client-certificate", config.certificate)) return false;
    if (!read_pem(user, where, "client-key", config.key)) return false;
    if (config.certificate.empty() != config.key.empty()) {
      return refuse(where + "client-certificate and client-key need each other");
    }
    config.token = text(user.body, "token");
    config.token_file = resolved(text(user.body, "tokenFile"), *user.folder);
    config.username = text(user.body, "username");
    config.password = text(user.body, "password");
    return true;
  }

  // KEY-data wins over KEY, as in kubectl.
  bool read_pem(const Entry& entry, const std::string& where, const std::string& key, Pem& into) {
    if (const std::string inline_text = text(entry.body, (key + "-data").c_str()); !inline_text.empty()) {
      auto decoded = tls::base64_decode(inline_text);
      if (!decoded || decoded->empty()) return refuse(where + key + "-data is not base64");
      into.text = *std::move(decoded);
      return true;
    }
    into.file = resolved(text(entry.body, key.c_str()), *entry.folder);
    return true;
  }

  static std::string resolved(const std::string& path, const std::string& folder) {
    return path.empty() || path.front() == '/' ? path : folder + "/" + path;
  }

  static bool parse_server(std::string_view url, Config& config) {
    if (url.starts_with("https://")) {
      url.remove_prefix(8);
    } else if (url.starts_with("http://")) {
      url.remove_prefix(7);
      config.tls = false;
      config.port = 80;
    } else {
      return false;
    }
    const size_t slash = url.find('/');
    if (slash != std::string_view::npos) {
      config.path_prefix = std::string(url.substr(slash));
      while (config.path_prefix.ends_with('/')) config.path_prefix.pop_back();
      url = url.substr(0, slash);
    }
    for (const char c : config.path_prefix) {
      if (static_cast<unsigned char>(c) <= ' ' || c == '?' || c == '#') return false;
    }
    std::string_view port;
    if (url.starts_with('[')) {
      const size_t close = url.find(']');
      if (close == std::string_view::npos) return false;
      port = url.substr(close + 1);
      url = url.substr(1, close - 1);
      if (!port.empty() && port.front() != ':') return false;
      if (!port.empty()) port.remove_prefix(1);
    } else if (const size_t colon = url.find(':'); colon != std::string_view::npos) {
      port = url.substr(colon + 1);
      url = url.substr(0, colon);
    }
    for (const char c : url) {
      const bool fits = is_alpha(c) || is_digit(c) || c == '.' || c == '-' || c == '_' || c == ':';
      if (!fits) return false;
    }
    config.host = std::string(url);
    if (!port.empty()) {
      const auto number = parse_decimal<uint16_t>(port);
      if (!number || *number == 0) return false;
      config.port = *number;
    }
    return !config.host.empty();
  }

  bool refuse(std::string why) {
    problem_ = "kubeconfig: " + std::move(why);
    return false;
  }

  const std::vector<KubeconfigFile>& files_;
  std::string& problem_;
  std::vector<YAML::Node> roots_;
};

}  // namespace

std::optional<Config> parse_kubeconfig(const std::vector<KubeconfigFile>& files, const std::string& context,
                                       std::string& problem) {
  try {
    return Reader(files, problem).read(context);
  } catch (const std::exception& error) {  // yaml-cpp throws what it cannot read
    problem = std::string("kubeconfig: ") + error.what();
    return std::nullopt;
  }
}

}  // namespace headgate::kube
