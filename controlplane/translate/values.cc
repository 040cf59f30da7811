#include "controlplane/translate/values.h"

#include <algorithm>
#include <array>

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "proto/check/values.h"

namespace headgate::translate {

namespace v1 = config::v1;

std::optional<bool> parse_bool(std::string_view text) {
  for (const std::string_view word : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (text == word) return true;
  }
  for (const std::string_view word : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (text == word) return false;
  }
  return std::nullopt;
}

std::optional<bool> parse_on_off(std::string_view text) {
  if (text == "on") return true;
  if (text == "off") return false;
  return std::nullopt;
}

std::optional<uint64_t> parse_size(std::string_view text) {
  uint64_t unit = 1;
  if (!text.empty()) {
    switch (to_lower(text.back())) {
      case 'k': unit = uint64_t{1} << 10; break;
      case 'm': unit = uint64_t{1} << 20; break;
      case 'g': unit = uint64_t{1} << 30; break;
      default: break;
    }
    if (unit != 1) text.remove_suffix(1);
  }
  const auto value = parse_decimal<uint64_t>(text);
  if (!value || *value > (uint64_t{1} << 50) / unit) return std::nullopt;
  return *value * unit;
}

std::optional<uint64_t> parse_time_ms(std::string_view text) {
  uint64_t total = 0;
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    size_t digits = 0;
    while (digits < text.size() && is_digit(text[digits])) ++digits;
    const auto value = parse_decimal<uint64_t>(text.substr(0, digits));
    if (!value || *value > uint64_t{366} * 86400000) return std::nullopt;
    text.remove_prefix(digits);
    uint64_t unit = 1000;
    if (text.starts_with("ms")) {
      unit = 1;
      text.remove_prefix(2);
    } else if (!text.empty()) {
      switch (text.front()) {
        case 's': unit = 1000; break;
        case 'm': unit = 60000; break;
        case 'h': unit = 3600000; break;
        case 'd': unit = 86400000; break;
        default: return std::nullopt;
      }
      text.remove_prefix(1);
    }
    total += *value * unit;
  }
  return total <= uint64_t{366} * 86400000 ? std::optional(total) : std::nullopt;
}

std::vector<std::string> list_of(std::string_view text, std::string_view separators) {
  std::vector<std::string> list;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(separators), text.size());
    std::string_view element = text.substr(0, end);
    while (!element.empty() && static_cast<uint8_t>(element.front()) <= ' ') element.remove_prefix(1);
    while (!element.empty() && static_cast<uint8_t>(element.back()) <= ' ') element.remove_suffix(1);
    if (!element.empty()) list.emplace_back(element);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return list;
}

std::pair<std::string, std::string> object_name(std::string_view text, std::string_view name_space) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return {std::string(name_space), std::string(text)};
  const std::string_view name = text.substr(slash + 1);
  if (slash == 0 || name.find('/') != std::string_view::npos) return {};
  return {std::string(text.substr(0, slash)), std::string(name)};
}

std::string Url::origin() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (tls ? "https://" : "http://") + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::optional<Url> parse_url(std::string_view text) {
  Url url;
  if (text.starts_with("https://")) {
    url.tls = true;
    text.remove_prefix(8);
  } else if (text.starts_with("http://")) {
    text.remove_prefix(7);
  } else {
    return std::nullopt;
  }
  for (const char c : text) {
    if (static_cast<uint8_t>(c) <= ' ' || c == '"' || c == '\\' || c == 0x7f) return std::nullopt;
  }
  // The first variable that holds a path ends the authority, as in http://mirror.example$request_uri.
  size_t end = std::min({text.find('/'), text.find('?'), text.find("$request_uri"), text.find("$uri"), text.size()});
  std::string_view authority = text.substr(0, end);
  url.target = text.substr(end);
  if (authority.find('@') != std::string_view::npos || authority.find('#') != std::string_view::npos) {
    return std::nullopt;
  }
  url.port = url.tls ? 443 : 80;
  const size_t bracket = authority.starts_with('[') ? authority.find(']') : std::string_view::npos;
  const size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    const auto port = parse_decimal<uint16_t>(authority.substr(colon + 1));
    if (!port || *port == 0) return std::nullopt;
    url.port = *port;
    authority = authority.substr(0, colon);
  }
  if (bracket != std::string_view::npos) {
    if (bracket + 1 != authority.size()) return std::nullopt;
    authority = authority.substr(1, bracket - 1);
  }
  if (authority.empty()) return std::nullopt;
  url.host = authority;
  return url;
}

