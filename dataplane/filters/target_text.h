// target_text.h -- a request target made from a template: path and query encoded each in its own way.
// Thread: worker.
#pragma once

#include "dataplane/http/exchange.h"
#include "dataplane/http/field_text.h"

namespace headgate::filters {

// In the arena of the exchange, the template, or the request head. Always begins with "/".
inline std::string_view expand_target(const http::TextTemplate& text, http::Exchange& exchange) {
  Arena& arena = exchange.arena();
  const std::string_view target = text.expand(exchange);
  const size_t mark = target.find('?');
  const std::string_view path = http::encode_target_path(target.substr(0, mark), arena);
  const std::string_view slash = path.starts_with('/') ? "" : "/";
  if (mark == std::string_view::npos) return arena.concat(slash, path);
  return arena.concat(slash, path, "?", http::encode_target_query(target.substr(mark + 1), arena));
}

}  // namespace headgate::filters
