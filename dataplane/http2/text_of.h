// text_of.h -- bytes as nghttp2 hands them out, as text; and text as the fields that it takes. For its sessions.
// Thread: any.   Owner: nobody; the text is valid as long as the bytes.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace headgate::http2 {

inline std::string_view text_of(const uint8_t* data, size_t size) { return {reinterpret_cast<const char*>(data), size}; }
// Not copied: both must live until nghttp2 has been given it.
inline nghttp2_nv field_of(std::string_view name, std::string_view value) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

}  // namespace headgate::http2
