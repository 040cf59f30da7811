#include "controlplane/kube/config.h"

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "dataplane/base/address.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"

namespace headgate::kube {
namespace {

constexpr size_t kMaxFile = 1 << 20;
constexpr std::string_view kServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

std::string text_of(const Environment& environment, const char* name) {
  const char* value = environment(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

}  // namespace

const char* process_environment(const char* name) { return std::getenv(name); }

Result<std::string> read_small_file(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    if (errno == ENOENT) return Error{.code = Errc::kNotFound, .sys_errno = ENOENT, .detail = "file"};
    if (errno == EACCES) return Error{.code = Errc::kDenied, .sys_errno = EACCES, .detail = "file"};
    return system_error("open");
  }
  std::string text(kMaxFile + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return system_error("read");
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kMaxFile) return Error{.code = Errc::kTooLarge, .detail = "file over 1 MiB"};
  return text;
}

Result<std::string> Pem::read() const { return file.empty() ? Result<std::string>(text) : read_small_file(file); }

std::optional<Config> in_cluster_config(const std::string& mount, std::string& problem,
                                        const Environment& environment) {
  Config config;
  config.host = text_of(environment, "KUBERNETES_SERVICE_HOST");
  const std::string port_text = text_of(environment, "KUBERNETES_SERVICE_PORT");
  const auto port = parse_decimal<uint16_t>(port_text);
  if (config.host.empty() || !port || *port == 0) {
    problem = "not in a Pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not both set";
    return std::nullopt;
  }
  // IPv6 addresses stand there bare; brackets are tolerated.
  if (config.host.front() == '[' && config.host.back() == ']') {
    config.host = config.host.substr(1, config.host.size() - 2);
  }
  config.port = *port;
  config.token_file = mount + "/token";
  config.authority.file = mount + "/ca.crt";
  for (const std::string& path : {config.token_file, config.authority.file}) {
    if (const auto read = read_small_file(path); !read) {
      problem = path + ": " + to_string(read.error()) + "; is automountServiceAccountToken off?";
      return std::nullopt;
    }
  }
  const auto name_space = read_small_file(mount + "/namespace");
  config.name_space = name_space ? std::string(trim(*name_space)) : "default";
  while (!config.name_space.empty() && config.name_space.back() == '\n') config.name_space.pop_back();
  return config;
}

std::optional<Config> find_config(const std::string& file, const std::string& context, std::string& problem,
                                  const Environment& environment) {
  std::vector<std::string> paths;
  bool must_exist = true;
  if (!file.empty()) {
    paths.push_back(file);
  } else if (const std::string list = text_of(environment, "KUBECONFIG"); !list.empty()) {
    for (const std::string_view path : split(list, ':')) {
      if (!path.empty()) paths.emplace_back(path);
    }
    must_exist = false;  // as kubectl: a file of the list may be missing
  } else if (!text_of(environment, "KUBERNETES_SERVICE_HOST").empty()) {
    if (!context.empty()) {
      problem = "a context needs a kubeconfig; none was given, and we run in a Pod";
      return std::nullopt;
    }
    return in_cluster_config(std::string(kServiceAccount), problem, environment);
  } else if (const std::string home = text_of(environment, "HOME"); !home.empty()) {
    paths.push_back(home + "/.kube/config");
  } else {
    problem = "no kubeconfig: none was given, KUBECONFIG and HOME are not set, and we do not run in a Pod";
    return std::nullopt;
  }
  std::vector<KubeconfigFile> files;
  for (const std::string& path : paths) {
    auto text = read_small_file(path);
    if (!text && text.error().code == Errc::kNotFound && !must_exist) continue;
    if (!text) {
      problem = path + ": " + to_string(text.error());
      return std::nullopt;
    }
    files.push_back({*std::move(text), folder_of(path)});
  }
  if (files.empty()) {
    problem = "no file of KUBECONFIG exists";
    return std::nullopt;
  }
  return parse_kubeconfig(files, context, problem);
}

}  // namespace headgate::kube
