// worker_context.h -- what a worker lends to everything that runs on it. Nothing here is shared between workers.
// Thread: the worker's.   Owner: Worker; outlives all Sessions, Exchanges and Runs.
#pragma once

#include <cstddef>
#include <cstdint>

namespace headgate {
class Counters;
class Random;
}  // namespace headgate
namespace headgate::event {
class Loop;
}
namespace headgate::http {
class DateCache;
}
namespace headgate::upstream {
class PoolSet;
class Resolver;
}  // namespace headgate::upstream
namespace headgate::handlers {
class FileCache;
class DnsForwarders;
}  // namespace headgate::handlers

namespace headgate {

struct WorkerContext {
  event::Loop& loop;
  Counters& counters;
  Random& random;
  uint32_t worker_index = 0;
  uint32_t worker_count = 1;
  http::DateCache* date = nullptr;        // never null on a worker
  upstream::PoolSet* pools = nullptr;     // never null on a worker
  upstream::Resolver* resolver = nullptr;
  handlers::FileCache* files = nullptr;   // made on first use by static_files
  // Limits of `files`, over all workers; may change with a Snapshot.
  size_t file_cache_bytes = size_t{64} * 1024 * 1024;
  uint32_t open_files = 512;
  // Set with `files`: destroys it. The worker calls it, when set, before its loop goes.
  void (*release_files)(WorkerContext& worker) = nullptr;
  handlers::DnsForwarders* dns_forwarders = nullptr;  // made on first use by dns_server
  // Set with `dns_forwarders`: destroys it, like release_files.
  void (*release_dns_forwarders)(WorkerContext& worker) = nullptr;
};

}  // namespace headgate
