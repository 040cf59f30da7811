// options.h -- the command line and the environment.
//
// Flags take one or two dashes, and their value as the next word or after '='. A subcommand is the first word.
// Thread: any (pure but for options_from_environment and default_workers).   Errors: one line per problem, for exit code 2.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/log.h"

namespace headgate::control {

enum class Command : uint8_t {
  kServe, kCheck, kPrint, kReload, kStatus, kHealthCheck, kDrain, kReopen, kUpgrade, kExplain, kHelp, kVersion
};

// Where a controller is, who we are to it, and what is kept of it.
struct ControlOptions {
  std::string target;      // -control HOST:PORT; empty: no controller
  std::string ca;          // -control-ca
  std::string token_file;  // -control-token-file
  std::string cert;        // -control-cert
  std::string key;         // -control-key
  bool insecure = false;   // -control-insecure
  std::string node_id;     // -node-id; empty: made of the pod, or of the host's name
  std::string set;         // -control-config: name of the set of resources; empty: the controller decides
  std::string state_dir;   // -state-dir
  bool persist_secrets = false;  // -persist-secrets
  // Of the pod; empty outside of one.
  std::string pod;
  std::string pod_namespace;
  std::string pod_uid;
  std::string service_account;
  std::string node_name;
};

// What `explain` is asked about.
struct ExplainOptions {
  std::string url;
  std::string method;                // -method; empty: GET
  std::vector<std::string> headers;  // -header "NAME: VALUE", several
  std::string client;                // -client; empty: 127.0.0.1
};

struct Options {
  Command command = Command::kServe;
  std::vector<std::string> listen;   // URIs as given
  std::vector<std::string> targets;  // -to; several are one pool
  std::string root;                  // -root; empty: ./html
  std::string cert;                  // -cert
  std::string key;                   // -key
  std::optional<uint32_t> backlog;   // -c
  std::string config;                // -config; empty: none named (see config_path)
  std::string file;                  // of check and print
  bool resources = false;            // print --resources
  std::optional<uint32_t> workers;
  std::string admin;  // empty: the default socket
  std::string health;  // -health; empty: none
  std::string user;   // NAME[:GROUP]
  bool no_parent = false;
  std::optional<LogLevel> log_level;
  std::optional<uint32_t> drain_seconds;  // instead of the timeouts.drain of every listener
  ControlOptions control;
  ExplainOptions explain;
};

struct ParsedOptions {
  Options options;
  std::vector<std::string> problems;  // empty: use `options`
};

// What the environment says; flags win. Unset variables may be null.
struct Environment {
  const char* workers = nullptr;    // HEADGATE_WORKERS
  const char* log_level = nullptr;  // HEADGATE_LOG_LEVEL
  const char* config = nullptr;     // HEADGATE_CONFIG
  // The downward API of Kubernetes, only looked at with -control.
  const char* pod = nullptr;              // POD_NAME
  const char* pod_namespace = nullptr;    // POD_NAMESPACE
  const char* pod_uid = nullptr;          // POD_UID
  const char* service_account = nullptr;  // POD_SERVICE_ACCOUNT
  const char* node_name = nullptr;        // NODE_NAME
};
Environment options_environment();

// `words` without the program's name.
ParsedOptions parse_options(std::span<const char* const> words, const Environment& environment);

// The file to serve: -config, or ./config.json when neither a file, a URI nor a controller is given; empty: the command
// line says it all.
std::string config_path(const Options& options);
std::string help_text();
std::string version_text();

// CPUs this process may use: the affinity mask, cut by the cgroup's quota (versions 1 and 2, rounded up), at least 1.
uint32_t default_workers();
// The quota alone, read below `root` ("" in production); nullopt: no limit.
std::optional<double> cgroup_cpu_limit(const std::string& root);

}  // namespace headgate::control
