// text_of.h -- bytes as nghttp2 hands them out, as text.
// Thread: any.   Owner: nobody; the text is valid as long as the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace headgate::http2 {

inline std::string_view text_of(const uint8_t* data, size_t size) { return {reinterpret_cast<const char*>(data), size}; }

}  // namespace headgate::http2
