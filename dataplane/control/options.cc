#include "dataplane/control/options.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "dataplane/base/number.h"

namespace headgate::control {
namespace {

constexpr uint32_t kMaxWorkers = 1024;
constexpr uint32_t kMaxDrainSeconds = 86'400;

enum class Flag : uint8_t {
  kTo, kRoot, kCert, kKey, kBacklog, kConfig, kWorkers, kAdmin, kHealth, kUser, kNoParent, kLogLevel, kDrainSeconds,
  kResources, kHelp, kVersion, kControl, kControlCa, kControlToken, kControlCert, kControlKey, kControlInsecure,
  kControlConfig, kNodeId, kStateDir, kPersistSecrets, kMethod, kHeader, kClient
};

struct FlagRow {
  std::string_view name;
  Flag flag;
  bool has_value;
};

constexpr std::array kFlags = {
    FlagRow{"to", Flag::kTo, true},
    FlagRow{"root", Flag::kRoot, true},
    FlagRow{"cert", Flag::kCert, true},
    FlagRow{"key", Flag::kKey, true},
    FlagRow{"c", Flag::kBacklog, true},
    FlagRow{"config", Flag::kConfig, true},
    FlagRow{"workers", Flag::kWorkers, true},
    FlagRow{"admin", Flag::kAdmin, true},
    FlagRow{"health", Flag::kHealth, true},
    FlagRow{"user", Flag::kUser, true},
    FlagRow{"no-parent", Flag::kNoParent, false},
    FlagRow{"log-level", Flag::kLogLevel, true},
    FlagRow{"drain-seconds", Flag::kDrainSeconds, true},
    FlagRow{"resources", Flag::kResources, false},
    FlagRow{"help", Flag::kHelp, false},
    FlagRow{"h", Flag::kHelp, false},
    FlagRow{"version", Flag::kVersion, false},
    FlagRow{"control", Flag::kControl, true},
    FlagRow{"control-ca", Flag::kControlCa, true},
    FlagRow{"control-token-file", Flag::kControlToken, true},
    FlagRow{"control-cert", Flag::kControlCert, true},
    FlagRow{"control-key", Flag::kControlKey, true},
    FlagRow{"control-insecure", Flag::kControlInsecure, false},
    FlagRow{"control-config", Flag::kControlConfig, true},
    FlagRow{"node-id", Flag::kNodeId, true},
    FlagRow{"state-dir", Flag::kStateDir, true},
    FlagRow{"persist-secrets", Flag::kPersistSecrets, false},
    FlagRow{"method", Flag::kMethod, true},
    FlagRow{"header", Flag::kHeader, true},
    FlagRow{"client", Flag::kClient, true},
};

struct CommandRow {
  std::string_view name;
  Command command;
};
constexpr std::array kCommands = {
    CommandRow{"check", Command::kCheck},   CommandRow{"print", Command::kPrint},
    CommandRow{"reload", Command::kReload}, CommandRow{"status", Command::kStatus},
    CommandRow{"drain", Command::kDrain},   CommandRow{"reopen", Command::kReopen},
    CommandRow{"upgrade", Command::kUpgrade}, CommandRow{"healthcheck", Command::kHealthCheck},
    CommandRow{"explain", Command::kExplain},
};

// Levenshtein distance, for "did you mean".
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

template <typename Rows>
std::string nearest(const Rows& rows, std::string_view word) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const auto& row : rows) {
    const size_t distance = edit_distance(row.name, word);
    // One-letter flags are near to everything short.
    if (distance < best_distance && distance < word.size() && row.name.size() > 1) {
      best_distance = distance;
      best = row.name;
    }
  }
  return best;
}

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

std::optional<uint32_t> parse_workers(std::string_view text) {
  const auto value = parse_decimal<uint32_t>(text);
  return value && *value >= 1 && *value <= kMaxWorkers ? value : std::nullopt;
}

class Parser {
 public:
  explicit Parser(std::span<const char* const> words) : words_(words.begin(), words.end()) {}