namespace {

bool is_name_char(char c) { return is_alpha(c) || is_digit(c) || c == '_'; }

// Names that nginx's configuration has and ours spells differently.
constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kOurNames{{
    {"binary_remote_addr", "client_ip"},
    {"best_http_host", "http_host"},
    {"pass_access_scheme", "scheme"},
    {"pass_server_port", "server_port"},
    {"document_uri", "uri"},
    {"https_host", "host"},
    {"proxy_host", "host"},
    {"remote_addr", "client_ip"},
}};

}  // namespace

std::string our_variables(std::string_view text, const Constants& constants) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '$') {
      out += text[i++];
      continue;
    }
    const bool braces = i + 1 < text.size() && text[i + 1] == '{';
    const size_t start = i + (braces ? 2 : 1);
    size_t end = start;
    while (end < text.size() && is_name_char(text[end])) ++end;
    if (end == start || (braces && (end == text.size() || text[end] != '}')) || is_digit(text[start])) {
      out += text[i++];
      continue;
    }
    const std::string_view name = text.substr(start, end - start);
    const std::string_view whole = text.substr(i, end + (braces ? 1 : 0) - i);
    i += whole.size();
    const auto constant =
        std::find_if(constants.begin(), constants.end(), [&](const auto& entry) { return entry.first == name; });
    if (constant != constants.end()) {
      out += constant->second;
      continue;
    }
    const auto ours =
        std::find_if(kOurNames.begin(), kOurNames.end(), [&](const auto& row) { return row.first == name; });
    out += ours == kOurNames.end() ? std::string(whole) : "${" + std::string(ours->second) + "}";
  }
  return out;
}

std::string unknown_variable(std::string_view text, int groups) {
  check::Problems problems;
  check::check_text("", text, check::TextScope::kRequest, groups, problems);
  return problems.list().empty() ? std::string() : problems.list().front().message;
}

std::optional<v1::RetryPolicy> parse_next_upstream(std::string_view text) {
  v1::RetryPolicy retry;
  bool connect = false;
  bool reset = false;
  bool timeout = false;
  bool off = false;
  for (const std::string& word : list_of(text, " ,\t")) {
    if (word == "error") {
      connect = reset = true;
    } else if (word == "timeout") {
      timeout = true;
    } else if (word == "invalid_header") {
      reset = true;
    } else if (word == "non_idempotent") {
      retry.set_non_idempotent(true);
    } else if (word == "off") {
      off = true;
    } else if (word.starts_with("http_") && word.size() == 8) {
      const auto status = parse_decimal<uint32_t>(std::string_view(word).substr(5));
      constexpr std::array<uint32_t, 7> kStatuses{403, 404, 429, 500, 502, 503, 504};
      if (!status || std::find(kStatuses.begin(), kStatuses.end(), *status) == kStatuses.end()) return std::nullopt;
      if (std::find(retry.statuses().begin(), retry.statuses().end(), *status) == retry.statuses().end()) {
        retry.add_statuses(*status);
      }
    } else {
      return std::nullopt;
    }
  }
  if (off) {
    v1::RetryPolicy none;
    none.set_attempts(1);
    return none;
  }
  if (connect) {
    retry.add_on(v1::RetryPolicy::CONNECT_FAILURE);
    retry.add_on(v1::RetryPolicy::REFUSED_STREAM);
  }
  if (reset) retry.add_on(v1::RetryPolicy::RESET);
  if (timeout) retry.add_on(v1::RetryPolicy::TIMEOUT);
  if (!retry.statuses().empty()) retry.add_on(v1::RetryPolicy::STATUS);
  return retry;
}

}  // namespace headgate::translate
