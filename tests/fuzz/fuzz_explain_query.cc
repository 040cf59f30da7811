// fuzz_explain_query.cc -- the query of GET /explain: what is read travels back unchanged, and what parse() takes from
// it can be sent as a request: a method and field names that are tokens, values without line ends, a target, a port.
// links: headgate_explain
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "dataplane/explain/question.h"

using namespace headgate;           // NOLINT
using namespace headgate::explain;  // NOLINT

namespace {
void require(bool condition) {
  if (!condition) std::abort();
}

bool is_visible(char c) { return c != ' ' && c != '\t'; }
bool is_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f && c != ':'; });
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // In memory of its exact size: reading past it is seen.
  const std::string text(reinterpret_cast<const char*>(data), size);
  auto question = from_query(text);
  if (!question) return 0;
  require(text.size() <= kMaxQueryBytes);
  // Encoding may take three bytes for one: a question near the limit need not fit again.
  const std::string query = to_query(*question);
  const auto again = from_query(query);
  require(again.has_value() == (query.size() <= kMaxQueryBytes));
  if (again) {
    require(again->url == question->url && again->method == question->method);
    require(again->client == question->client && again->headers == question->headers);
  }
  std::string problem;
  const auto parsed = parse(*question, problem);
  require(parsed.has_value() == problem.empty());
  if (!parsed) return 0;
  require(is_name(question->method) && question->port != 0 && question->target.front() == '/');
  require(question->fields.size() <= question->headers.size());
  for (const auto& [name, value] : question->fields) {
    require(is_name(name));
    require(value.find_first_of("\r\n") == std::string_view::npos && value.find('\0') == std::string_view::npos);
    require(value.empty() || (is_visible(value.front()) && is_visible(value.back())));
  }
  return 0;
}
