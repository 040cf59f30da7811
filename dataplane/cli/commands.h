// commands.h -- headgate check | print | explain | status | healthcheck | reload | drain | reopen | upgrade, and help.
// Thread: the only one of its process.   Exit codes: 0 done; 1 failure, said on `err`; 2 used wrongly.
#pragma once

#include <cstdio>
#include <string>

#include "dataplane/control/options.h"

namespace headgate::control {
struct StatsReply;
}

namespace headgate::cli {

struct Output {
  std::FILE* out = stdout;
  std::FILE* err = stderr;
};

// Whatever options.command says; not for kServe.
int run_command(const control::Options& options, const Output& output = {});

int run_check(const control::Options& options, const Output& output);
int run_print(const control::Options& options, const Output& output);
// By the file of -config, or by the running process.
int run_explain(const control::Options& options, const Output& output);
int run_status(const control::Options& options, const Output& output);
// 0 when the process is ready, 1 with the reason when it is not: what a probe of a container runs.
int run_health_check(const control::Options& options, const Output& output);
// reload, drain, reopen, upgrade: waits for the process to answer.
int run_action(const control::Options& options, const Output& output);

// The table of `headgate status`.
std::string status_table(const control::StatsReply& reply);

}  // namespace headgate::cli
