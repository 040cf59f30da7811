// main.cc -- headgate-controller: command line, signals, then the Controller.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "controlplane/controller/controller.h"
#include "controlplane/controller/manifest_check.h"
#include "controlplane/controller/options.h"
#include "dataplane/base/log.h"

namespace {

using namespace headgate;              // NOLINT: this file only
using namespace headgate::controller;  // NOLINT

int serve(const Options& options) {
  // Before any thread: every thread inherits the mask, and only the one below takes these signals.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  set_log_level(options.log_level);
  set_log_format(options.log_format);

  Controller controller(options);
  std::jthread waiter([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const timespec interval{.tv_sec = 0, .tv_nsec = 200'000'000};
      if (sigtimedwait(&signals, nullptr, &interval) <= 0) continue;
      controller.stop();
      return;
    }
  });
  return controller.run();
}

}  // namespace

int main(int argc, char** argv) {
  const ParsedOptions parsed =
      parse_options({const_cast<const char* const*>(argv) + 1, static_cast<size_t>(argc > 0 ? argc - 1 : 0)},
                    [](const char* name) { return static_cast<const char*>(std::getenv(name)); });
  if (!parsed.problems.empty()) {
    for (const std::string& problem : parsed.problems) {
      std::fprintf(stderr, "headgate-controller: %s\n", problem.c_str());
    }
    std::fprintf(stderr, "headgate-controller: --help lists the flags\n");
    return 2;
  }
  switch (parsed.options.command) {
    case Command::kHelp: std::fputs(help_text().c_str(), stdout); return 0;
    case Command::kVersion: std::fputs(version_text().c_str(), stdout); return 0;
    case Command::kCheck: return check_manifests(parsed.options);
    case Command::kServe: return serve(parsed.options);
  }
  return 1;
}
