#include "dataplane/dns/record.h"

#include <array>
#include <iterator>

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "dataplane/dns/errors.h"
#include "dataplane/dns/svcb.h"
#include "dataplane/dns/text_escape.h"
#include "dataplane/dns/ttl.h"

namespace headgate::dns {
namespace {

// The parts that data is made of; a type is a list of them. kTexts, kValue, kHexRest and kParams take all that is left.
enum class Field : uint8_t {
  kEnd,
  kU8,
  kU16,
  kU32,
  kSeconds,  // 32 bits, text with units
  kAddress4,
  kAddress6,
  kName,         // may be compressed (RFC 1035 types)
  kLiteralName,  // never compressed
  kText,         // one character string
  kTexts,        // one or more
  kTag,          // CAA tag: a character string of letters and digits
  kValue,        // CAA value: the rest, as one quoted string
  kHexRest,      // words of hex digits
  kParams,       // RFC 9460
};

struct Type {
  uint16_t number;
  std::string_view name;
  std::array<Field, 8> fields;  // ends with kEnd
};

using enum Field;
constexpr Type kTypes[] = {
    {kTypeA, "A", {kAddress4}},
    {kTypeNs, "NS", {kName}},
    {kTypeCname, "CNAME", {kName}},
    {kTypeSoa, "SOA", {kName, kName, kU32, kSeconds, kSeconds, kSeconds, kSeconds}},
    {kTypePtr, "PTR", {kName}},
    {kTypeHinfo, "HINFO", {kText, kText}},
    {kTypeMx, "MX", {kU16, kName}},
    {kTypeTxt, "TXT", {kTexts}},
    {kTypeAaaa, "AAAA", {kAddress6}},
    {kTypeSrv, "SRV", {kU16, kU16, kU16, kLiteralName}},
    {kTypeNaptr, "NAPTR", {kU16, kU16, kText, kText, kText, kLiteralName}},
    {kTypeDname, "DNAME", {kLiteralName}},
    {kTypeDs, "DS", {kU16, kU8, kU8, kHexRest}},
    {kTypeSshfp, "SSHFP", {kU8, kU8, kHexRest}},
    {kTypeTlsa, "TLSA", {kU8, kU8, kU8, kHexRest}},
    {kTypeSvcb, "SVCB", {kU16, kLiteralName, kParams}},
    {kTypeHttps, "HTTPS", {kU16, kLiteralName, kParams}},
    {kTypeCaa, "CAA", {kU8, kTag, kValue}},
};

struct NamedType {
  uint16_t number;
  std::string_view name;
};
// Types with a name but no data of their own here.
constexpr NamedType kOtherTypes[] = {
    {kTypeOpt, "OPT"},
    {kTypeRrsig, "RRSIG"},
    {kTypeNsec, "NSEC"},
    {kTypeNsec3, "NSEC3"},
    {kTypeNsec3param, "NSEC3PARAM"},
    {kTypeNxname, "NXNAME"},
    {kTypeTkey, "TKEY"},
    {kTypeTsig, "TSIG"},
    {kTypeIxfr, "IXFR"},
    {kTypeAxfr, "AXFR"},
    {kTypeMailb, "MAILB"},
    {kTypeMaila, "MAILA"},
    {kTypeAny, "ANY"},
};


const Type* find_type(uint16_t number) {
  for (const Type& type : kTypes) {
    if (type.number == number) return &type;
  }
  return nullptr;
}

void append_number(Rdata& into, uint32_t value, size_t bytes) {
  for (size_t i = bytes; i-- > 0;) into.push_back(static_cast<uint8_t>(value >> (8 * i)));
}
void append_bytes(Rdata& into, Bytes bytes) { into.insert(into.end(), bytes.begin(), bytes.end()); }

bool is_tag(std::string_view tag) {
  if (tag.empty() || tag.size() > 255) return false;
  for (const char c : tag) {
    if (!is_digit(c) && !is_alpha(c)) return false;
  }
  return true;
}

// --- text -> wire ---

class TextParser {
 public:
  TextParser(std::span<const TextToken> words, NameView origin) : words_(words), origin_(origin) {}

