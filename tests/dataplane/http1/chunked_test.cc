#include "dataplane/http1/chunked.h"

#include <gtest/gtest.h>

#include <string>

#include "dataplane/http/framing.h"
#include "tests/dataplane/http1/vectors.h"

namespace headgate::http1 {
namespace {

// "ok DATA", then " | rest=REST" and the trailers; or "400", "more DATA".
std::string decode(const std::string& bytes, const std::vector<size_t>& cuts, const http::HttpLimits& limits = {}) {
  Arena arena;
  http::HeaderMap trailers(arena);
  ChunkedDecoder decoder(Origin::kDownstream);
  std::string data;
  size_t begin = 0;
  for (const size_t cut : cuts) {
    std::string piece = bytes.substr(begin, cut - begin);  // of its own, and gone after the step
    std::string_view rest = piece;
    while (!rest.empty()) {
      const ChunkedDecoder::Step step = decoder.decode(rest, limits, trailers);
      rest.remove_prefix(step.used);
      using Kind = ChunkedDecoder::Step::Kind;
      if (step.kind == Kind::kError) {
        return decoder.error().code == Errc::kHeadTooLarge ? "431" : "400";
      }
      if (step.kind == Kind::kNeedMore) {
        EXPECT_TRUE(rest.empty());
      }
      if (step.kind == Kind::kData) {
        EXPECT_FALSE(step.data.empty());
        data += step.data;
      }
      if (step.kind == Kind::kEnd) {
        piece.assign(piece.size(), '!');
        std::string text = "ok " + data + " rest=" + bytes.substr(begin + (piece.size() - rest.size()));
        for (const http::Field& field : trailers.fields()) {
          text += " " + std::string(field.name) + "=" + std::string(field.value);
        }
        return text;
      }
    }
    piece.assign(piece.size(), '!');
    begin = cut;
  }
  return "more " + data;
}

TEST(ChunkedDecoder, Catalogue) {
  const auto vectors = read_vectors("chunked.txt");
  ASSERT_GE(vectors.size(), 50U);
  for (const Vector& vector : vectors) {
    SCOPED_TRACE(vector.name);
    const std::string whole = decode(vector.bytes, {vector.bytes.size()});
    EXPECT_EQ(whole.substr(0, vector.expected.size()), vector.expected) << whole;
    std::vector<size_t> each;
    for (size_t cut = 1; cut <= vector.bytes.size(); ++cut) {
      each.push_back(cut);
      EXPECT_EQ(decode(vector.bytes, {cut, vector.bytes.size()}), whole) << "split at " << cut;
    }
    EXPECT_EQ(decode(vector.bytes, each), whole);
  }
}

TEST(ChunkedDecoder, DataIsASliceOfTheInput) {
  Arena arena;
  http::HeaderMap trailers(arena);
  ChunkedDecoder decoder(Origin::kUpstream);
  const std::string input = "5\r\nhello\r\n0\r\n\r\n";
  const auto step = decoder.decode(input, {}, trailers);
  ASSERT_EQ(step.kind, ChunkedDecoder::Step::Kind::kData);
  EXPECT_EQ(step.data.data(), input.data() + 3);
  EXPECT_EQ(step.used, 8U);
}

TEST(ChunkedDecoder, TellsWhatIsLeftInTheChunk) {
  Arena arena;
  http::HeaderMap trailers(arena);
  ChunkedDecoder decoder(Origin::kUpstream);
  EXPECT_EQ(decoder.left_in_chunk(), 0U);
  (void)decoder.decode("10000\r\n", {}, trailers);
  EXPECT_EQ(decoder.left_in_chunk(), 0x10000U);
  (void)decoder.decode("abc", {}, trailers);
  EXPECT_EQ(decoder.left_in_chunk(), 0x10000U - 3);
}

TEST(ChunkedDecoder, ErrorsNameWhoSentThem) {
  Arena arena;
  http::HeaderMap trailers(arena);
  ChunkedDecoder decoder(Origin::kUpstream);
  EXPECT_EQ(decoder.decode("x", {}, trailers).kind, ChunkedDecoder::Step::Kind::kError);
  EXPECT_EQ(decoder.error().origin, Origin::kUpstream);
  decoder.reset();
  EXPECT_EQ(decoder.decode("1\r\nx\r\n0\r\n\r\n", {}, trailers).kind, ChunkedDecoder::Step::Kind::kData);
}

// Extensions of every chunk within the limit, but together more than the data: S6.
TEST(ChunkedDecoder, ExtensionFlood) {
  const std::string chunk = "1;" + std::string(250, 'e') + "\r\nx\r\n";
  std::string body;
  while (body.size() < 2 * ChunkedDecoder::kFreeExtensions) body += chunk;
  EXPECT_EQ(decode(body, {body.size()}), "400");
  const std::string fair = "200;" + std::string(250, 'e') + "\r\n" + std::string(0x200, 'x') + "\r\n";
  body.clear();
  while (body.size() < 8 * ChunkedDecoder::kFreeExtensions) body += fair;
  EXPECT_EQ(decode(body, {body.size()}).substr(0, 5), "more ");
}

TEST(ChunkedDecoder, TrailerLimits) {
  http::HttpLimits limits;
  limits.header_bytes = 1000;
  limits.header_fields = 3;
  const auto body = [](int fields, size_t value) {
    std::string text = "0\r\n";
    for (int i = 0; i < fields; ++i) text += "x-" + std::to_string(i) + ": " + std::string(value, 'v') + "\r\n";
    return text + "\r\n";
  };
  EXPECT_EQ(decode(body(3, 10), {body(3, 10).size()}, limits).substr(0, 3), "ok ");
  EXPECT_EQ(decode(body(4, 10), {body(4, 10).size()}, limits), "431");
  EXPECT_EQ(decode(body(1, 2000), {body(1, 2000).size()}, limits), "431");
  // Grows past its first block, cut in two places.
  const std::string grown = body(3, 300);
  EXPECT_EQ(decode(grown, {400, 700, grown.size()}, limits), decode(grown, {grown.size()}, limits));
}

}  // namespace
}  // namespace headgate::http1
