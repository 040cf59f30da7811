#include "tests/support/inflate.h"

#include <zlib.h>

namespace headgate::test {

std::string inflate_gzip(std::string_view data, Ending ending) {
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) return "(not gzip)";
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  std::string text;
  int result = Z_OK;
  while (result == Z_OK) {
    char out[32 * 1024];
    stream.next_out = reinterpret_cast<Bytef*>(out);
    stream.avail_out = sizeof(out);
    result = inflate(&stream, Z_NO_FLUSH);
    text.append(out, sizeof(out) - stream.avail_out);
    if (result == Z_OK && stream.avail_in == 0 && stream.avail_out != 0) break;
  }
  const bool complete = result == Z_STREAM_END && stream.avail_in == 0;
  const bool open = result == Z_OK || result == Z_BUF_ERROR;
  inflateEnd(&stream);
  return complete || (ending == Ending::kOpen && open) ? text : "(not gzip)";
}

}  // namespace headgate::test