  Result<Rdata> run(const Type& type) {
    for (const Field field : type.fields) {
      if (field == Field::kEnd) break;
      HG_TRY(parse(field));
    }
    if (at_ < words_.size()) return invalid("too many words in the data");
    if (rdata_.size() > kMaxRdataBytes) return invalid("data over 65535 bytes");
    return std::move(rdata_);
  }

  // RFC 3597 5: `\#` was seen as first word.
  Result<Rdata> run_generic() {
    at_ = 1;
    if (at_ == words_.size()) return invalid("length missing after \\#");
    const auto length = parse_decimal<uint16_t>(words_[at_++].text);
    if (!length.has_value()) return invalid("bad length after \\#");
    HG_TRY(parse_hex_rest());
    if (rdata_.size() != *length) return invalid("length after \\# is not that of the data");
    return std::move(rdata_);
  }

 private:
  template <typename Unsigned>
  Result<void> parse_number(std::string_view word, const char* detail) {
    const auto value = parse_decimal<Unsigned>(word);
    if (!value.has_value()) return invalid(detail);
    append_number(rdata_, *value, sizeof(Unsigned));
    return {};
  }

  Result<void> parse_text(std::string_view word) {
    const auto text = unescape(word);
    if (!text.has_value()) return invalid("bad escape in a string");
    if (text->size() > 255) return invalid("string over 255 bytes");
    rdata_.push_back(static_cast<uint8_t>(text->size()));
    append_bytes(rdata_, as_bytes(*text));
    return {};
  }

  Result<void> parse_hex_rest() {
    std::string digits;
    for (; at_ < words_.size(); ++at_) digits += words_[at_].text;
    const auto bytes = parse_hex_bytes(digits);
    if (!bytes.has_value()) return invalid("bad hex digits");
    append_bytes(rdata_, *bytes);
    return {};
  }

  Result<void> parse_params() {
    std::vector<SvcParam> params;
    for (; at_ < words_.size(); ++at_) {
      const std::string_view word = words_[at_].text;
      const size_t equal = word.find('=');
      const bool has_value = equal != std::string_view::npos;
      std::string_view value = has_value ? word.substr(equal + 1) : std::string_view();
      // key="a b": quotes may stand after the sign only.
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
      const auto text = unescape(value);
      if (!text.has_value()) return invalid("bad escape in a parameter");
      auto param = parse_svc_param(word.substr(0, equal), has_value, *text);
      if (!param.has_value()) return param.error();
      params.push_back(std::move(*param));
    }
    return append_svc_params(params, rdata_);
  }

  Result<void> parse_address(std::string_view word, bool v4) {
    const auto address = IpAddress::parse(word);
    // By its spelling: "::ffff:192.0.2.1" is good AAAA data.
    const bool spelled_v4 = word.find(':') == std::string_view::npos;
    if (!address.has_value() || spelled_v4 != v4) return invalid(v4 ? "not an IPv4 address" : "not an IPv6 address");
    append_bytes(rdata_, Bytes(address->bytes()).subspan(v4 ? 12 : 0));
    return {};
  }

