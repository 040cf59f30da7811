// handlers.h -- the http::Handlers behind headgate::Server, and the RouteTable that leads to them.
// Thread: built by start(), then const and shared by all workers.   Owner: RouteTable, in Snapshot and Server.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataplane/embed/pattern.h"
#include "dataplane/embed/server.h"
#include "dataplane/embed/thread_pool.h"
#include "dataplane/routing/router.h"

namespace headgate::embed {

// What on() and on_blocking() were given.
struct RouteEntry {
  std::string method;  // empty: any
  std::string pattern;
  Handler handler;            // one of the two
  BlockingHandler blocking;
};

// Outlives everything that is built with it.
struct HandlerSettings {
  ErrorHook hook;
  size_t body_bytes = 0;
  ThreadPool* pool = nullptr;
};

// kInvalid: a method or pattern that cannot be one; `why` gets a sentence.
Result<std::shared_ptr<const routing::RouteTable>> build_routes(const std::vector<RouteEntry>& entries,
                                                                const HandlerSettings& settings, std::string& why);

}  // namespace headgate::embed
