// rate.h -- response rate limiting over UDP, and which sources are never answered.
// Spec: the response rate limiting that BIND, NSD and Knot share (ISC-TN-2012-1); CVE-2024-2169 (loops).
// Thread: one worker.   Owner: the worker (budgets divided by the number of workers by whoever makes it).
// Unit: answers per second and source network: an IPv4 /24 or an IPv6 /56.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/base/address.h"
#include "dataplane/base/clock.h"
#include "dataplane/dns/answer.h"

namespace headgate::dns {

enum class RateVerdict : uint8_t {
  kSend,
  kSlip,  // send write_truncated() instead: a true client comes back over TCP, a forged one gains nothing
  kDrop,
};

class RateLimiter {
 public:
  struct Options {
    uint32_t per_second = 100;        // of each class of answer; 0: no limit
    uint32_t errors_per_second = 10;  // FORMERR, NOTIMP, BADVERS; never slipped, an error answered by an error loops
    uint32_t slip = 2;                // each n-th answer over the limit slips through; 0: none
    size_t entries = 8192;            // 24 bytes each; the one longest unused of four makes room
  };

  RateLimiter() : RateLimiter(Options()) {}
  explicit RateLimiter(const Options& options);

  // Counts one answer of class `outcome` towards `client`. Never allocates.
  RateVerdict check(const IpAddress& client, Outcome outcome, MonotonicTime now);

 private:
  // Generic cell rate: `full_at` is when the bucket would be full again; no timer refills it.
  struct Entry {
    uint64_t key = 0;  // network and class, exact; 0 is unused
    int64_t full_at_ns = 0;
    uint32_t over = 0;  // answers over the limit so far: each slip-th one slips
  };

  Entry& entry_of(uint64_t key);

  Options options_;
  uint64_t seed_;
  std::vector<Entry> entries_;
};

// May a datagram from `source` to our `local` address be answered at all? No: port 0 (nothing can be sent there), our
// own socket (we would talk to ourselves), and ports of services that answer whatever they are sent, so that one
// forged datagram would start a conversation without end: echo, systat, daytime, qotd, chargen, time, tftp, ntp,
// netbios, snmp, cldap, slp, rip, memcached. Port 53 is not one of them: resolvers with a fixed source port ask from
// it, and DNS servers do not answer responses. Ports of mDNS and SSDP are random source ports of resolvers as well,
// and those services do not answer what we send.
bool may_answer(const SocketAddress& source, const SocketAddress& local);

}  // namespace headgate::dns