  Result<void> parse(Field field) {
    if (field == kParams) return parse_params();
    if (at_ == words_.size()) return invalid("too few words in the data");
    const std::string_view word = words_[at_].text;
    if (field == kHexRest) return parse_hex_rest();
    if (field == kTexts) {
      for (; at_ < words_.size(); ++at_) HG_TRY(parse_text(words_[at_].text));
      return {};
    }
    ++at_;
    switch (field) {
      case kU8: return parse_number<uint8_t>(word, "not a number from 0 to 255");
      case kU16: return parse_number<uint16_t>(word, "not a number from 0 to 65535");
      case kU32: return parse_number<uint32_t>(word, "not a number from 0 to 4294967295");
      case kSeconds: {
        // A plain number may use all 32 bits: the timers of an SOA are no TTLs.
        const auto plain = parse_decimal<uint32_t>(word);
        const auto seconds = plain.has_value() ? plain : parse_ttl(word);
        if (!seconds.has_value()) return invalid("not a time in seconds");
        append_number(rdata_, *seconds, 4);
        return {};
      }
      case kAddress4: return parse_address(word, true);
      case kAddress6: return parse_address(word, false);
      case kName:
      case kLiteralName: {
        if (word == "@" && !words_[at_ - 1].quoted) {
          append_bytes(rdata_, origin_.bytes());
          return {};
        }
        const auto name = Name::parse(word, origin_);
        if (!name.has_value()) return name.error();
        append_bytes(rdata_, name->view().bytes());
        return {};
      }
      case kText: return parse_text(word);
      case kTag:
        if (!is_tag(word)) return invalid("a tag is made of letters and digits");
        return parse_text(word);
      case kValue: {
        const auto text = unescape(word);
        if (!text.has_value()) return invalid("bad escape in a string");
        append_bytes(rdata_, as_bytes(*text));
        return {};
      }
      case kEnd:
      case kTexts:
      case kHexRest:
      case kParams: break;
    }
    return {};
  }

