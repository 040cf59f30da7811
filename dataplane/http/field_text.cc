#include "dataplane/http/field_text.h"

#include <algorithm>

#include "dataplane/base/text.h"
#include "dataplane/http/exchange.h"
#include "dataplane/http/uri.h"

namespace headgate::http {
namespace {

// Besides unreserved characters; '%' because the texts are encoded already.
constexpr std::string_view kPathKeep = "%/:@!$&'()*+,;=";
constexpr std::string_view kQueryKeep = "%/:@!$&'()*+,;=?";
constexpr std::string_view kUriKeep = "%/:@!$&'()*+,;=?#[]";

bool is_control(char c) { return (static_cast<uint8_t>(c) < 0x20 && c != '\t') || c == 0x7f; }

Error invalid(std::string* why, std::string_view sentence, std::string_view text) {
  if (why != nullptr) *why = std::string(sentence) + ": " + quote_json(text);
  return {.code = Errc::kInvalid, .detail = "not a field that can be set"};
}

}  // namespace

bool is_free_field(std::string_view name) {
  for (const std::string_view framing : {"Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Upgrade",
                                         "Trailer", "TE", "Proxy-Connection", "HTTP2-Settings"}) {
    if (equals_ignore_case(name, framing)) return false;
  }
  return is_token(name);
}

Result<FieldTemplate> parse_field_template(std::string_view name, std::string_view value, std::string* why) {
  if (!is_token(name)) return invalid(why, "no name of a field", name);
  if (!is_free_field(name)) return invalid(why, "the field belongs to the framing and cannot be set", name);
  if (!is_field_value(value)) return invalid(why, "a field value has a control character", value);
  Result<TextTemplate> parsed = TextTemplate::parse(value, why);
  if (!parsed) return parsed.error();
  return FieldTemplate{.name = std::string(name), .value = *std::move(parsed)};
}

std::string_view expand_field(const TextTemplate& value, Exchange& exchange) {
  const std::string_view text = trim(value.expand(exchange));
  if (text.empty()) return {};
  Arena& arena = exchange.arena();
  if (is_field_value(text)) return arena.copy(text);
  char* into = arena.allocate_text(text.size());
  char* const end = std::remove_copy_if(text.begin(), text.end(), into, is_control);
  return {into, static_cast<size_t>(end - into)};
}

Result<LocationTemplate> LocationTemplate::parse(std::string_view text, std::string* why) {
  if (text.empty()) return invalid(why, "a location is missing", text);
  if (!is_field_value(text)) return invalid(why, "a location has a control character", text);
  Result<TextTemplate> parsed = TextTemplate::parse(text, why);
  if (!parsed) return parsed.error();
  const std::string_view fixed = text.substr(0, text.find('$'));
  return LocationTemplate{.value = *std::move(parsed), .may_name_host = fixed.starts_with("//")};
}

std::string_view expand_location(const LocationTemplate& location, Exchange& exchange) {
  std::string_view text = trim(location.value.expand(exchange));
  if (!location.may_name_host) {
    while (text.starts_with("//")) text.remove_prefix(1);
  }
  const std::string_view encoded = encode_path(text, kUriKeep, exchange.arena());
  // Unchanged text may be the template's own, or a view of the request: both may go before the head is sent.
  return encoded.data() == text.data() ? exchange.arena().copy(encoded) : encoded;
}

std::string_view encode_target_path(std::string_view path, Arena& arena) { return encode_path(path, kPathKeep, arena); }
std::string_view encode_target_query(std::string_view query, Arena& arena) {
  return encode_path(query, kQueryKeep, arena);
}

}  // namespace headgate::http
