// options.h -- the command line of headgate-controller.
// Flags take one or two dashes, and their value as the next word or after '='. A subcommand is the first word.
// Thread: any (pure but for the environment it is given).   Errors: one line per problem, for exit code 2.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/translate/settings.h"
#include "dataplane/base/log.h"

namespace headgate::controller {

enum class Command : uint8_t { kServe, kCheck, kHelp, kVersion };

struct Options {
  Command command = Command::kServe;
  std::vector<std::string> manifests;  // check: files and folders

  // Sources; both may be on.
  std::string config;        // a JSON file, as the dataplane takes it
  bool kubernetes = false;   // -in-cluster or -kubeconfig was given, or we are in a Pod and there is no -config
  std::string kubeconfig;    // empty: the usual places
  std::string context;
  std::vector<std::string> watch_namespaces;  // empty: all

  std::string stream_address = "0.0.0.0:8443";
  std::string admin_address = "127.0.0.1:9901";  // "off"
  std::string webhook_address;                   // empty: no injection
  bool insecure = false;                         // the stream without TLS and without names: loopback only

  // Identity.
  std::string state_dir;     // the authority's key without Kubernetes
  std::string client_ca;     // PEM file: certificates of theirs may be any dataplane
  std::vector<std::string> server_names;  // names dataplanes reach us by, besides those of the Service
  std::string service = "headgate-controller";  // name of our own Service
  std::string trust_domain = "cluster.local";
  std::string cluster_domain = "cluster.local";

  // Our Pod, by the downward API.
  std::string pod_name;
  std::string pod_namespace;
  std::string pod_address;
  std::string service_account;

  std::string lease = "headgate-controller";        // NAME in our namespace
  std::string publish_service;                      // NAMESPACE/NAME whose addresses go into the status
  std::vector<std::string> publish_addresses;       // or these
  std::string sidecar_image;                        // needed with -webhook-address

  translate::Settings translation;
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kPretty;
};

struct ParsedOptions {
  Options options;
  std::vector<std::string> problems;  // empty: use `options`
};

using Environment = std::function<const char*(const char* name)>;

// `words` without the program's name.
ParsedOptions parse_options(std::span<const char* const> words, const Environment& environment);
std::string help_text();
std::string version_text();

}  // namespace headgate::controller
