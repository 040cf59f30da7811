// resolver.h -- host names to addresses, without blocking.
//
// Literals and "localhost" (RFC 6761 6.3) are answered at once, then the hosts file, then the cache; else A and AAAA are
// asked for at the same time, with the search list and ndots as resolv.conf says. Concurrent questions for one name share
// one lookup. Both files are read again when they change, which also empties the cache.
//   TTL of an answer: as received, at least 1 s, at most 300 s. "No such name" is kept 5 s.
//   No answer (time-out, SERVFAIL): the last addresses are used for up to a day more, tried again every 5 s.
// Thread: that of the Loop.   Owner: Worker (WorkerContext::resolver), and control for endpoints with names.
// Errors: kNotFound (no such name, or no address), kTimeout, kDenied and others of DnsExchange, kInvalid (not a host
// name), kOverloaded (kMaxRunning lookups at a time).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dataplane/base/intrusive_list.h"
#include "dataplane/upstream/dns_exchange.h"

namespace headgate::upstream {

struct Resolved {
  // Never empty. IPv6 first (RFC 8305 4), but 127.0.0.1 before ::1: local servers often listen on the former only.
  std::vector<IpAddress> addresses{};
  MonotonicTime expires{};  // ask again then
};
std::vector<SocketAddress> with_port(const Resolved& resolved, uint16_t port);

// Somebody who waits for an answer; leaves when destroyed.
class ResolveWaiter : public ListNode<> {
 public:
  // Exactly one of the two, never from inside resolve().
  virtual void on_resolved(const Resolved& resolved) = 0;
  virtual void on_resolve_failed(const Error& error) = 0;

 protected:
  ~ResolveWaiter() = default;
};

class Resolver {
 public:
  struct Options {
    std::string hosts_path = "/etc/hosts";
    std::string resolv_conf_path = "/etc/resolv.conf";
    std::vector<SocketAddress> servers{};  // instead of those in resolv.conf
  };
  static constexpr size_t kMaxRunning = 256;
  static constexpr size_t kMaxCached = 10000;

  Resolver(event::Loop& loop, Options options);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // The answer when it is known, else null: `waiter` is told later.
  std::shared_ptr<const Resolved> resolve(std::string_view host, ResolveWaiter& waiter);
  [[nodiscard]] size_t running() const { return running_; }

 private:
  class Lookup;
  friend class Lookup;
  struct Entry {
    std::shared_ptr<const Resolved> resolved{};  // fresh until `expires` there; stale after
    MonotonicTime received{};
    MonotonicTime failed_until{};  // no question before this
    Error failure{};
    std::unique_ptr<Lookup> lookup{};
  };

  void reread_files();
  void make_room();
  // The outcome of a lookup.
  void settle(const std::string& name, std::shared_ptr<const Resolved> resolved, const Error& error);
  void tell_failures();

  event::Loop& loop_;
  Options options_;
  WatchedFile hosts_file_;
  WatchedFile conf_file_;
  HostsTable hosts_;
  ResolvConf conf_;
  size_t running_ = 0;
  std::unordered_map<std::string, Entry, TextHash, TextEqual> entries_;
  // Told in the next deferred call: failures that were known at once.
  struct Refusal;
  std::vector<std::unique_ptr<Refusal>> refusals_;
  event::DeferredCall tell_later_;
};

}  // namespace headgate::upstream