  std::span<const TextToken> words_;
  NameView origin_;
  size_t at_ = 0;
  Rdata rdata_;
};

// --- wire: one walk for checks, text, compression and decompression ---

// The bytes of `field` at the reader's position; empty and !reader.ok() when they do not fit.
Bytes take_field(Field field, ByteReader& reader) {
  const Bytes rest = reader.all().subspan(reader.position());
  switch (field) {
    case kU8: return reader.take(1);
    case kU16: return reader.take(2);
    case kU32:
    case kSeconds:
    case kAddress4: return reader.take(4);
    case kAddress6: return reader.take(16);
    case kName:
    case kLiteralName: {
      const size_t size = check_name(rest);
      if (size == 0) reader.fail();
      return reader.take(size);
    }
    case kText:
    case kTag: return reader.take(rest.empty() ? 1 : rest[0] + size_t{1});
    case kTexts:
    case kValue:
    case kHexRest:
    case kParams: return reader.take(rest.size());
    case kEnd: break;
  }
  return {};
}

Result<void> check_texts(Bytes part) {
  ByteReader texts(part);
  do {
    texts.take(texts.u8());
  } while (texts.ok() && texts.remaining() > 0);
  return texts.ok() ? Result<void>() : Result<void>(malformed("bad character string"));
}

void print_field(Field field, Bytes part, std::string& into) {
  ByteReader reader(part);
  switch (field) {
    case kU8: into += std::to_string(reader.u8()); return;
    case kU16: into += std::to_string(reader.u16()); return;
    case kU32:
    case kSeconds: into += std::to_string(reader.u32()); return;
    case kAddress4: into += IpAddress::v4(reader.u32()).to_string(); return;
    case kAddress6: append_ipv6(part, into); return;
    case kName:
    case kLiteralName: into += NameView(part).to_string(); return;
    case kText:
    case kTexts:
      while (reader.remaining() > 0) {
        if (reader.position() > 0) into += ' ';
        append_quoted(reader.take(reader.u8()), into);
      }
      return;
    case kTag: into += as_text(part.subspan(1)); return;
    case kValue: append_quoted(part, into); return;
    case kHexRest: append_hex(part, into); return;
    case kParams: print_svc_params(part, into); return;
    case kEnd: return;
  }
}

}  // namespace

std::optional<uint16_t> parse_type(std::string_view text) {
  for (const Type& type : kTypes) {
    if (equals_ignore_case(type.name, text)) return type.number;
  }
  for (const NamedType& type : kOtherTypes) {
    if (equals_ignore_case(type.name, text)) return type.number;
  }
  if (!starts_with_ignore_case(text, "TYPE")) return std::nullopt;
  return parse_decimal<uint16_t>(text.substr(4));
}

std::string type_name(uint16_t type) {
  if (const Type* known = find_type(type)) return std::string(known->name);
  for (const NamedType& other : kOtherTypes) {
    if (other.number == type) return std::string(other.name);
  }
  return "TYPE" + std::to_string(type);
}

bool is_meta_type(uint16_t type) { return type == 0 || type == kTypeOpt || (type >= kTypeNxname && type <= kTypeAny); }

Result<Rdata> parse_rdata(uint16_t type, std::span<const TextToken> words, NameView origin) {
  if (!words.empty() && words[0].text == "\\#" && !words[0].quoted) {
    auto rdata = TextParser(words, origin).run_generic();
    if (!rdata.has_value()) return rdata;
    const auto checked = check_rdata(type, *rdata);
    if (!checked.has_value()) return invalid(checked.error().detail);
    return rdata;
  }
  const Type* known = find_type(type);
  if (known == nullptr) return invalid("data of this type is written as \\# LENGTH HEX");
  return TextParser(words, origin).run(*known);
}

Result<Rdata> parse_rdata(uint16_t type, std::string_view line, NameView origin) {
  std::vector<TextToken> words;
  for (size_t at = 0; at < line.size();) {
    if (is_space(line[at])) {
      ++at;
      continue;
    }
    const size_t start = at;
    const bool quoted = line[at] == '"';
    bool inside = false;
    for (; at < line.size() && (inside || !is_space(line[at])); ++at) {
      if (line[at] == '\\' && at + 1 < line.size()) {
        ++at;
      } else if (line[at] == '"') {
        inside = !inside;
        if (quoted && !inside) break;
      }
    }
    if (inside) return invalid("quote without an end");
    words.push_back({quoted ? line.substr(start + 1, at - start - 1) : line.substr(start, at - start), quoted});
    at += quoted ? 1 : 0;
  }
  return parse_rdata(type, words, origin);
}

Result<void> check_rdata(uint16_t type, Bytes rdata) {
  if (rdata.size() > kMaxRdataBytes) return malformed("data over 65535 bytes");
  const Type* known = find_type(type);
  if (known == nullptr) return {};
  ByteReader reader(rdata);
  for (const Field field : known->fields) {
    if (field == kEnd) break;
    const Bytes part = take_field(field, reader);
    if (!reader.ok()) return malformed("data too short or with a bad name");
    if (field == kTexts) HG_TRY(check_texts(part));
    if (field == kTag && !is_tag(as_text(part.subspan(1)))) return malformed("bad CAA tag");
    if (field == kParams) HG_TRY(check_svc_params(part));
  }
  return reader.remaining() == 0 ? Result<void>() : Result<void>(malformed("data too long"));
}

std::string print_rdata(uint16_t type, Bytes rdata) {
  std::string text;
  const Type* known = find_type(type);
  if (known == nullptr || !check_rdata(type, rdata).has_value()) {
    text = "\\# " + std::to_string(rdata.size());
    if (!rdata.empty()) text += ' ';
    append_hex(rdata, text);
    return text;
  }
  ByteReader reader(rdata);
  for (const Field field : known->fields) {
    if (field == kEnd) break;
    if (reader.position() > 0 && field != kParams) text += ' ';
    print_field(field, take_field(field, reader), text);
  }
  return text;
}

Result<Rdata> read_rdata(uint16_t type, ByteReader& message, size_t size) {
  const size_t end = message.position() + size;
  if (!message.ok() || size > message.remaining()) return malformed("record data past the end");
  Rdata rdata;
  const Type* known = find_type(type);
  // Names are only looked for where RFC 3597 4 allows them to be compressed (and in SRV, where some servers do).
  if (known != nullptr) {
    for (const Field field : known->fields) {
      if (field == kEnd) break;
      if (field == kName || field == kLiteralName) {
        Name name;
        if (!read_name(message, name) || message.position() > end) return malformed("bad name in record data");
        append_bytes(rdata, name.view().bytes());
        continue;
      }
      ByteReader limited(message.all().first(end));
      limited.seek(message.position());
      append_bytes(rdata, take_field(field, limited));
      if (!limited.ok()) return malformed("record data too short");
      message.seek(limited.position());
    }
    if (message.position() != end) return malformed("record data too long");
    HG_TRY(check_rdata(type, rdata));
    return rdata;
  }
  append_bytes(rdata, message.take(size));
  return rdata;
}

void write_rdata(ByteWriter& out, uint16_t type, Bytes rdata, NameCompressor& names) {
  const Type* known = find_type(type);
  if (known == nullptr) {
    out.bytes(rdata);
    return;
  }
  ByteReader reader(rdata);
  for (const Field field : known->fields) {
    if (field == kEnd) break;
    const Bytes part = take_field(field, reader);
    if (field == kName || field == kLiteralName) {
      names.write(out, NameView(part), field == kName);
    } else {
      out.bytes(part);
    }
  }
}

NameView rdata_target(uint16_t type, Bytes rdata) {
  size_t at = 0;
  switch (type) {
    case kTypeNs:
    case kTypeCname:
    case kTypePtr: break;
    case kTypeMx:
    case kTypeSvcb:
    case kTypeHttps: at = 2; break;
    case kTypeSrv: at = 6; break;
    default: return {};
  }
  if (at >= rdata.size()) return {};
  const Bytes rest = rdata.subspan(at);
  const size_t size = check_name(rest);
  return size == 0 ? NameView() : NameView(rest.first(size));
}

// --- data made from values ---

Rdata make_address(const IpAddress& address) {
  const Bytes bytes(address.bytes());
  Rdata rdata;
  append_bytes(rdata, bytes.subspan(address.is_v4() ? 12 : 0));
  return rdata;
}

Rdata make_name(NameView target) { return {target.bytes().begin(), target.bytes().end()}; }

Rdata make_mx(uint16_t preference, NameView host) {
  Rdata rdata;
  append_number(rdata, preference, 2);
  append_bytes(rdata, host.bytes());
  return rdata;
}

Rdata make_srv(uint16_t priority, uint16_t weight, uint16_t port, NameView target) {
  Rdata rdata;
  for (const uint16_t value : {priority, weight, port}) append_number(rdata, value, 2);
  append_bytes(rdata, target.bytes());
  return rdata;
}

Rdata make_txt(std::span<const std::string_view> strings) {
  Rdata rdata;
  for (std::string_view text : strings) {
    do {
      const std::string_view part = text.substr(0, 255);
      rdata.push_back(static_cast<uint8_t>(part.size()));
      append_bytes(rdata, as_bytes(part));
      text.remove_prefix(part.size());
    } while (!text.empty());
  }
  if (rdata.empty()) rdata.push_back(0);
  return rdata;
}

Rdata make_soa(const Soa& soa) {
  Rdata rdata;
  append_bytes(rdata, soa.mname.view().bytes());
  append_bytes(rdata, soa.rname.view().bytes());
  for (const uint32_t value : {soa.serial, soa.refresh_s, soa.retry_s, soa.expire_s, soa.minimum_s}) {
    append_number(rdata, value, 4);
  }
  return rdata;
}

Result<Rdata> make_caa(uint8_t flags, std::string_view tag, std::string_view value) {
  if (!is_tag(tag)) return invalid("a tag is made of letters and digits");
  Rdata rdata{flags, static_cast<uint8_t>(tag.size())};
  append_bytes(rdata, as_bytes(tag));
  append_bytes(rdata, as_bytes(value));
  if (rdata.size() > kMaxRdataBytes) return invalid("data over 65535 bytes");
  return rdata;
}

Result<Rdata> make_svcb(uint16_t priority, NameView target,
                        std::span<const std::pair<std::string_view, std::string_view>> params) {
  Rdata rdata;
  append_number(rdata, priority, 2);
  append_bytes(rdata, target.bytes());
  std::vector<SvcParam> parsed;
  for (const auto& [key, value] : params) {
    const auto text = unescape(value);
    if (!text.has_value()) return invalid("bad escape in a parameter");
    auto param = parse_svc_param(key, !value.empty(), *text);
    if (!param.has_value()) return param.error();
    parsed.push_back(std::move(*param));
  }
  HG_TRY(append_svc_params(parsed, rdata));
  if (rdata.size() > kMaxRdataBytes) return invalid("data over 65535 bytes");
  return rdata;
}

}  // namespace headgate::dns
