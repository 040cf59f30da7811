// field_array.h -- heads and trailers -> the names and values that HPACK encodes.
//
// Fields of the connection (RFC 9113 8.2.2) and framing are left out: whoever speaks HTTP/1 may have sent them. Names that
// we know are static and in lower case; of others a copy is folded, in the arena of the head, when it is needed.
// Thread: worker.   Owner: on the stack of the call that submits.
#pragma once

#include <nghttp2/nghttp2.h>

#include <array>
#include <string_view>
#include <vector>

#include "dataplane/http/message.h"

namespace headgate::http2 {

class FieldArray {
 public:
  struct ResponseOptions {
    std::string_view date;       // added unless the head has one; empty: none
    bool write_length = true;    // Content-Length when the head knows it
    bool tunnel = false;         // answers extended CONNECT: 200, without the fields of a WebSocket handshake
  };
  FieldArray(const http::ResponseHead& head, const ResponseOptions& options);
  // A head with a `protocol` is an extended CONNECT (RFC 8441 4).
  explicit FieldArray(const http::RequestHead& head);
  // The trailer section.
  explicit FieldArray(const http::Trailers& trailers);
  FieldArray(const FieldArray&) = delete;
  FieldArray& operator=(const FieldArray&) = delete;

  [[nodiscard]] const nghttp2_nv* data() const { return fields_; }
  [[nodiscard]] size_t size() const { return size_; }
  // The encoded block is not longer: two changes of the table's size, and for each field a byte, lengths and the texts.
  [[nodiscard]] size_t most_bytes() const { return 12 + 12 * size_ + text_bytes_; }

 private:
  static constexpr size_t kFew = 40;

  void start(size_t most);
  // `name` is in lower case.
  void add(std::string_view name, std::string_view value) {
    const auto bytes_of = [](std::string_view text) {
      return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));  // HPACK only reads
    };
    fields_[size_++] = {bytes_of(name), bytes_of(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
    text_bytes_ += name.size() + value.size();
  }
  // False: it is not one that may be sent.
  bool add_checked(const http::Field& field, Arena& arena);
  void add_own(const http::Field& field, Arena& arena);
  void add_length(uint64_t length);

  std::array<nghttp2_nv, kFew> few_;
  std::vector<nghttp2_nv> many_;  // instead, for heads larger than usual
  nghttp2_nv* fields_ = few_.data();
  size_t size_ = 0;
  size_t text_bytes_ = 0;
  std::array<char, 3> status_{};
  std::array<char, 20> length_{};
};

}  // namespace headgate::http2
