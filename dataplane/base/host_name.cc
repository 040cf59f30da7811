#include "dataplane/base/host_name.h"

#include "dataplane/base/address.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"

namespace headgate {

namespace {

constexpr size_t kMaxLabel = 63;
constexpr size_t kMaxName = 253;

bool is_label_char(char c) { return is_alpha(c) || is_digit(c) || c == '-' || c == '_'; }

bool is_valid_label(std::string_view label) {
  if (label.empty() || label.size() > kMaxLabel) return false;
  if (label.front() == '-' || label.back() == '-') return false;
  for (const char c : label) {
    if (!is_label_char(c)) return false;
  }
  return true;
}

bool is_bracketed_address(std::string_view host) {
  if (host.size() < 4 || host.front() != '[' || host.back() != ']') return false;
  const auto address = IpAddress::parse(host.substr(1, host.size() - 2));
  return address.has_value() && !address->is_v4();
}

constexpr Error kBadAuthority{.code = Errc::kInvalid, .detail = "not a host with an optional port"};

}  // namespace

bool is_valid_host_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > kMaxName) return false;
  while (true) {
    const size_t dot = name.find('.');
    if (!is_valid_label(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

HostPatternKind host_pattern_kind(std::string_view pattern) {
  if (pattern == "*") return HostPatternKind::kAny;
  if (pattern.starts_with("*.")) {
    return is_valid_host_name(pattern.substr(2)) ? HostPatternKind::kWildcard : HostPatternKind::kInvalid;
  }
  return is_valid_host_name(pattern) || is_bracketed_address(pattern) ? HostPatternKind::kExact
                                                                      : HostPatternKind::kInvalid;
}

std::string normalize_host(std::string_view host) {
  if (host.size() > 1 && host.ends_with('.')) host.remove_suffix(1);
  return lower_copy(host);
}

bool host_matches(std::string_view pattern, std::string_view host, bool single_label) {
  if (pattern == "*") return true;
  if (!pattern.starts_with("*.")) return pattern == host;
  const std::string_view suffix = pattern.substr(1);  // with its dot
  if (host.size() <= suffix.size() || !host.ends_with(suffix)) return false;
  const std::string_view front = host.substr(0, host.size() - suffix.size());
  return !single_label || front.find('.') == std::string_view::npos;
}

bool host_pattern_covers(std::string_view wide, std::string_view narrow) {
  if (wide == narrow || wide == "*") return true;
  if (narrow == "*" || !wide.starts_with("*.")) return false;
  const std::string_view suffix = wide.substr(1);
  if (narrow.starts_with("*.")) return narrow.substr(1).ends_with(suffix);
  return host_matches(wide, narrow, false);
}

Result<std::string_view> host_of_authority(std::string_view authority) {
  std::string_view host = authority;
  std::string_view port;
  bool has_port = false;
  if (authority.starts_with('[')) {
    const size_t end = authority.find(']');
    if (end == std::string_view::npos) return kBadAuthority;
    host = authority.substr(0, end + 1);
    const std::string_view rest = authority.substr(end + 1);
    if (!rest.empty() && rest.front() != ':') return kBadAuthority;
    has_port = !rest.empty();
    if (has_port) port = rest.substr(1);
    if (!is_bracketed_address(host)) return kBadAuthority;
  } else {
    const size_t colon = authority.find(':');
    if (colon != std::string_view::npos) {
      host = authority.substr(0, colon);
      port = authority.substr(colon + 1);
      has_port = true;
    }
    if (!is_valid_host_name(host)) return kBadAuthority;
  }
  // RFC 3986 3.2.3 lets the port be empty after the colon.
  if (has_port && !port.empty() && !parse_decimal<uint16_t>(port)) return kBadAuthority;
  return host;
}

}  // namespace headgate