  void run(ParsedOptions& into) {
    result_ = &into;
    for (; at_ < words_.size(); ++at_) {
      const std::string_view word = words_[at_];
      if (!only_words_ && word == "--") {
        only_words_ = true;
      } else if (!only_words_ && word.size() > 1 && word[0] == '-') {
        take_flag(word);
      } else {
        take_word(word);
      }
    }
    check_combination();
  }

 private:
  Options& options() { return result_->options; }
  void fail(std::string problem) { result_->problems.push_back(std::move(problem)); }

  void take_word(std::string_view word) {
    if (options().command == Command::kExplain && options().explain.url.empty()) {
      options().explain.url = word;
      return;
    }
    if (word.find("://") != std::string_view::npos) {
      options().listen.emplace_back(word);
      return;
    }
    const bool first = !command_given_ && options().listen.empty() && options().file.empty();
    if (first) {
      const auto row = std::ranges::find(kCommands, word, &CommandRow::name);
      if (row != kCommands.end()) {
        options().command = row->command;
        command_given_ = true;
        return;
      }
    }
    const bool wants_file = options().command == Command::kCheck || options().command == Command::kPrint;
    if (wants_file && options().file.empty()) {
      options().file = word;
      return;
    }
    const std::string near = nearest(kCommands, word);
    if (command_given_) {
      fail("unexpected word " + quoted(word));
    } else if (!near.empty()) {
      fail("unknown command " + quoted(word) + ", did you mean " + quoted(near) + "?");
    } else {
      fail(quoted(word) + " is neither a command nor a URI like http://:8080; a file is given with -config");
    }
  }

  void take_flag(std::string_view word) {
    std::string_view name = word.substr(word.starts_with("--") ? 2 : 1);
    std::optional<std::string_view> value;
    if (const size_t equals = name.find('='); equals != std::string_view::npos) {
      value = name.substr(equals + 1);
      name = name.substr(0, equals);
    }
    const auto row = std::ranges::find(kFlags, name, &FlagRow::name);
    if (row == kFlags.end()) {
      const std::string near = nearest(kFlags, name);
      fail("unknown flag " + quoted(word.substr(0, word.find('='))) +
           (near.empty() ? ", see --help" : ", did you mean '-" + near + "'?"));
      skip_value_of(near, value.has_value());
      return;
    }
    if (!row->has_value) {
      if (value) fail("flag -" + std::string(name) + " takes no value");
      set_switch(row->flag);
      return;
    }
    if (!value) {
      if (at_ + 1 == words_.size()) {
        fail("flag -" + std::string(name) + " needs a value");
        return;
      }
      value = words_[++at_];
    }
    if (value->empty()) {
      fail("flag -" + std::string(name) + " has an empty value");
      return;
    }
    set_value(row->flag, name, *value);
  }

  // The next word was meant as the value of a misspelt flag: one mistake, one problem.
  void skip_value_of(std::string_view near, bool value_given) {
    const auto row = std::ranges::find(kFlags, near, &FlagRow::name);
    if (row == kFlags.end() || !row->has_value || value_given || at_ + 1 == words_.size()) return;
    if (!words_[at_ + 1].starts_with('-')) ++at_;
  }

  void set_switch(Flag flag) {
    if (flag == Flag::kNoParent) options().no_parent = true;
    if (flag == Flag::kResources) options().resources = true;
    if (flag == Flag::kControlInsecure) options().control.insecure = true;
    if (flag == Flag::kPersistSecrets) options().control.persist_secrets = true;
    if (flag == Flag::kHelp) help_ = true;
    if (flag == Flag::kVersion) version_ = true;
  }

  void set_once(std::string& into, std::string_view name, std::string_view value) {
    if (!into.empty() && into != value) fail("flag -" + std::string(name) + " is given twice");
    into = value;
  }

