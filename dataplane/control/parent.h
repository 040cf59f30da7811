// parent.h -- the thin parent process: keeps the listening sockets, restarts what crashes, upgrades the binary.
//
//   int main(int argc, char** argv) {
//     auto role = run_parent(argc, argv, {});          // before any thread, library initialisation or file is read
//     if (!role.serve) return role.exit_code;          // the parent has ended
//     serve(std::move(role.channel));                  // the serving process: make_parent_broker(channel)
//   }
//
// One parent, one serving process, and for moments a second one:
//
//   none --fork--> serving --ready--> serving --upgrade--> serving + candidate --candidate ready--> candidate serves,
//                    |                                        |                  the old one drains, and the parent
//                    | crash: none, and again after a pause   | exit, 30 s: gone executes the new binary with its pid
//
// The serving process gets SIGTERM for SIGTERM and SIGINT, and SIGHUP and SIGUSR1 as they are. On return in the serving
// process these signals are blocked (so that none is lost while it starts) and SIGINT is ignored: a terminal sends it to
// both, and twice would mean "at once". It unblocks them when it is able to handle them.
// Thread: the only one of its process.   Errors: written to stderr; the exit code is that of the serving process.
#pragma once

#include <csignal>

#include "dataplane/base/clock.h"
#include "dataplane/base/unique_fd.h"

namespace headgate::control {

struct ParentOptions {
  Duration ready_limit = std::chrono::seconds(30);        // for an upgraded binary to report ready
  Duration first_pause = std::chrono::milliseconds(100);  // before the second restart; the first is at once
  Duration longest_pause = std::chrono::seconds(10);
  Duration good_run = std::chrono::seconds(2);  // a process that served this long starts the pauses over
  Duration kill_after = std::chrono::seconds(5);  // SIGKILL this long after a second SIGTERM
};

struct ProcessRole {
  bool serve = false;
  int exit_code = 0;  // of the parent, when !serve
  UniqueFd channel;   // to the parent, when serve
};

ProcessRole run_parent(int argc, char** argv, const ParentOptions& options);

// The signals that a serving process handles, blocked when run_parent() returns in it.
sigset_t serving_signals();
// Opens /dev/null for each of the descriptors 0 to 2 that is closed: a socket must never become "stderr".
void ensure_standard_descriptors();

}  // namespace headgate::control
