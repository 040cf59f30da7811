// admin_reply.h -- the other end of admin.h: its JSON answers read back, for the command line.
// Thread: any (pure).   Errors: kMalformed for what admin.cc cannot have written; unknown keys are skipped, so that an
// older command line understands a newer process.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "dataplane/base/result.h"
#include "dataplane/control/admin.h"

namespace headgate::control {

// Of POST /reload and the like.
Result<ActionOutcome> read_outcome(std::string_view json);

struct StatsReply {
  std::string version;
  uint64_t pid = 0;
  AdminStats stats;
  uint64_t connections_active = 0;
  uint64_t connections_accepted = 0;
  uint64_t connections_refused = 0;
  uint64_t requests_active = 0;
  uint64_t requests_received = 0;
  uint64_t responses_2xx = 0;
  uint64_t responses_3xx = 0;
  uint64_t responses_4xx = 0;
  uint64_t responses_5xx = 0;
  uint64_t log_lines_dropped = 0;
};
// Of GET /stats.
Result<StatsReply> read_stats(std::string_view json);

}  // namespace headgate::control
