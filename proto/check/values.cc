#include "proto/check/values.h"

#include <array>
#include <string>

#include "dataplane/base/address.h"
#include "dataplane/base/regex.h"
#include "dataplane/base/text.h"

namespace headgate::check {

std::string at(std::string_view field, int index) { return std::string(field) + "[" + std::to_string(index) + "]"; }

namespace {

constexpr int64_t kLongestSeconds = int64_t{366} * 86400;

// The names that http/variables.h fills in; a test of the dataplane keeps the two lists equal.
constexpr std::array<Variable, 74> kVariables{{
    {"args", TextScope::kRequest},
    {"attempts", TextScope::kResponse},
    {"body_bytes_sent", TextScope::kResponse},
    {"bytes_received", TextScope::kResponse},
    {"bytes_sent", TextScope::kResponse},
    {"client_ip", TextScope::kRequest},
    {"client_port", TextScope::kRequest},
    {"connection_address", TextScope::kRequest},
    {"content_length", TextScope::kRequest},
    {"duration", TextScope::kResponse},
    {"error", TextScope::kResponse},
    {"escaped_request_uri", TextScope::kRequest},
    {"host", TextScope::kRequest},
    {"hostname", TextScope::kRequest},
    {"http_host", TextScope::kRequest},
    {"is_args", TextScope::kRequest},
    {"listener", TextScope::kRequest},
    {"method", TextScope::kRequest},
    {"msec", TextScope::kRequest},
    {"path", TextScope::kRequest},
    {"protocol", TextScope::kRequest},
    {"proxy_add_x_forwarded_for", TextScope::kRequest},
    {"query", TextScope::kRequest},
    {"query_string", TextScope::kRequest},
    {"realip_remote_addr", TextScope::kRequest},
    {"remote_addr", TextScope::kRequest},
    {"remote_port", TextScope::kRequest},
    {"remote_user", TextScope::kRequest},
    {"req_id", TextScope::kRequest},
    {"request", TextScope::kRequest},
    {"request_id", TextScope::kRequest},
    {"request_length", TextScope::kRequest},
    {"request_method", TextScope::kRequest},
    {"request_time", TextScope::kResponse},
    {"request_uri", TextScope::kRequest},
    {"route", TextScope::kRequest},
    {"scheme", TextScope::kRequest},
    {"server_addr", TextScope::kRequest},
    {"server_name", TextScope::kRequest},
    {"server_port", TextScope::kRequest},
    {"server_protocol", TextScope::kRequest},
    {"ssl_cipher", TextScope::kRequest},
    {"ssl_client_fingerprint", TextScope::kRequest},
    {"ssl_client_s_dn", TextScope::kRequest},
    {"ssl_client_serial", TextScope::kRequest},
    {"ssl_client_subject_dn", TextScope::kRequest},
    {"ssl_protocol", TextScope::kRequest},
    {"ssl_server_name", TextScope::kRequest},
    {"ssl_session_reused", TextScope::kRequest},
    {"status", TextScope::kResponse},
    {"the_real_ip", TextScope::kRequest},
    {"time", TextScope::kRequest},
    {"time_iso8601", TextScope::kRequest},
    {"time_local", TextScope::kRequest},
    {"tls_cipher", TextScope::kRequest},
    {"tls_client_fingerprint", TextScope::kRequest},
    {"tls_client_serial", TextScope::kRequest},
    {"tls_client_subject", TextScope::kRequest},
    {"tls_resumed", TextScope::kRequest},
    {"tls_server_name", TextScope::kRequest},
    {"tls_sni", TextScope::kRequest},
    {"tls_version", TextScope::kRequest},
    {"upstream", TextScope::kResponse},
    {"upstream_addr", TextScope::kResponse},
    {"upstream_attempts", TextScope::kResponse},
    {"upstream_duration", TextScope::kResponse},
    {"upstream_name", TextScope::kResponse},
    {"upstream_response_time", TextScope::kResponse},
    {"upstream_status", TextScope::kResponse},
    {"upstream_time", TextScope::kResponse},
    {"uri", TextScope::kRequest},
    {"user", TextScope::kRequest},
    {"user_agent", TextScope::kRequest},
    {"version", TextScope::kRequest},
}};
// header_x_user and http_x_user are the request field X-User, as in nginx.
constexpr std::array<Variable, 6> kFamilies{{
    {"header_", TextScope::kRequest},
    {"http_", TextScope::kRequest},
    {"cookie_", TextScope::kRequest},
    {"arg_", TextScope::kRequest},
    {"response_header_", TextScope::kResponse},
    {"sent_http_", TextScope::kResponse},
}};

bool is_variable_char(char c) { return is_alpha(c) || is_digit(c) || c == '_'; }

bool is_variable(std::string_view name, TextScope scope) {
  const auto in_scope = [&](const Variable& one) {
    return scope == TextScope::kResponse || one.scope == TextScope::kRequest;
  };
  for (const Variable& variable : kVariables) {
    if (variable.name == name) return in_scope(variable);
  }
  for (const Variable& family : kFamilies) {
    if (name.starts_with(family.name) && name.size() > family.name.size()) return in_scope(family);
  }
  return false;
}

void report_variable(std::string_view field, std::string_view name, TextScope scope, Problems& problems) {
  std::string message = "unknown variable $" + std::string(name);
  for (const Variable& variable : kVariables) {
    if (variable.name != name) continue;
    problems.error(field, "variable", "$" + std::string(name) + " is known only once the request is answered");
    return;
  }
  message +=
      "; known are for example $scheme, $host, $uri, $args, $client_ip, $request_id, $header_NAME, $cookie_NAME, "
      "$arg_NAME";
  if (scope == TextScope::kResponse) message += ", $status, $bytes_sent, $duration, $upstream_addr";
  problems.error(field, "variable", std::move(message));
}

std::string indexed(std::string_view field, int index) {
  return std::string(field) + "[" + std::to_string(index) + "]";
}

}  // namespace

std::span<const Variable> variables() { return kVariables; }
std::span<const Variable> variable_families() { return kFamilies; }

void check_text(std::string_view field, std::string_view text, TextScope scope, int groups, Problems& problems) {
  check_field_value(field, text, problems);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$') continue;
    if (i + 1 < text.size() && text[i + 1] == '$') {
      ++i;
      continue;
    }
    const bool braces = i + 1 < text.size() && text[i + 1] == '{';
    const size_t start = i + (braces ? 2 : 1);
    size_t end = start;
    if (end < text.size() && is_digit(text[end])) {
      ++end;  // a group is one digit: "$10" is group 1 and a zero
    } else {
      while (end < text.size() && is_variable_char(text[end])) ++end;
    }
    const std::string_view name = text.substr(start, end - start);
    if (braces && (end >= text.size() || text[end] != '}')) {
      problems.error(field, "variable", "${ without its }");
      return;
    }
    if (name.empty()) {
      if (braces) problems.error(field, "variable", "${} names no variable");
      continue;  // a dollar alone stays
    }
    if (is_digit(name.front())) {
      const int group = name.front() - '0';
      if (groups < 0) {
        problems.error(field, "variable",
                       "$" + std::string(name) + " is a group of a regular expression, and there is none here");
      } else if (group > groups) {
        problems.error(
            field, "variable",
            "$" + std::string(name) + ": the regular expression has only " + std::to_string(groups) + " groups");
      }
    } else if (!is_variable(name, scope)) {
      report_variable(field, name, scope, problems);
    }
    i = end - (braces ? 0 : 1);
  }
}

