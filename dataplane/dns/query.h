// query.h -- the question of a client, read without allocation.
// Spec: RFC 1035 4.1, RFC 6891 6.1 (EDNS), RFC 9619 (one question).   Thread: any (value).
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/base/bytes.h"
#include "dataplane/dns/name.h"

namespace headgate::dns {

inline constexpr size_t kHeaderBytes = 12;
inline constexpr uint16_t kUdpPayload = 1232;  // what we offer and never exceed over UDP (DNS flag day 2020)
inline constexpr size_t kMinUdpPayload = 512;

inline constexpr uint8_t kRcodeNoError = 0, kRcodeFormErr = 1, kRcodeServFail = 2, kRcodeNxDomain = 3, kRcodeNotImp = 4,
                         kRcodeRefused = 5, kRcodeBadVers = 16;

// Third and fourth byte of a message.
inline constexpr uint16_t kFlagResponse = 0x8000, kFlagAuthoritative = 0x0400, kFlagTruncated = 0x0200,
                          kFlagRecursionDesired = 0x0100, kFlagRecursionAvailable = 0x0080, kFlagAuthentic = 0x0020,
                          kFlagCheckingDisabled = 0x0010;

struct QueryView {
  enum class Verdict : uint8_t {
    kQuery,      // well formed, opcode QUERY, one question
    kDrop,       // no header, or a response: nothing may be sent
    kMalformed,  // FORMERR
    kNotQuery,   // another opcode: NOTIMP
  };

  Verdict verdict = Verdict::kDrop;
  uint16_t id = 0;
  uint16_t flags = 0;
  NameView name{};  // in the query's bytes, case as asked
  uint16_t type = 0;
  uint16_t klass = 0;
  size_t question_end = 0;  // offset in the query; 0: no question was read
  bool has_edns = false;
  bool dnssec_ok = false;
  bool wants_nsid = false;
  uint8_t edns_version = 0;
  uint16_t udp_payload = kMinUdpPayload;  // at least 512 (RFC 6891 6.2.3)

  [[nodiscard]] unsigned opcode() const { return flags >> 11 & 15; }
};

// The result points into `query`. The question's name must stand there uncompressed (nothing precedes it that it
// could point to). Records other than OPT are walked over, so that counts and lengths have to be true.
QueryView parse_query(Bytes query);

}  // namespace headgate::dns
