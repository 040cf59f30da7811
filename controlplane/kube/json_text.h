// json_text.h -- the content of JSON strings.
// Spec: RFC 8259 7.   Thread: any.
#pragma once

#include <string>
#include <string_view>

namespace headgate::kube {

// `raw` is what stands between the quotes. False: an escape that is none, half of a surrogate pair, a control
// character, or bytes that are no UTF-8; `out` has a part then.
bool append_unescaped(std::string_view raw, std::string& out);

bool is_utf8(std::string_view text);

}  // namespace headgate::kube