bool is_alpn_name(std::string_view name) {
  for (const char c : name) {
    if (c <= ' ' || c == ',' || static_cast<uint8_t>(c) >= 0x7f) return false;
  }
  return !name.empty() && name.size() <= 255;
}

void check_cidr(std::string_view field, int index, std::string_view text, Problems& problems) {
  if (Cidr::parse(text).has_value()) return;
  problems.error(indexed(field, index), "cidr",
                 quote_json(text) + " is no address range; expected for example \"10.0.0.0/8\" or \"2001:db8::/32\"");
}

void check_duration(std::string_view field, bool is_set, const google::protobuf::Duration& duration, bool zero_allowed,
                    Problems& problems) {
  if (!is_set) return;
  const bool negative = duration.seconds() < 0 || duration.nanos() < 0;
  const bool zero = duration.seconds() == 0 && duration.nanos() == 0;
  if (negative || duration.nanos() > 999999999 || duration.seconds() > kLongestSeconds || (zero && !zero_allowed)) {
    problems.error(field, "duration",
                   zero_allowed ? "expected a time from 0 to 366 days" : "expected a time above 0, up to 366 days");
  }
}

void check_resource_name(std::string_view name, Problems& problems) {
  if (name.empty()) {
    problems.error("name", "name", "the name is empty");
  } else if (name.size() > 1024) {
    problems.error("name", "name", "the name is longer than 1024 bytes");
  } else if (!is_field_value(name)) {
    problems.error("name", "name", "the name has a control character");
  }
}

void check_field_name(std::string_view field, std::string_view name, Problems& problems) {
  if (!is_token(name)) {
    problems.error(field, "field-name",
                   quote_json(name) + " is no field name; expected letters, digits and hyphens (RFC 9110 5.1)");
  }
}

