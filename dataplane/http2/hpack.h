// hpack.h -- the header compression of a connection, one coder for each direction, over nghttp2's.
//
// nghttp2's coders are used by themselves, without its sessions: a mistake in the tables or in Huffman would be silent, and
// theirs have met every peer there is.
// Spec: RFC 7541.   Thread: worker.   Owner: FrameWriter, Session.
#pragma once

#include <nghttp2/nghttp2.h>

#include <span>
#include <string_view>

namespace headgate::http2 {

class HeaderEncoder {
 public:
  HeaderEncoder();
  ~HeaderEncoder();
  HeaderEncoder(const HeaderEncoder&) = delete;
  HeaderEncoder& operator=(const HeaderEncoder&) = delete;

  // Names are in lower case. `room` bytes are at least what FieldArray::most_bytes() says. Returns what was written.
  size_t encode(const nghttp2_nv* fields, size_t count, char* into, size_t room);
  // SETTINGS_HEADER_TABLE_SIZE of the peer.
  void set_table_size(uint32_t most);

 private:
  nghttp2_hd_deflater* deflater_ = nullptr;
};

class HeaderDecoder {
 public:
  HeaderDecoder();
  ~HeaderDecoder();
  HeaderDecoder(const HeaderDecoder&) = delete;
  HeaderDecoder& operator=(const HeaderDecoder&) = delete;

  // `sink(name, value)` for each field that is complete; the texts are valid during the call. False from `sink` stops.
  enum class Outcome : uint8_t { kOk, kStopped, kMalformed };
  template <typename Sink>
  Outcome decode(std::string_view bytes, Sink&& sink) {
    while (!bytes.empty()) {
      nghttp2_nv field;
      int flags = 0;
      const ssize_t used = nghttp2_hd_inflate_hd2(
          inflater_, &field, &flags, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), 0);
      if (used < 0) return Outcome::kMalformed;
      bytes.remove_prefix(static_cast<size_t>(used));
      if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0) continue;
      if (!sink(text(field.name, field.namelen), text(field.value, field.valuelen))) return Outcome::kStopped;
    }
    return Outcome::kOk;
  }
  // The block is complete. False: it ends inside a field.
  bool finish();

 private:
  static std::string_view text(const uint8_t* data, size_t size) { return {reinterpret_cast<const char*>(data), size}; }

  nghttp2_hd_inflater* inflater_ = nullptr;
};

}  // namespace headgate::http2
