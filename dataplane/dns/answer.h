// answer.h -- the authoritative answer to a query, written straight into the caller's buffer.
// Spec: RFC 1034 4.3.2, RFC 1035 4.1, RFC 2181 9 (truncation), RFC 2308 (negative), RFC 4592 (wildcards), RFC 6604
// (codes after a CNAME), RFC 6891 (EDNS), RFC 8482 (ANY), RFC 8906 (behaviour), RFC 9471 (glue).
// Thread: any; no lock, no allocation, no shared write.   Unit: bytes, without the length prefix of TCP.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/base/bytes.h"
#include "dataplane/dns/query.h"
#include "dataplane/dns/zone.h"

namespace headgate::dns {

struct AnswerOptions {
  bool is_udp = true;  // cut to what the client takes and to `udp_payload`
  uint16_t udp_payload = kUdpPayload;
  bool any_full = false;             // ANY gives all RRsets instead of one (RFC 8482 4.1)
  bool recursion_available = false;  // RA: the caller forwards what is not ours
  bool additional = true;            // addresses of our own for the targets of NS, MX, SRV, SVCB and HTTPS answers
  uint32_t ttl_cap_s = 0;            // lowers every TTL to this; 0: none
  Bytes nsid{};                      // sent when asked for (RFC 5001); empty: never
};

// What an answer says; also the class that rate limits count by.
enum class Outcome : uint8_t {
  kDrop,    // nothing was written
  kAnswer,  // records
  kNoData,  // the name exists without this type
  kNxDomain,
  kReferral,  // to the servers of a delegated name
  kNotOurs,   // REFUSED was written, as the name is in no zone of ours: the caller may forward the query instead
  kRefused,   // class or type that we refuse by policy
  kFormErr,
  kNotImp,
  kBadVers,
};

struct AnswerReport {
  Outcome outcome = Outcome::kDrop;
  bool is_truncated = false;
  // NXDOMAIN was written, in a zone whose missing names may be forwarded instead.
  bool falls_through = false;
};

// Writes the response to `query` at `out` (at least 512 bytes; more than 65535 are not used) and returns its size; 0:
// send nothing. The buffers must not overlap. Never answers a response.
size_t answer(const ZoneSet& zones, Bytes query, std::span<uint8_t> out, const AnswerOptions& options,
              AnswerReport* report = nullptr);

// The same for a query that parse_query() has read from `query`.
size_t answer(const ZoneSet& zones, Bytes query, const QueryView& view, std::span<uint8_t> out,
              const AnswerOptions& options, AnswerReport* report = nullptr);

// Header and question only, with `rcode` and EDNS where the query has it: for SERVFAIL of a forwarder and the like.
// 0 when nothing may be sent.
size_t write_error(Bytes query, const QueryView& view, uint8_t rcode, std::span<uint8_t> out,
                   const AnswerOptions& options);

// The empty response with TC that sends a client to TCP: what rate limiting lets slip through.
size_t write_truncated(Bytes query, const QueryView& view, std::span<uint8_t> out, const AnswerOptions& options);

}  // namespace headgate::dns
