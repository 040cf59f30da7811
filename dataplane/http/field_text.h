// field_text.h -- templates filled in for a place where not every byte may stand: field values, Location, request targets.
// What a client sent can get into them by variables; nothing it sends may end a line, start a field or name another host.
// Results live in the exchange's arena.
// Spec: RFC 9110 5.5 (field values), 10.2.2 (Location), RFC 3986 2.   Thread: worker.
#pragma once

#include <string>
#include <string_view>

#include "dataplane/base/result.h"
#include "dataplane/http/header_map.h"
#include "dataplane/http/variables.h"

namespace headgate::http {

// A field that is made for each exchange.
struct FieldTemplate {
  std::string name;
  TextTemplate value;
};
// kInvalid: the name is no token, or a field of the framing (Content-Length, Transfer-Encoding, Connection, ...), which
// is not ours to set; or the value has an unknown variable or a control character. `why` gets a sentence for the user.
Result<FieldTemplate> parse_field_template(std::string_view name, std::string_view value, std::string* why = nullptr);
// May a configuration set or remove that field?
bool is_free_field(std::string_view name);

// Without control characters and outer spaces.
std::string_view expand_field(const TextTemplate& value, Exchange& exchange);

// A template for Location, with what it was parsed from.
struct LocationTemplate {
  TextTemplate value;
  bool may_name_host = false;  // it begins with "//" by itself
  static Result<LocationTemplate> parse(std::string_view text, std::string* why = nullptr);
};
// What may not stand in a URI as %XX. Never begins with "//" unless the template says so: "$uri" of a request for
// "//other.example" would lead there.
std::string_view expand_location(const LocationTemplate& location, Exchange& exchange);

// `path` and `query` with what may not stand there as %XX; what is encoded already stays.
std::string_view encode_target_path(std::string_view path, Arena& arena);
std::string_view encode_target_query(std::string_view query, Arena& arena);

}  // namespace headgate::http