  void set_value(Flag flag, std::string_view name, std::string_view value) {
    switch (flag) {
      case Flag::kTo: options().targets.emplace_back(value); break;
      case Flag::kRoot: set_once(options().root, name, value); break;
      case Flag::kCert: set_once(options().cert, name, value); break;
      case Flag::kKey: set_once(options().key, name, value); break;
      case Flag::kConfig: set_once(options().config, name, value); break;
      case Flag::kAdmin: set_once(options().admin, name, value); break;
      case Flag::kHealth: set_once(options().health, name, value); break;
      case Flag::kUser: set_once(options().user, name, value); break;
      case Flag::kControl: set_once(options().control.target, name, value); break;
      case Flag::kControlCa: set_once(options().control.ca, name, value); break;
      case Flag::kControlToken: set_once(options().control.token_file, name, value); break;
      case Flag::kControlCert: set_once(options().control.cert, name, value); break;
      case Flag::kControlKey: set_once(options().control.key, name, value); break;
      case Flag::kControlConfig: set_once(options().control.set, name, value); break;
      case Flag::kNodeId: set_once(options().control.node_id, name, value); break;
      case Flag::kStateDir: set_once(options().control.state_dir, name, value); break;
      case Flag::kMethod: set_once(options().explain.method, name, value); break;
      case Flag::kHeader: options().explain.headers.emplace_back(value); break;
      case Flag::kClient: set_once(options().explain.client, name, value); break;
      case Flag::kBacklog: {
        options().backlog = parse_decimal<uint32_t>(value);
        const bool good = options().backlog && *options().backlog >= 1 && *options().backlog <= 1'000'000;
        if (!good) fail("-c " + quoted(value) + ": expected a backlog from 1 to 1000000");
        break;
      }
      case Flag::kWorkers:
        options().workers = parse_workers(value);
        if (!options().workers) fail("-workers " + quoted(value) + ": expected a number from 1 to 1024");
        break;
      case Flag::kDrainSeconds:
        options().drain_seconds = parse_decimal<uint32_t>(value);
        if (!options().drain_seconds || *options().drain_seconds > kMaxDrainSeconds) {
          fail("-drain-seconds " + quoted(value) + ": expected a number from 0 to 86400");
        }
        break;
      case Flag::kLogLevel: {
        LogLevel level{};
        if (parse_level(value, level)) {
          options().log_level = level;
        } else {
          fail("-log-level " + quoted(value) + ": expected trace, debug, info, warn, error or off");
        }
        break;
      }
      case Flag::kNoParent:
      case Flag::kResources:
      case Flag::kControlInsecure:
      case Flag::kPersistSecrets:
      case Flag::kHelp:
      case Flag::kVersion: break;  // set_switch
    }
  }

  void check_combination() {
    Options& all = options();
    if (help_ || version_) {
      all.command = help_ ? Command::kHelp : Command::kVersion;
      return;
    }
    if (all.resources && all.command != Command::kPrint) fail("-resources belongs to print");
    if ((all.command == Command::kCheck || all.command == Command::kPrint) && all.file.empty()) {
      fail("which file? usage: headgate check FILE");
    }
    const ExplainOptions& asked = all.explain;
    if (all.command == Command::kExplain) {
      if (asked.url.empty()) fail("which URL? usage: headgate explain URL");
      if (!all.config.empty() && !all.admin.empty()) fail("give -config (what a file says) or -admin (what a process does)");
    } else if (!asked.method.empty() || !asked.headers.empty() || !asked.client.empty()) {
      fail("-method, -header and -client belong to explain");
    }
    if (all.cert.empty() != all.key.empty()) fail("-cert needs -key, and -key needs -cert");
    const bool serving_flags = !all.listen.empty() || !all.targets.empty() || !all.root.empty() || !all.cert.empty() ||
                               all.backlog || all.workers || !all.user.empty() || !all.health.empty() || all.no_parent ||
                               all.drain_seconds || !all.control.target.empty();
    if (all.command != Command::kServe) {
      if (serving_flags) fail("flags and URIs of the server have no place beside a command");
      return;
    }
    if (!all.config.empty() && !all.listen.empty()) fail("give -config or URIs, not both: a file names its listeners");
    if (all.listen.empty() && (!all.targets.empty() || !all.root.empty() || !all.cert.empty())) {
      fail("-to, -root, -cert and -key need a URI to listen on, like http://:8080");
    }
    if (!all.root.empty() && !all.targets.empty()) fail("give -root or -to, not both");
    check_control();
  }

