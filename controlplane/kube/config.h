// config.h -- where the API server is, whom to trust there and who we are: from a Pod's mount or from kubeconfig files.
//
// Not built, and refused instead of ignored: exec and auth-provider plugins, impersonation, proxy-url.
// Spec: Kubernetes "Organizing Cluster Access Using kubeconfig Files", "Accessing the API from within a Pod".
// Thread: any (values).   Owner: the caller.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/result.h"

namespace headgate::kube {

// Certificates or a key: the text itself, or a file that is read again for each new connection, so that it may rotate.
struct Pem {
  std::string text;
  std::string file;

  [[nodiscard]] bool empty() const { return text.empty() && file.empty(); }
  // kNotFound, kDenied or kSystem: the file cannot be read. kTooLarge: over 1 MiB.
  [[nodiscard]] Result<std::string> read() const;
};

struct Config {
  bool tls = true;
  std::string host;         // name or address, IPv6 without brackets
  uint16_t port = 443;
  std::string path_prefix;  // of the server's URL, without a slash at the end; usually empty
  std::string server_name;  // what its certificate must be for; empty: host
  bool verify = true;       // false only where the kubeconfig says insecure-skip-tls-verify
  Pem authority;            // empty: those the system trusts
  Pem certificate;          // of the client, with its chain; empty: none
  Pem key;
  std::string token;        // bearer; token_file wins over it
  std::string token_file;
  std::string username;     // basic authentication
  std::string password;
  std::string name_space;   // the default one: that of the Pod or of the context; "default" when neither says
};

// A whole small file. Errors as Pem::read().
Result<std::string> read_small_file(const std::string& path);

// The environment as a function, so that tests bring their own: nullptr for what is not set.
using Environment = std::function<const char*(const char* name)>;
const char* process_environment(const char* name);

// All of these return no value and say why in `problem`, a text for people.

// Where to look, the first that is there: `file` (when not empty; then nothing else), the files of $KUBECONFIG, the Pod
// we run in, ~/.kube/config. `context` chooses another context than the current one; empty: the current one.
std::optional<Config> find_config(const std::string& file, const std::string& context, std::string& problem,
                                  const Environment& environment = process_environment);
// The ServiceAccount that is mounted in our Pod. `mount` ends without a slash.
std::optional<Config> in_cluster_config(const std::string& mount, std::string& problem,
                                        const Environment& environment = process_environment);

struct KubeconfigFile {
  std::string text;
  std::string folder;  // relative paths in it start here
};
// Several files are one: of entries with the same name the first counts, and so does the first current-context.
std::optional<Config> parse_kubeconfig(const std::vector<KubeconfigFile>& files, const std::string& context,
                                       std::string& problem);

}  // namespace headgate::kube
