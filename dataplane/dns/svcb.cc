#include "dataplane/dns/svcb.h"

#include <algorithm>
#include <array>
#include <optional>

#include "dataplane/base/address.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "dataplane/dns/errors.h"
#include "dataplane/dns/text_escape.h"

namespace headgate::dns {
namespace {

constexpr std::array<std::string_view, 7> kKeyNames = {"mandatory", "alpn", "no-default-alpn", "port",
                                                       "ipv4hint",  "ech",  "ipv6hint"};
constexpr size_t kMaxListItems = 1024;
constexpr uint16_t kInvalidKey = 65535;  // RFC 9460 14.3.2: reserved, so that no parameter has it


std::optional<uint16_t> parse_key(std::string_view text) {
  for (size_t i = 0; i < kKeyNames.size(); ++i) {
    if (text == kKeyNames[i]) return static_cast<uint16_t>(i);
  }
  if (text.substr(0, 3) != "key") return std::nullopt;
  const std::string_view digits = text.substr(3);
  // RFC 9460 2.1: no leading zeros.
  if (digits.size() > 1 && digits[0] == '0') return std::nullopt;
  const auto number = parse_decimal<uint16_t>(digits);
  return number.has_value() && *number != kInvalidKey ? number : std::nullopt;
}

std::string key_name(uint16_t key) {
  return key < kKeyNames.size() ? std::string(kKeyNames[key]) : "key" + std::to_string(key);
}

void append_u16(std::vector<uint8_t>& into, size_t value) {
  into.push_back(static_cast<uint8_t>(value >> 8));
  into.push_back(static_cast<uint8_t>(value));
}

// RFC 9460 appendix A.1: items between commas; "\," and "\\" stand for the characters themselves.
Result<std::vector<std::string>> split_list(std::string_view value) {
  std::vector<std::string> items(1);
  for (size_t at = 0; at < value.size(); ++at) {
    if (value[at] == ',') {
      if (items.size() == kMaxListItems) return invalid("too many items in a parameter");
      items.emplace_back();
      continue;
    }
    if (value[at] == '\\' && ++at == value.size()) return invalid("bad escape in a parameter list");
    items.back() += value[at];
  }
  for (const std::string& item : items) {
    if (item.empty()) return invalid("empty item in a parameter list");
  }
  return items;
}

Result<void> append_item(SvcParam& param, const std::string& item) {
  switch (param.key) {
    case kSvcMandatory: {
      const auto key = parse_key(item);
      if (!key.has_value()) return invalid("unknown key in mandatory");
      append_u16(param.value, *key);
      return {};
    }
    case kSvcAlpn:
      if (item.size() > 255) return invalid("alpn identifier over 255 bytes");
      param.value.push_back(static_cast<uint8_t>(item.size()));
      param.value.insert(param.value.end(), item.begin(), item.end());
      return {};
    default: {
      const auto address = IpAddress::parse(item);
      const bool v4 = param.key == kSvcIpv4Hint;
      // By its spelling: "::ffff:192.0.2.1" is an IPv6 address.
      const bool spelled_v4 = item.find(':') == std::string::npos;
      if (!address.has_value() || spelled_v4 != v4) return invalid(v4 ? "bad ipv4hint" : "bad ipv6hint");
      const auto& bytes = address->bytes();
      param.value.insert(param.value.end(), bytes.begin() + (v4 ? 12 : 0), bytes.end());
      return {};
    }
  }
}

// RFC 9460 8: keys listed once each, rising, never "mandatory" itself.
void sort_mandatory(std::vector<uint8_t>& value) {
  std::vector<uint16_t> keys;
  for (size_t i = 0; i + 1 < value.size(); i += 2) keys.push_back(static_cast<uint16_t>(value[i] << 8 | value[i + 1]));
  std::sort(keys.begin(), keys.end());
  value.clear();
  for (const uint16_t key : keys) append_u16(value, key);
}

bool alpn_is_valid(Bytes value) {
  ByteReader reader(value);
  while (reader.ok() && reader.remaining() > 0) {
    const uint8_t length = reader.u8();
    if (length == 0) return false;
    reader.take(length);
  }
  return reader.ok() && !value.empty();
}

Result<void> check_value(uint16_t key, Bytes value) {
  switch (key) {
    case kSvcMandatory:
      if (value.empty() || value.size() % 2 != 0) return malformed("bad mandatory parameter");
      for (size_t i = 0; i < value.size(); i += 2) {
        const int current = value[i] << 8 | value[i + 1];
        const int previous = i == 0 ? 0 : value[i - 2] << 8 | value[i - 1];
        // The first comparison also rejects key 0, mandatory itself.
        if (current <= previous) return malformed("mandatory names itself, or a key twice");
      }
      return {};
    case kSvcAlpn:
      if (!alpn_is_valid(value)) return malformed("bad alpn parameter");
      return {};
    case kSvcNoDefaultAlpn:
      if (!value.empty()) return malformed("no-default-alpn takes no value");
      return {};
    case kSvcPort:
      if (value.size() != 2) return malformed("bad port parameter");
      return {};
    case kSvcIpv4Hint:
      if (value.empty() || value.size() % 4 != 0) return malformed("bad ipv4hint parameter");
      return {};
    case kSvcEch:
      if (value.empty()) return malformed("empty ech parameter");
      return {};
    case kSvcIpv6Hint:
      if (value.empty() || value.size() % 16 != 0) return malformed("bad ipv6hint parameter");
      return {};
    default: return {};
  }
}

bool has_key(Bytes wire, uint16_t key) {
  ByteReader reader(wire);
  while (reader.remaining() >= 4) {
    if (reader.u16() == key) return true;
    reader.take(reader.u16());
    if (!reader.ok()) break;
  }
  return false;
}

void print_value(uint16_t key, Bytes value, std::string& into) {
  ByteReader reader(value);
  const auto separate = [&] { into += reader.position() == 0 ? "" : ","; };
  switch (key) {
    case kSvcMandatory:
      while (reader.remaining() >= 2) {
        separate();
        into += key_name(reader.u16());
      }
      return;
    case kSvcAlpn: {
      std::string list;
      while (reader.ok() && reader.remaining() > 0) {
        if (reader.position() != 0) list += ',';
        for (const uint8_t byte : reader.take(reader.u8())) {
          if (byte == ',' || byte == '\\') list += '\\';
          list += static_cast<char>(byte);
        }
      }
      append_quoted(as_bytes(list), into);
      return;
    }
    case kSvcPort: into += std::to_string(reader.u16()); return;
    case kSvcIpv4Hint:
      while (reader.remaining() >= 4) {
        separate();
        into += IpAddress::v4(reader.u32()).to_string();
      }
      return;
    case kSvcIpv6Hint:
      while (reader.remaining() >= 16) {
        separate();
        append_ipv6(reader.take(16), into);
      }
      return;
    case kSvcEch: append_base64(value, into); return;
    default: append_quoted(value, into); return;
  }
}

}  // namespace

Result<SvcParam> parse_svc_param(std::string_view key, bool has_value, std::string_view value) {
  const auto number = parse_key(key);
  if (!number.has_value()) return invalid("unknown parameter key");
  SvcParam param{*number, {}};
  switch (*number) {
    case kSvcNoDefaultAlpn:
      if (has_value && !value.empty()) return invalid("no-default-alpn takes no value");
      return param;
    case kSvcPort: {
      const auto port = parse_decimal<uint16_t>(value);
      if (!port.has_value()) return invalid("bad port parameter");
      append_u16(param.value, *port);
      return param;
    }
    case kSvcEch: {
      auto bytes = parse_base64(value);
      if (!bytes.has_value() || bytes->empty()) return invalid("bad base64 in ech");
      param.value = std::move(*bytes);
      return param;
    }
    case kSvcMandatory:
    case kSvcAlpn:
    case kSvcIpv4Hint:
    case kSvcIpv6Hint: {
      const auto items = split_list(value);
      if (!items.has_value()) return items.error();
      for (const std::string& item : *items) {
        const auto added = append_item(param, item);
        if (!added.has_value()) return added.error();
      }
      if (*number == kSvcMandatory) sort_mandatory(param.value);
      return param;
    }
    default: param.value.assign(value.begin(), value.end()); return param;
  }
}

Result<void> append_svc_params(std::vector<SvcParam>& params, std::vector<uint8_t>& into) {
  std::sort(params.begin(), params.end(), [](const SvcParam& a, const SvcParam& b) { return a.key < b.key; });
  const size_t start = into.size();
  for (size_t i = 0; i < params.size(); ++i) {
    if (i > 0 && params[i].key == params[i - 1].key) return invalid("a parameter key twice");
    if (params[i].value.size() > 65535) return invalid("parameter over 65535 bytes");
    append_u16(into, params[i].key);
    append_u16(into, params[i].value.size());
    into.insert(into.end(), params[i].value.begin(), params[i].value.end());
  }
  const auto checked = check_svc_params(Bytes(into).subspan(start));
  return checked.has_value() ? checked : Result<void>(invalid(checked.error().detail));
}

Result<void> check_svc_params(Bytes wire) {
  ByteReader reader(wire);
  int previous = -1;
  Bytes mandatory;
  while (reader.remaining() > 0) {
    const uint16_t key = reader.u16();
    const Bytes value = reader.take(reader.u16());
    if (!reader.ok()) return malformed("truncated parameter");
    if (key <= previous) return malformed("parameter keys out of order");
    if (key == kInvalidKey) return malformed("reserved parameter key");
    previous = key;
    HG_TRY(check_value(key, value));
    if (key == kSvcMandatory) mandatory = value;
  }
  for (size_t i = 0; i + 1 < mandatory.size(); i += 2) {
    if (!has_key(wire, static_cast<uint16_t>(mandatory[i] << 8 | mandatory[i + 1]))) {
      return malformed("a mandatory parameter is missing");
    }
  }
  if (has_key(wire, kSvcNoDefaultAlpn) && !has_key(wire, kSvcAlpn)) return malformed("no-default-alpn without alpn");
  return {};
}

void print_svc_params(Bytes wire, std::string& into) {
  ByteReader reader(wire);
  while (reader.remaining() >= 4) {
    const uint16_t key = reader.u16();
    const Bytes value = reader.take(reader.u16());
    into += ' ';
    into += key_name(key);
    if (value.empty()) continue;
    into += '=';
    print_value(key, value, into);
  }
}

}  // namespace headgate::dns