  void check_control() {
    const ControlOptions& control = options().control;
    const bool credentials = !control.token_file.empty() || !control.cert.empty();
    if (control.target.empty()) {
      const bool flags = credentials || !control.ca.empty() || !control.key.empty() || control.insecure ||
                         !control.node_id.empty() || !control.set.empty() || !control.state_dir.empty() ||
                         control.persist_secrets;
      if (flags) fail("-control-..., -node-id, -state-dir and -persist-secrets need -control HOST:PORT");
      return;
    }
    if (control.cert.empty() != control.key.empty()) fail("-control-cert needs -control-key, and the other way round");
    if (!control.token_file.empty() && !control.cert.empty()) fail("give -control-token-file or -control-cert, not both");
    if (control.insecure && (credentials || !control.ca.empty())) {
      fail("-control-insecure is plaintext: it takes no authority, token or certificate");
    }
    if (!control.insecure && !credentials) {
      fail("-control needs -control-token-file, or -control-cert and -control-key, or -control-insecure");
    }
    if (control.persist_secrets && control.state_dir.empty()) fail("-persist-secrets needs -state-dir");
    if (!options().listen.empty()) fail("-control takes a file (-config) beside it, not URIs");
  }

  std::vector<std::string_view> words_;
  size_t at_ = 0;
  bool only_words_ = false;
  bool command_given_ = false;
  bool help_ = false;
  bool version_ = false;
  ParsedOptions* result_ = nullptr;
};

}  // namespace

Environment options_environment() {
  return {.workers = std::getenv("HEADGATE_WORKERS"),
          .log_level = std::getenv("HEADGATE_LOG_LEVEL"),
          .config = std::getenv("HEADGATE_CONFIG"),
          .pod = std::getenv("POD_NAME"),
          .pod_namespace = std::getenv("POD_NAMESPACE"),
          .pod_uid = std::getenv("POD_UID"),
          .service_account = std::getenv("POD_SERVICE_ACCOUNT"),
          .node_name = std::getenv("NODE_NAME")};
}

ParsedOptions parse_options(std::span<const char* const> words, const Environment& environment) {
  ParsedOptions parsed;
  Parser(words).run(parsed);
  Options& options = parsed.options;
  const auto is_set = [](const char* value) { return value != nullptr && *value != '\0'; };
  const bool serves = options.command == Command::kServe;
  if (serves && !options.workers && is_set(environment.workers)) {
    options.workers = parse_workers(environment.workers);
    if (!options.workers) {
      parsed.problems.push_back("HEADGATE_WORKERS=" + std::string(environment.workers) +
                                ": expected a number from 1 to 1024");
    }
  }
  if (serves && !options.log_level && is_set(environment.log_level)) {
    LogLevel level{};
    if (parse_level(environment.log_level, level)) {
      options.log_level = level;
    } else {
      parsed.problems.push_back("HEADGATE_LOG_LEVEL=" + std::string(environment.log_level) +
                                ": expected trace, debug, info, warn, error or off");
    }
  }
  // URIs on the command line are as explicit as -config.
  if (options.config.empty() && options.listen.empty() && options.command != Command::kExplain &&
      is_set(environment.config)) {
    options.config = environment.config;
  }
  if (!options.control.target.empty()) {
    ControlOptions& control = options.control;
    const auto take = [&](std::string& into, const char* value) {
      if (is_set(value)) into = value;
    };
    take(control.pod, environment.pod);
    take(control.pod_namespace, environment.pod_namespace);
    take(control.pod_uid, environment.pod_uid);
    take(control.service_account, environment.service_account);
    take(control.node_name, environment.node_name);
  }
  return parsed;
}

