// vary.h -- says in a response which request fields its choice depended on.
// Spec: RFC 9110 12.5.5.   Thread: worker.
#pragma once

#include <string_view>

#include "dataplane/base/text.h"
#include "dataplane/http/header_map.h"

namespace headgate::http {

// Adds `name` (static text) to Vary unless it is there, or "*" is.
inline void add_vary(HeaderMap& headers, std::string_view name) {
  if (headers.has(FieldId::kVary)) {
    for (const Field& field : headers.fields()) {
      if (field.id != FieldId::kVary) continue;
      if (list_contains(field.value, name) || list_contains(field.value, "*")) return;
    }
  }
  headers.add(FieldId::kVary, name);
}

}  // namespace headgate::http
