// content_type.h -- media types by file extension, and what is worth compressing.
// Spec: IANA media types; RFC 9110 8.3.   Thread: any (static tables).
#pragma once

#include <string_view>

namespace headgate::http {

// "text/html; charset=utf-8" for "/a/b.HTML"; "application/octet-stream" for an unknown or missing extension. Text
// types carry a charset: without one browsers guess. Static text.
std::string_view content_type_of(std::string_view path);

// The same by extension alone ("html", any case); empty when unknown.
std::string_view content_type_of_extension(std::string_view extension);

// Is a body of this type usually made much smaller by compression? Parameters are ignored.
bool is_compressible(std::string_view content_type);

}  // namespace headgate::http
