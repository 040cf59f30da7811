// record.h -- record types and their data: master file text <-> wire form, checks, compression.
// Spec: RFC 1035 3.3, RFC 3596 (AAAA), RFC 2782 (SRV), RFC 8659 (CAA), RFC 9460 (SVCB, HTTPS), RFC 3597 (unknown
// types). Unit: rdata is held uncompressed, without its length.   Thread: any (values).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/base/address.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/result.h"
#include "dataplane/dns/name.h"

namespace headgate::dns {

inline constexpr uint16_t kTypeA = 1, kTypeNs = 2, kTypeCname = 5, kTypeSoa = 6, kTypePtr = 12, kTypeHinfo = 13,
                          kTypeMx = 15, kTypeTxt = 16, kTypeAaaa = 28, kTypeSrv = 33, kTypeNaptr = 35, kTypeDname = 39,
                          kTypeOpt = 41, kTypeDs = 43, kTypeSshfp = 44, kTypeRrsig = 46, kTypeNsec = 47,
                          kTypeNsec3 = 50, kTypeNsec3param = 51, kTypeTlsa = 52, kTypeSvcb = 64, kTypeHttps = 65,
                          kTypeNxname = 128, kTypeTkey = 249, kTypeTsig = 250, kTypeIxfr = 251, kTypeAxfr = 252,
                          kTypeMailb = 253, kTypeMaila = 254, kTypeAny = 255, kTypeCaa = 257;

inline constexpr uint16_t kClassIn = 1, kClassCh = 3, kClassHs = 4, kClassNone = 254, kClassAny = 255;

inline constexpr uint16_t kOptionNsid = 3;  // RFC 5001

inline constexpr size_t kMaxRdataBytes = 65535;
inline constexpr uint32_t kMaxTtl = 0x7fffffff;  // seconds, RFC 2181 8

using Rdata = std::vector<uint8_t>;

// "A", "AAAA" ..., or "TYPE123"; letters of any case. nullopt: no such type.
std::optional<uint16_t> parse_type(std::string_view text);
std::string type_name(uint16_t type);
// Types that only ask or only carry signalling (RFC 6895 3.1): never in a zone.
bool is_meta_type(uint16_t type);

// One word of a record line: the text between the separators or the quotes, escapes still in it.
struct TextToken {
  std::string_view text{};
  bool quoted = false;
};

// Data of `type` from its words, names relative to `origin`; `\# LENGTH HEX` for every type (RFC 3597 5). kInvalid
// with the reason.
Result<Rdata> parse_rdata(uint16_t type, std::span<const TextToken> words, NameView origin = NameView());
// The same from one line of words separated by spaces, with quotes.
Result<Rdata> parse_rdata(uint16_t type, std::string_view line, NameView origin = NameView());

// Master file form. Data that does not fit its type (see check_rdata) is printed as `\# LENGTH HEX`.
std::string print_rdata(uint16_t type, Bytes rdata);

// Is uncompressed data of `type` well formed? Unknown types always are. kMalformed with the reason.
Result<void> check_rdata(uint16_t type, Bytes rdata);

// Reads `size` bytes of data at the reader's position, with the names in it decompressed. kMalformed.
Result<Rdata> read_rdata(uint16_t type, ByteReader& message, size_t size);

// Does data of `type` hold names that may be compressed when written (RFC 3597 4: the types of RFC 1035 only)?
inline bool has_compressible_names(uint16_t type) {
  return type == kTypeNs || type == kTypeCname || type == kTypePtr || type == kTypeMx || type == kTypeSoa;
}
// Writes valid data of `type` without a length, its names compressed where allowed. `rdata` must outlive `names`.
void write_rdata(ByteWriter& out, uint16_t type, Bytes rdata, NameCompressor& names);

// Does data of `type` point to another name (see rdata_target)?
inline bool has_target(uint16_t type) {
  return type == kTypeNs || type == kTypeCname || type == kTypePtr || type == kTypeMx || type == kTypeSrv ||
         type == kTypeSvcb || type == kTypeHttps;
}
// The name that data of NS, CNAME, PTR, MX, SRV, SVCB or HTTPS points to; the root for other types.
NameView rdata_target(uint16_t type, Bytes rdata);

// --- data made from values: for readers of formats other than master files ---

struct Soa {
  Name mname{};
  Name rname{};
  uint32_t serial = 1;
  uint32_t refresh_s = 3600;
  uint32_t retry_s = 600;
  uint32_t expire_s = 604800;
  uint32_t minimum_s = 300;  // TTL of negative answers
};

Rdata make_address(const IpAddress& address);  // of A or AAAA, as the address is
Rdata make_name(NameView target);              // NS, CNAME, PTR
Rdata make_mx(uint16_t preference, NameView host);
Rdata make_srv(uint16_t priority, uint16_t weight, uint16_t port, NameView target);
// Strings over 255 bytes are cut into several; no string at all makes one empty one.
Rdata make_txt(std::span<const std::string_view> strings);
Rdata make_soa(const Soa& soa);
// kInvalid: the tag is not 1-255 letters and digits.
Result<Rdata> make_caa(uint8_t flags, std::string_view tag, std::string_view value);
// Parameters as in a master file: {"alpn", "h2,h3"}, {"no-default-alpn", ""}. kInvalid with the reason.
Result<Rdata> make_svcb(uint16_t priority, NameView target,
                        std::span<const std::pair<std::string_view, std::string_view>> params);

}  // namespace headgate::dns
