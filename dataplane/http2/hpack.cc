#include "dataplane/http2/hpack.h"

#include <algorithm>

#include "dataplane/base/check.h"
#include "dataplane/http2/hpack_memory.h"

namespace headgate::http2 {

namespace {

// RFC 7541 4.2: what a peer may rely on. More for a peer that offers it would be memory without much gain.
constexpr size_t kTableSize = 4096;

}  // namespace

HeaderEncoder::HeaderEncoder() {
  HG_CHECK(nghttp2_hd_deflate_new2(&deflater_, kTableSize, hpack_memory()) == 0);
}

HeaderEncoder::~HeaderEncoder() { nghttp2_hd_deflate_del(deflater_); }

size_t HeaderEncoder::encode(const nghttp2_nv* fields, size_t count, char* into, size_t room) {
  const ssize_t size = nghttp2_hd_deflate_hd(deflater_, reinterpret_cast<uint8_t*>(into), room, fields, count);
  HG_CHECK(size >= 0);
  return static_cast<size_t>(size);
}

void HeaderEncoder::set_table_size(uint32_t most) {
  HG_CHECK(nghttp2_hd_deflate_change_table_size(deflater_, std::min<size_t>(most, kTableSize)) == 0);
}

HeaderDecoder::HeaderDecoder() { HG_CHECK(nghttp2_hd_inflate_new2(&inflater_, hpack_memory()) == 0); }

HeaderDecoder::~HeaderDecoder() { nghttp2_hd_inflate_del(inflater_); }

bool HeaderDecoder::finish() {
  nghttp2_nv field;
  int flags = 0;
  if (nghttp2_hd_inflate_hd2(inflater_, &field, &flags, nullptr, 0, 1) < 0) return false;
  return nghttp2_hd_inflate_end_headers(inflater_) == 0;
}

}  // namespace headgate::http2