void check_field_value(std::string_view field, std::string_view value, Problems& problems) {
  if (!is_field_value(value)) problems.error(field, "field-value", "control characters are not allowed here");
}

void check_name_values(std::string_view field, const google::protobuf::RepeatedPtrField<config::v1::NameValue>& list,
                       TextScope scope, Problems& problems) {
  for (int i = 0; i < list.size(); ++i) {
    const Field at(problems, field, i);
    check_field_name("name", list[i].name(), problems);
    check_text("value", list[i].value(), scope, -1, problems);
  }
}

int check_regex(std::string_view field, std::string_view pattern, Problems& problems) {
  std::string why;
  const auto compiled = Regex::compile(pattern, Regex::Case::kSensitive, &why);
  if (compiled.has_value()) return static_cast<int>(compiled->group_count());
  problems.error(field, "regex",
                 "not a regular expression that is supported (RE2, no look-around, no back-reference): " + why);
  return -1;
}

void check_text_match(const config::v1::TextMatch& match, Problems& problems) {
  switch (match.how_case()) {
    case config::v1::TextMatch::kRegex: check_regex("regex", match.regex(), problems); return;
    case config::v1::TextMatch::kPrefix:
      if (match.prefix().empty()) problems.error("prefix", "empty", "an empty prefix matches everything; use present");
      return;
    case config::v1::TextMatch::kSuffix:
      if (match.suffix().empty()) problems.error("suffix", "empty", "an empty suffix matches everything; use present");
      return;
    case config::v1::TextMatch::kExact:
    case config::v1::TextMatch::kPresent: return;
    case config::v1::TextMatch::HOW_NOT_SET:
      problems.error("", "missing", "expected one of exact, prefix, suffix, regex, present");
      return;
  }
}

void check_status(std::string_view field, uint32_t status, uint32_t lowest, uint32_t highest, Problems& problems) {
  if (status < lowest || status > highest) {
    problems.error(field, "status",
                   "expected a status code from " + std::to_string(lowest) + " to " + std::to_string(highest) +
                       ", found " + std::to_string(status));
  }
}

void check_balance(const config::v1::LoadBalancing& balance, Problems& problems) {
  const bool ring = balance.policy() == config::v1::BALANCE_RING_HASH;
  if (!config::v1::BalancePolicy_IsValid(balance.policy())) {
    problems.error("policy", "enum", "unknown balance policy");
  }
  if (ring && balance.hash_key().empty()) {
    problems.error("hash_key", "missing", "ring-hash needs a hash key such as \"$cookie_user\" or \"$uri\"");
  }
  if (!ring && !balance.hash_key().empty()) {
    problems.error("hash_key", "unused", "a hash key is used by ring-hash only");
  }
  check_text("hash_key", balance.hash_key(), TextScope::kRequest, -1, problems);
  check_duration("slow_start", balance.has_slow_start(), balance.slow_start(), true, problems);
}

void check_retry(const config::v1::RetryPolicy& retry, Problems& problems) {
  if (retry.has_attempts() && (retry.attempts() < 1 || retry.attempts() > 10)) {
    problems.error("attempts", "range", "expected 1 to 10 attempts, the first included");
  }
  bool by_status = false;
  for (int i = 0; i < retry.on_size(); ++i) {
    by_status = by_status || retry.on(i) == config::v1::RetryPolicy::STATUS;
    if (retry.on(i) == config::v1::RetryPolicy::ON_UNSPECIFIED || !config::v1::RetryPolicy::On_IsValid(retry.on(i))) {
      problems.error(indexed("on", i), "enum", "unknown reason to retry");
    }
  }
  if (by_status == retry.statuses().empty()) {
    problems.error("statuses", "missing", "status codes and the reason STATUS go together");
  }
  for (int i = 0; i < retry.statuses_size(); ++i)
    check_status(indexed("statuses", i), retry.statuses(i), 400, 599, problems);
  check_duration("timeout", retry.has_timeout(), retry.timeout(), false, problems);
  check_duration("backoff", retry.has_backoff(), retry.backoff(), true, problems);
  check_duration("per_try", retry.has_per_try(), retry.per_try(), false, problems);
}

void check_ip_port(std::string_view field, int index, std::string_view text, Problems& problems) {
  const auto address = SocketAddress::parse(text);
  if (!address.has_value() || !address->is_ip() || address->address().is_any() || address->port() == 0) {
    problems.error(indexed(field, index), "address",
                   quote_json(text) + " is no address with a port; expected for example \"192.0.2.53:53\"");
  }
}

}  // namespace headgate::check
