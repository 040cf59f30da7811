// zone_builder.h -- collects records and makes a ZoneSet of them, with every problem named.
// Spec: RFC 1034 3.6.2 (CNAME), RFC 2181 5 (RRsets), RFC 4592 4 (what a wildcard may own).
// Thread: one.   Cost: n log n; about 50 bytes per record until build().
//
// Which zone a name is in, decided for all names together at build():
//   - open_zone() and every name with an SOA are the apex of a zone;
//   - a name that has no such name above it is an apex of its own (the wildcard *.x opens x);
//   - NS records at an apex are those of the zone; below it they delegate (a cut), and what stands at or below the cut
//     is not ours except as addresses of the servers.
// So a flat list of names needs no SOA: below a listed name missing names do not exist, beside it we are not asked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/bytes.h"
#include "dataplane/base/result.h"
#include "dataplane/dns/name.h"
#include "dataplane/dns/record.h"
#include "dataplane/dns/zone.h"

namespace headgate::dns {

struct ZoneProblem {
  std::string name{};  // owner, as text
  uint16_t type = 0;   // 0: the name as a whole
  uint32_t tag = 0;    // as given to add() or open_zone()
  bool is_warning = false;
  std::string message{};

  // "www.lan. CNAME: other records stand beside it"
  [[nodiscard]] std::string to_string() const;
};

class ZoneSetBuilder {
 public:
  struct Options {
    bool auto_ptr = false;              // a PTR for each A and AAAA of a plain name, unless one is given
    bool implied_fall_through = false;  // falls_through() for zones nobody opened
    ZoneSet::ImpliedSoa implied_soa{};
    size_t max_records = size_t{1} << 24;
  };

  ZoneSetBuilder() = default;
  explicit ZoneSetBuilder(const Options& options) : options_(options) {}

  // Makes `apex` a zone even when no SOA comes.
  Result<void> open_zone(NameView apex, bool falls_through = false, uint32_t tag = 0);
  // `rdata` uncompressed; `tag` is given back in problems (a line number). `auto_ptr` overrides the option.
  // kInvalid: a type that cannot stand in a zone, or data that does not fit its type. kTooLarge: max_records.
  Result<void> add(NameView owner, uint16_t type, uint32_t ttl_s, Bytes rdata, uint32_t tag = 0,
                   std::optional<bool> auto_ptr = std::nullopt);

  [[nodiscard]] size_t record_count() const { return records_.size(); }

  // Appends to `problems`; nullopt when one of them is no warning. Leaves the builder empty.
  std::optional<ZoneSet> build(std::vector<ZoneProblem>& problems);

 private:
  friend class ZoneSetWriter;

  enum RecordFlag : uint8_t { kAutomatic = 1, kOpensZone = 2, kFallsThrough = 4, kWildcardParent = 8 };
  // The owner is kept by labels from the root ("\4test\3lan" for lan.test), so that plain byte order puts every name
  // before those below it, and those next to each other.
  struct Record {
    uint32_t key_at;
    uint32_t rdata_at;
    uint32_t ttl_s;
    uint32_t tag;
    uint16_t rdata_size;
    uint16_t type;  // 0: only the flags count
    uint8_t key_size;
    uint8_t flags;
  };

  Result<void> append(NameView owner, uint16_t type, uint32_t ttl_s, Bytes rdata, uint32_t tag, uint8_t flags);
  [[nodiscard]] Bytes key(const Record& record) const { return Bytes(bytes_).subspan(record.key_at, record.key_size); }
  [[nodiscard]] Bytes rdata(const Record& record) const {
    return Bytes(bytes_).subspan(record.rdata_at, record.rdata_size);
  }
  void sort();

  Options options_{};
  std::vector<Record> records_{};
  std::vector<uint8_t> bytes_{};
};

}  // namespace headgate::dns
