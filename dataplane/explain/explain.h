// explain.h -- what would become of a request, and why: listener, virtual host, route, filters, upstream, endpoints.
//
// Routes are found by the tables that serve, so that the answer cannot differ from what a request would get; the words
// come from the messages they were built from. No filter runs: what an access rule, a limit or an authentication service
// would say is not known here, only that it is asked.
// Thread: control (reads a Snapshot).   Owner: -.
#pragma once

#include <string>

#include "dataplane/base/clock.h"
#include "dataplane/explain/question.h"
#include "dataplane/snapshot/snapshot.h"
#include "headgate/config/v1/resources.pb.h"

namespace headgate::explain {

struct Answer {
  bool taken = false;  // some listener has a route for it
  std::string text;    // lines for people
};

// `set`: what `snapshot` was built from. `question` has been parsed. `now`: for endpoints that are left out for a while.
Answer explain(const snapshot::Snapshot& snapshot, const config::v1::ResourceSet& set, const Question& question,
               MonotonicTime now);

}  // namespace headgate::explain
