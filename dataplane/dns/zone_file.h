// zone_file.h -- reader of master files: text -> records in a ZoneSetBuilder.
// Spec: RFC 1035 5 (format), RFC 2308 4 ($TTL), RFC 3597 5 (unknown types).   Thread: any.
// $INCLUDE is refused: a zone is one file, and a file name in it would be read with our rights.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/dns/name.h"
#include "dataplane/dns/zone_builder.h"

namespace headgate::dns {

struct ZoneFileProblem {
  size_t line = 0;    // from 1
  size_t column = 0;  // bytes, from 1
  std::string message{};

  // "12:7: not an IPv4 address"
  [[nodiscard]] std::string to_string() const;
};

struct ZoneFileOptions {
  uint32_t default_ttl_s = 300;  // where neither the record, nor $TTL, nor a record above gives one
  bool falls_through = false;    // see ZoneSetBuilder::open_zone()
  std::optional<bool> auto_ptr{};
  size_t max_bytes = size_t{256} << 20;
  size_t max_records = 2'000'000;
  size_t max_problems = 20;  // reading stops there
};

// Opens the zone `origin` in `builder` and adds what the file says, with the line number as tag. False when there were
// problems (they are appended); the builder may then hold a part of the records. Problems of the zone as a whole (a
// CNAME beside other records) are found by build().
bool read_zone_file(std::string_view text, NameView origin, const ZoneFileOptions& options, ZoneSetBuilder& builder,
                    std::vector<ZoneFileProblem>& problems);

}  // namespace headgate::dns
