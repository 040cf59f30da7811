// dns_forward.h -- questions that are not ours, asked of resolvers: cache, one exchange for equal questions, time-outs.
//
// One forwarder per worker and set of resolvers, shared by all DNS listeners that name them; it outlives Snapshots as
// long as a listener uses it. Sockets, ids, TCP fallback and retries are those of upstream::DnsExchange.
// Thread: worker.   Owner: DnsForwarders (the worker's), and runs by shared_ptr.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "dataplane/base/hash.h"
#include "dataplane/base/intrusive_list.h"
#include "dataplane/dns/cache.h"
#include "dataplane/dns/query.h"
#include "dataplane/event/worker_context.h"
#include "dataplane/upstream/dns_exchange.h"

namespace headgate::handlers {

struct DnsForwardSettings {
  std::vector<SocketAddress> resolvers;
  Duration query_timeout = std::chrono::seconds(2);  // per resolver
  size_t cache_bytes = size_t{8} << 20;              // per worker
};

// One client that waits for an answer. Destroying it withdraws it.
class DnsAsker : public ListNode<> {
 public:
  DnsAsker(Bytes query_bytes, bool over_udp) : query(query_bytes.begin(), query_bytes.end()), is_udp(over_udp) {}
  virtual ~DnsAsker() = default;
  // Once, never from inside ask(): the response to `query`, valid during the call; empty: nothing can be said.
  virtual void on_dns_reply(Bytes response) = 0;

  const std::vector<uint8_t> query;
  const bool is_udp;
};

class DnsForwarder {
 public:
  static constexpr size_t kMaxLookups = 1024;  // under way at one time
  static constexpr size_t kMaxAskers = 256;    // waiting for one answer

  DnsForwarder(std::shared_ptr<const DnsForwardSettings> settings, WorkerContext& worker);
  ~DnsForwarder();
  DnsForwarder(const DnsForwarder&) = delete;
  DnsForwarder& operator=(const DnsForwarder&) = delete;

  // From the cache; returns the size, 0: not kept. Never allocates.
  size_t find(Bytes query, const dns::QueryView& view, std::span<uint8_t> out, bool is_udp);
  // False: too much is under way already (answer SERVFAIL).
  bool ask(const dns::QueryView& view, DnsAsker& asker);

  [[nodiscard]] const std::shared_ptr<const DnsForwardSettings>& settings() const { return settings_; }

 private:
  class Lookup;
  void on_answer(Lookup& lookup, const dns::Message* answer);
  void reply(DnsAsker& asker, const dns::Message* answer);

  std::shared_ptr<const DnsForwardSettings> settings_;
  WorkerContext& worker_;
  upstream::ResolvConf conf_;
  dns::AnswerCache cache_;
  std::unordered_map<std::string, std::unique_ptr<Lookup>, TextHash, TextEqual> lookups_;
  std::vector<uint8_t> scratch_;
};

// All forwarders of a worker.
class DnsForwarders {
 public:
  // Made on first use.
  static std::shared_ptr<DnsForwarder> find(const std::shared_ptr<const DnsForwardSettings>& settings,
                                            WorkerContext& worker);

 private:
  std::vector<std::shared_ptr<DnsForwarder>> forwarders_;
};

}  // namespace headgate::handlers
