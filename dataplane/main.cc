// main.cc -- the dataplane: parent process first, then command line, then the Supervisor.
#include <csignal>
#include <cstdio>

#include "dataplane/base/log.h"
#include "dataplane/cli/commands.h"
#include "dataplane/control/options.h"
#include "dataplane/control/parent.h"
#include "dataplane/control/privileges.h"
#include "dataplane/control/supervisor.h"

namespace {

using namespace headgate;           // NOLINT: this file only
using namespace headgate::control;  // NOLINT

int serve(const Options& options, UniqueFd channel) {
  std::signal(SIGPIPE, SIG_IGN);
  std::unique_ptr<SocketBroker> broker;
  if (channel.valid()) {
    auto made = make_parent_broker(std::move(channel));
    if (!made) {
      std::fprintf(stderr, "headgate: parent: %s\n", to_string(made.error()).c_str());
      return 1;
    }
    broker = std::move(*made);
  } else {
    broker = make_local_broker();
  }
  // Before any thread and any file: what cannot be read as that user is found now, not at the first reload.
  if (!options.user.empty()) {
    const auto identity = find_user(options.user);
    const auto changed = identity ? become_user(*identity) : Result<void>(identity.error());
    if (!changed) {
      std::fprintf(stderr, "headgate: -user %s: %s\n", options.user.c_str(), to_string(changed.error()).c_str());
      return 1;
    }
  }
  Supervisor supervisor(options, std::move(broker));
  return supervisor.run();
}

}  // namespace

int main(int argc, char** argv) {
  ensure_standard_descriptors();
  const ParsedOptions parsed =
      parse_options({const_cast<const char* const*>(argv) + 1, static_cast<size_t>(argc > 0 ? argc - 1 : 0)},
                    options_environment());
  if (!parsed.problems.empty()) {
    for (const std::string& problem : parsed.problems) std::fprintf(stderr, "headgate: %s\n", problem.c_str());
    std::fprintf(stderr, "headgate: --help lists the options\n");
    return 2;
  }
  const Options& options = parsed.options;
  if (options.command != Command::kServe) return cli::run_command(options);
  if (options.no_parent) return serve(options, UniqueFd());
  // Before any thread, library initialisation or file is read: the parent stays small and cannot fail with the rest.
  ProcessRole role = run_parent(argc, argv, {});
  if (!role.serve) return role.exit_code;
  return serve(options, std::move(role.channel));
}
