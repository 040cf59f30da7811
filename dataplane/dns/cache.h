// cache.h -- answers of resolvers, kept for as long as their records live.
// Spec: RFC 1035 7.4, RFC 2181 5.2 and 8 (TTLs), RFC 2308 5 and 7 (negative answers and failures).
// Thread: one worker.   Owner: the worker's forwarder.   Unit: bytes in total, keys and book-keeping included.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dataplane/base/bytes.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/hash.h"
#include "dataplane/dns/message.h"
#include "dataplane/dns/query.h"

namespace headgate::dns {

class AnswerCache {
 public:
  struct Options {
    size_t max_bytes = size_t{8} << 20;
    uint32_t max_ttl_s = 86400;
    uint32_t max_negative_ttl_s = 3600;  // RFC 2308 5: one to three hours work well
    uint32_t failure_ttl_s = 5;          // SERVFAIL; RFC 2308 7.1: at most five minutes
  };
  enum class Stored : uint8_t {
    kStored,
    kNotCacheable,  // truncated, TTL 0, a negative answer without SOA, a code that is not kept, larger than the cache
    kMalformed,     // no DNS response, or to another question
  };

  AnswerCache() : AnswerCache(Options()) {}
  explicit AnswerCache(const Options& options) : options_(options) {}

  // Keeps the response to `query`.
  Stored store(const QueryView& query, Bytes response, MonotonicTime now);

  // Writes the kept answer as response to this query: its id, the case of its name, RD as asked, RA set, EDNS where
  // the query has it, TTLs lowered by the time passed; over UDP cut to header and question with TC when it does not
  // fit. Returns the size; 0: nothing is kept. Never allocates.
  size_t find(Bytes query_bytes, const QueryView& query, std::span<uint8_t> out, bool is_udp, MonotonicTime now);

  void clear();
  [[nodiscard]] size_t size() const { return entries_.size(); }
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    std::string key{};
    std::vector<uint8_t> message{};  // without OPT; the question's name uncompressed, as the resolver echoed it
    std::vector<uint16_t> ttl_offsets{};
    MonotonicTime stored{};
    MonotonicTime expires{};
  };
  using Entries = std::list<Entry>;  // latest used first

  static size_t cost(const Entry& entry);
  void erase(Entries::iterator entry);

  Options options_;
  Entries entries_{};
  std::unordered_map<std::string_view, Entries::iterator, TextHash, TextEqual> index_{};  // keys live in the entries
  size_t bytes_ = 0;
};

}  // namespace headgate::dns
