// fuzz_grpc_web.cc -- gRPC-Web text: decoding in pieces gives what decoding at once gives, what was encoded in pieces
// decodes to what it was, and nothing writes beyond the room that was promised.
// links: headgate_filters
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "dataplane/filters/grpc_web_codec.h"

using namespace headgate;  // NOLINT
using filters::Base64Decoder;
using filters::FrameEncoder;

namespace {

// Empty: refused.
bool decode(std::string_view text, size_t piece, std::string& out) {
  Base64Decoder decoder;
  for (size_t at = 0; at < text.size(); at += piece) {
    const std::string_view part = text.substr(at, piece);
    std::vector<char> room(Base64Decoder::room(part.size()));
    size_t size = 0;
    if (!decoder.decode(part, room.data(), size)) return false;
    if (size > room.size()) std::abort();
    out.append(room.data(), size);
  }
  return decoder.whole();
}

std::string encode(std::string_view bytes, size_t piece) {
  FrameEncoder encoder;
  std::string out;
  const auto take = [&out](std::vector<char>& room, size_t size) {
    if (size > room.size()) std::abort();
    out.append(room.data(), size);
  };
  for (size_t at = 0; at < bytes.size(); at += piece) {
    const std::string_view part = bytes.substr(at, piece);
    std::vector<char> room(FrameEncoder::room(part.size()));
    take(room, encoder.encode(part, room.data()));
  }
  std::vector<char> room(FrameEncoder::room(0));
  take(room, encoder.finish(room.data()));
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const size_t piece = 1 + data[0] % 70;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string whole;
  std::string pieces;
  if (decode(input, input.size(), whole) != decode(input, piece, pieces)) std::abort();
  const std::string text = encode(input, piece);
  if (text != encode(input, input.size())) std::abort();
  std::string back;
  if (!decode(text, piece, back) || back != input) std::abort();
  return 0;
}