std::string config_path(const Options& options) {
  if (!options.config.empty()) return options.config;
  return options.listen.empty() && options.control.target.empty() ? "config.json" : "";
}

std::string version_text() { return "headgate " HEADGATE_VERSION "\n"; }

std::string help_text() {
  return R"(headgate - web server, reverse proxy, DNS and TCP/UDP forwarder in one process

Usage:
  headgate [-config FILE]                serve what the file says (./config.json when nothing is given)
  headgate URI... [flags]                serve without a file
  headgate -control HOST:PORT ...        serve what a controller sends, besides a file if there is one
  headgate check FILE                    is the file right? prints every problem as FILE:LINE:COLUMN
  headgate print [--resources] FILE      the file in canonical form, defaults filled in
  headgate status|reload|drain|reopen|upgrade [-admin ADDRESS]
                                         ask or tell the running process
  headgate healthcheck [-admin ADDRESS]  exit code 0 when it is ready: for probes of containers
  headgate explain URL [-config FILE | -admin ADDRESS]
                                         which listener, host, route, filters, upstream and endpoints a request gets,
                                         and why: in the running process, or by what a file says

Listen and serve (schemes: http https tcp ssl udp unix unixgram; ":80" is every address):
  -root DIR          directory of static files (./html)
  -to TARGET         forward to this instead; without a scheme it takes the listener's. Several are one pool
  -cert FILE         certificate chain for https:// and ssl://, PEM (several by name: in a file)
  -key FILE          its private key, PEM
  -c N               backlog of the listening sockets (1024)

Process:
  -config FILE       the JSON file; also HEADGATE_CONFIG
  -workers N         threads that serve (the CPUs of the cgroup); also HEADGATE_WORKERS
  -user NAME[:GROUP] serve as this user; ports are bound before
  -admin ADDRESS     unix:///run/headgate/headgate.sock (default as root, else below $XDG_RUNTIME_DIR),
                     http://127.0.0.1:9901, or off
  -health ADDRESS    http://:9902: /livez /readyz /metrics and nothing else, for probes and scrapers on any address
  -log-level LEVEL   trace debug info warn error off (info); also HEADGATE_LOG_LEVEL
  -drain-seconds N   how long requests in flight may take after TERM, whatever the file says
  -no-parent         no parent process that keeps sockets, restarts and upgrades

Controller:
  -control HOST:PORT       where it is; its certificate must be for HOST
  -control-ca FILE         authorities it is verified with (those of the system)
  -control-token-file FILE token of a ServiceAccount; a certificate is asked for with it, and renewed
  -control-cert FILE, -control-key FILE
                           a certificate of our own instead, for proxies outside a cluster
  -control-insecure        plaintext, for a controller on a loopback address
  -control-config NAME     the set of resources to ask for (the one that fits this node)
  -node-id NAME            what the controller calls us (NAMESPACE/POD/UID from POD_NAMESPACE, POD_NAME, POD_UID;
                           else the name of the host)
  -state-dir DIR           keeps there what served last, for a start without the controller
  -persist-secrets         with the private keys; DIR should be in memory then

Explain:
  -method METHOD           of the request (GET)
  -header "NAME: VALUE"    a field of it; several
  -client ADDRESS          where it comes from (127.0.0.1)

  -help, -version

Examples:
  headgate http://:8080 -root ./public
  headgate https://:443 http://:80 -cert site.pem -key site.key
  headgate http://:8080 -to http://127.0.0.1:8000
  headgate tcp://:3307 -to db.lan:3306
  headgate udp://127.0.0.1:5353 -to udp://192.0.2.53:53
  headgate unix:///tmp/app.sock -to http://127.0.0.1:8000
  headgate -config site.json -workers 4
  headgate explain https://shop.example/cart -header "X-Version: 2"

Signals: HUP reloads the file, USR1 reopens log files, USR2 upgrades the binary, TERM drains and ends (twice: at once).
Exit codes: 0 done, 1 failure, 2 bad command line or file.
)";
}

}  // namespace headgate::control
