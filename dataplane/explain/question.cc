#include "dataplane/explain/question.h"

#include <algorithm>
#include <optional>

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"

namespace headgate::explain {

namespace {

constexpr size_t kMaxFields = 100;

Error invalid() { return {.code = Errc::kInvalid, .detail = "not a question"}; }

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void append_encoded(std::string& into, std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : text) {
    if (is_unreserved(c)) {
      into += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      into += '%';
      into += kHex[byte >> 4];
      into += kHex[byte & 15];
    }
  }
}

std::optional<std::string> decode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = hex_value(text[i + 1]);
    const int low = hex_value(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return decoded;
}

bool is_token(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (!is_unreserved(c) && std::string_view("!#$%&'*+^`|~").find(c) == std::string_view::npos) return false;
  }
  return true;
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f; });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The port of "host:port", "[::1]:port"; 0: none named; nullopt: not a port.
std::optional<uint16_t> port_in(std::string_view authority) {
  const size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos || authority.find(']', colon) != std::string_view::npos) return uint16_t{0};
  const auto port = parse_decimal<uint16_t>(authority.substr(colon + 1));
  return port && *port != 0 ? port : std::nullopt;
}

}  // namespace

Result<void> parse(Question& question, std::string& problem) {
  const auto fail = [&](std::string why) -> Result<void> {
    problem = std::move(why);
    return invalid();
  };
  std::string_view rest = question.url;
  question.tls = rest.starts_with("https://");
  if (!question.tls && !rest.starts_with("http://")) return fail("expected http://HOST/PATH or https://HOST/PATH");
  rest.remove_prefix(question.tls ? 8 : 7);
  const size_t end = std::min(rest.find_first_of("/?"), rest.size());
  question.authority = rest.substr(0, end);
  rest.remove_prefix(end);
  question.target = rest.starts_with('/') ? std::string(rest) : "/" + std::string(rest);
  if (question.authority.empty()) return fail("the URL names no host");
  const auto port = port_in(question.authority);
  if (!port) return fail("the URL names a port that is none");
  question.port = *port != 0 ? *port : question.tls ? 443 : 80;
  if (!is_token(question.method)) return fail("'" + question.method + "' is no method");
  const auto address = IpAddress::parse(question.client);
  if (!address) return fail("'" + question.client + "' is no address of a client");
  question.address = *address;
  question.fields.clear();
  if (question.headers.size() > kMaxFields) return fail("more than 100 header fields");
  for (const std::string& line : question.headers) {
    const size_t colon = line.find(':');
    const std::string_view name = std::string_view(line).substr(0, colon);
    if (colon == std::string::npos || !is_token(name)) return fail("'" + line + "': expected NAME: VALUE");
    const std::string_view value = trimmed(std::string_view(line).substr(colon + 1));
    if (has_control(value)) return fail("the value of '" + std::string(name) + "' holds control characters");
    if (equals_ignore_case(name, "host")) {
      question.authority = value;
    } else {
      question.fields.emplace_back(name, value);
    }
  }
  return {};
}

std::string to_query(const Question& question) {
  std::string query = "url=";
  append_encoded(query, question.url);
  append_encoded(query += "&method=", question.method);
  append_encoded(query += "&client=", question.client);
  for (const std::string& header : question.headers) append_encoded(query += "&header=", header);
  return query;
}

Result<Question> from_query(std::string_view query) {
  if (query.size() > kMaxQueryBytes) return invalid();
  Question question;
  while (!query.empty()) {
    const std::string_view part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(part.size() + 1, query.size()));
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos) return invalid();
    auto value = decode(part.substr(equals + 1));
    if (!value) return invalid();
    const std::string_view name = part.substr(0, equals);
    if (name == "url") {
      question.url = std::move(*value);
    } else if (name == "method") {
      question.method = std::move(*value);
    } else if (name == "client") {
      question.client = std::move(*value);
    } else if (name == "header") {
      question.headers.push_back(std::move(*value));
    } else {
      return invalid();
    }
  }
  return question;
}

}  // namespace headgate::explain
