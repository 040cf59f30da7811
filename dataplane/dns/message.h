// message.h -- whole DNS messages as values: for resolver clients, and as the plain form that answer() is tested with.
// Spec: RFC 1035 4.1, RFC 6891 (EDNS), RFC 2181 9 (truncation).   Thread: any (values).   Unit: TTLs in seconds.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "dataplane/base/bytes.h"
#include "dataplane/base/result.h"
#include "dataplane/dns/name.h"
#include "dataplane/dns/query.h"
#include "dataplane/dns/record.h"

namespace headgate::dns {

inline constexpr size_t kMaxMessageBytes = 65535;
inline constexpr size_t kMaxMessageRecords = 4096;  // read from one message; about 20 times its size in memory

struct Question {
  Name name{};
  uint16_t type = kTypeA;
  uint16_t klass = kClassIn;
};

struct Record {
  Name owner{};
  uint16_t type = 0;
  uint16_t klass = kClassIn;
  uint32_t ttl_s = 0;
  Rdata rdata{};  // names in it uncompressed
};

struct EdnsOption {
  uint16_t code = 0;
  std::vector<uint8_t> value{};
};

struct Edns {
  uint16_t udp_payload = kUdpPayload;
  uint8_t version = 0;
  bool dnssec_ok = false;
  std::vector<EdnsOption> options{};
};

struct Message {
  uint16_t id = 0;
  bool is_response = false;
  uint8_t opcode = 0;
  bool authoritative = false;
  bool truncated = false;
  bool recursion_desired = false;
  bool recursion_available = false;
  bool authentic_data = false;
  bool checking_disabled = false;
  uint16_t rcode = 0;  // 12 bits, the upper 8 from EDNS
  std::vector<Question> questions{};
  std::vector<Record> answers{};
  std::vector<Record> authorities{};
  std::vector<Record> additionals{};  // without OPT
  std::optional<Edns> edns{};
};

// kMalformed with the reason; kTooLarge: more than kMaxMessageRecords.
Result<Message> parse_message(Bytes bytes);

// Writes at most `limit` bytes. RRsets (neighbours of one owner and type) that do not fit are left out whole: of the
// answer and authority sections with TC set and nothing after them, of the additional section silently.
std::vector<uint8_t> write_message(const Message& message, size_t limit = kMaxMessageBytes);

// A query with one question and EDNS.
std::vector<uint8_t> build_query(NameView name, uint16_t type, uint16_t id, bool recursion_desired = true);

// Is `response` a response to this question? The case of the name must be the same, too: a sender that mixes it
// (draft-vixie-dnsext-dns0x20) gains bits against forged answers.
bool is_response_to(const Message& response, uint16_t id, const Question& question);

// Follows the CNAMEs of a response from `name` and returns the name that owns records of `type` there, or that the
// chain ends at; `records` are those of that owner and type.
Name follow_chain(const Message& response, NameView name, uint16_t type, std::vector<const Record*>& records);

}  // namespace headgate::dns
