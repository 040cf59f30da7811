#include "dataplane/http1/field_lines.h"

#include <cstring>

#include "dataplane/base/text.h"
#include "dataplane/http1/scan.h"

namespace headgate::http1 {

namespace {

const char* find_line_feed(const char* at, const char* end) {
  return at == end ? nullptr : static_cast<const char*>(std::memchr(at, '\n', static_cast<size_t>(end - at)));
}

// Is a name that we do not know a token? Sets `underscore` when one is in it. `floor` as in scan.h.
bool is_name(std::string_view name, const char* floor, bool& underscore) {
  const char* const end = name.data() + name.size();
  const char* at = find_name_end(name.data(), end, floor);
  while (at != end && is_token_char(*at)) underscore |= *at++ == '_';
  return at == end && !name.empty();
}

// What is wrong with a complete line that did not parse: worth telling apart in the log.
const char* describe_bad_line(std::string_view line) {
  if (line.empty() || line.back() != '\r') return "a line ends without CR";
  line.remove_suffix(1);
  if (line.empty()) return "a stray CR";
  if (is_space(line.front())) return "a folded field line, or a space before the first field";
  size_t name = 0;
  while (name < line.size() && is_token_char(line[name])) ++name;
  if (name == line.size()) return "a field line without a colon";
  if (line[name] == ':') return name == 0 ? "an empty field name" : "a control character in a field value";
  if (is_space(line[name])) return "a space in or after a field name";
  return "a field name is not a token";
}

}  // namespace

Outcome FieldLines::fail(Errc code, Origin origin, const char* detail) {
  error_ = {.code = code, .origin = origin, .detail = detail};
  return Outcome::kError;
}

// Reading stopped inside a line: more bytes are needed if its LF is missing; else the line is bad.
Outcome FieldLines::judge_stop(const char* begin, const char* line, const char* end, const FieldRules& rules) {
  const char* const feed = find_line_feed(line, end);
  line_ = static_cast<size_t>(line - begin);
  scanned_ = static_cast<size_t>(end - begin);
  if (feed == nullptr) return Outcome::kNeedMore;
  return fail(Errc::kMalformed, rules.origin, describe_bad_line({line, static_cast<size_t>(feed - line)}));
}

Outcome FieldLines::parse(std::string_view bytes, const FieldRules& rules, http::HeaderMap& into,
                          http::LengthFields& lengths) {
  const char* const begin = bytes.data();
  const char* const end = begin + bytes.size();
  const char* line = begin + line_;
  if (scanned_ > line_ && find_line_feed(begin + scanned_, end) == nullptr) {
    scanned_ = bytes.size();
    return Outcome::kNeedMore;
  }
  for (;;) {
    if (end - line >= 2 && line[0] == '\r' && line[1] == '\n') {
      line_ = static_cast<size_t>(line + 2 - begin);
      return Outcome::kDone;
    }
    const char* const name_end = find_colon(line, end, begin);
    if (name_end == end) return judge_stop(begin, line, end, rules);
    const std::string_view name(line, static_cast<size_t>(name_end - line));
    const http::FieldId id = http::field_id(name);
    bool underscore = false;
    // Only the characters of other names need a look: where the colon belongs to a later line, an end of line is one.
    if (id == http::FieldId::kOther && !is_name(name, begin, underscore)) return judge_stop(begin, line, end, rules);
    const char* value = name_end + 1;
    if (value != end && *value == ' ') ++value;  // as nearly everybody writes it
    while (value != end && is_space(*value)) ++value;
    const char* const stop = find_control(value, end, begin);
    if (end - stop < 2 || stop[0] != '\r' || stop[1] != '\n') return judge_stop(begin, line, end, rules);
    const char* value_end = stop;
    while (value_end != value && is_space(value_end[-1])) --value_end;

    if (++count_ > rules.max_fields) return fail(Errc::kHeadTooLarge, rules.origin, "too many fields");
    const std::string_view text(value, static_cast<size_t>(value_end - value));
    line = stop + 2;
    if (id == http::FieldId::kContentLength) {
      lengths.add_content_length(text);
    } else if (id == http::FieldId::kTransferEncoding) {
      lengths.add_transfer_encoding(text);
    } else if (!underscore || !rules.drop_underscore_names) {
      // A dropped "Content_Length" must not become a header of a CGI-like server behind us.
      into.add(id, name, text);
    }
  }
}

void FieldLines::rebase(http::HeaderMap& fields, const char* from, size_t size, const char* to) {
  const auto old_begin = reinterpret_cast<uintptr_t>(from);
  const auto move = [&](std::string_view& text) {
    const auto at = reinterpret_cast<uintptr_t>(text.data());
    if (at >= old_begin && at - old_begin <= size) text = {to + (at - old_begin), text.size()};
  };
  for (http::Field& field : fields.fields()) {
    move(field.name);
    move(field.value);
  }
}

}  // namespace headgate::http1
