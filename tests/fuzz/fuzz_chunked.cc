// fuzz_chunked.cc -- chunked bodies: the same data and outcome however the bytes are cut; re-encoded, they decode equal.
// links: headgate_http1
#include <cstdint>
#include <cstdlib>
#include <string>

#include "dataplane/http1/chunked.h"
#include "dataplane/http1/serializer.h"

using namespace headgate;         // NOLINT
using namespace headgate::http1;  // NOLINT

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

using Kind = ChunkedDecoder::Step::Kind;

struct Decoded {
  Arena arena;
  http::HeaderMap trailers{arena};
  ChunkedDecoder decoder{Origin::kDownstream};
  std::string data;
  size_t used = 0;
  Kind kind = Kind::kNeedMore;

  void feed(std::string_view piece) {
    while (!piece.empty() && (kind == Kind::kNeedMore || kind == Kind::kData)) {
      const ChunkedDecoder::Step step =
          decoder.decode(piece, {.header_bytes = 512, .header_fields = 8}, trailers);
      kind = step.kind;
      require(step.used <= piece.size());
      require(kind != Kind::kNeedMore || step.used == piece.size());
      data += step.data;
      used += step.used;
      piece.remove_prefix(step.used);
    }
    if (kind == Kind::kData) kind = Kind::kNeedMore;
  }
};

void require_equal(const Decoded& a, const Decoded& b) {
  require(a.kind == b.kind);
  if (a.kind == Kind::kError) return;
  require(a.data == b.data && a.used == b.used);
  if (a.kind != Kind::kEnd) return;
  require(a.trailers.size() == b.trailers.size());
  for (size_t i = 0; i < a.trailers.size(); ++i) {
    require(a.trailers.fields()[i].name == b.trailers.fields()[i].name);
    require(a.trailers.fields()[i].value == b.trailers.fields()[i].value);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  Decoded whole;
  whole.feed(bytes);
  const size_t cut = size == 0 ? 0 : data[size / 2] % size;
  Decoded halves;
  halves.feed(std::string_view(bytes).substr(0, cut));
  halves.feed(std::string_view(bytes).substr(cut));
  require_equal(whole, halves);
  Decoded bytewise;
  for (const char c : bytes) {
    const char moving = c;
    bytewise.feed({&moving, 1});
  }
  require_equal(whole, bytewise);
  if (whole.kind != Kind::kEnd) return 0;

  std::string again;
  if (!whole.data.empty()) {
    char room[kChunkHeaderRoom];
    again.append(room, write_chunk_header(room, whole.data.size(), true));
    again += whole.data;
  }
  std::string last(last_chunk_room(&whole.trailers), '\0');
  last.resize(static_cast<size_t>(write_last_chunk(last.data(), whole.data.empty(), &whole.trailers) - last.data()));
  again += last;
  Decoded second;
  second.feed(again);
  require(second.kind == Kind::kEnd && second.data == whole.data && second.used == again.size());
  require(second.trailers.size() == whole.trailers.size());
  return 0;
}
