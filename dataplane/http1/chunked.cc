#include "dataplane/http1/chunked.h"

#include <algorithm>
#include <cstring>

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "dataplane/http/hop_by_hop.h"

namespace headgate::http1 {

namespace {
constexpr size_t kMaxDigits = 16;
constexpr uint64_t kMaxChunk = INT64_MAX;
constexpr size_t kFirstTrailerBytes = 512;
}  // namespace

bool ChunkedDecoder::fail(const char* detail) {
  error_ = {.code = Errc::kMalformed, .origin = origin_, .detail = detail};
  state_ = State::kFailed;
  return false;
}

bool ChunkedDecoder::count_extension() {
  ++extension_total_;
  if (++extension_ > kMaxExtension) return fail("chunk extensions are too long");
  if (extension_total_ > kFreeExtensions && extension_total_ > data_total_) {
    return fail("more chunk extensions than data");
  }
  return true;
}

// chunk-ext = *( ";" token [ "=" ( token / quoted-string ) ] ), without the optional white space of the grammar:
// nobody sends it, and who reads past it reads another length.
bool ChunkedDecoder::step_extension(char c) {
  if (c != '\r' && !count_extension()) return false;
  switch (state_) {
    case State::kExtensionName:
      if (is_token_char(c)) {
        name_empty_ = false;
        return true;
      }
      if (name_empty_) return fail("a chunk extension without a name");
      if (c == '=') {
        state_ = State::kExtensionValue;
        return true;
      }
      break;
    case State::kExtensionValue:
      if (c == '"') {
        state_ = State::kExtensionQuoted;
        return true;
      }
      if (!is_token_char(c)) return fail("a chunk extension without a value");
      state_ = State::kExtensionToken;
      return true;
    case State::kExtensionToken:
      if (is_token_char(c)) return true;
      break;
    case State::kExtensionQuoted:
      if (c == '"') {
        state_ = State::kExtensionAfterQuoted;
      } else if (c == '\\') {
        state_ = State::kExtensionEscaped;
      } else if (!is_field_value({&c, 1})) {
        return fail("a control character in a chunk extension");
      }
      return true;
    case State::kExtensionEscaped:
      if (!is_field_value({&c, 1})) return fail("a control character in a chunk extension");
      state_ = State::kExtensionQuoted;
      return true;
    default: break;
  }
  if (c == ';') {
    state_ = State::kExtensionName;
    name_empty_ = true;
    return true;
  }
  if (c == '\r') {
    state_ = State::kSizeFeed;
    return true;
  }
  return fail("a chunk extension is malformed");
}

// One byte that is not data.
bool ChunkedDecoder::step_line(char c) {
  switch (state_) {
    case State::kSize: {
      const int digit = hex_digit(c);
      if (digit >= 0) {
        if (++digits_ > kMaxDigits) return fail("a chunk size of more than 16 digits");
        left_ = (left_ << 4) | static_cast<uint64_t>(digit);
        return true;
      }
      if (digits_ == 0) return fail("a chunk without a size");
      if (left_ > kMaxChunk) return fail("a chunk size over 2^63-1");
      if (c == ';') {
        state_ = State::kExtensionName;
        name_empty_ = true;
        return count_extension();
      }
      if (c != '\r') return fail("a chunk size is not hexadecimal");
      state_ = State::kSizeFeed;
      return true;
    }
    case State::kSizeFeed:
      if (c != '\n') return fail("a chunk line does not end in CRLF");
      state_ = left_ == 0 ? State::kTrailer : State::kData;
      digits_ = 0;
      extension_ = 0;
      return true;
    case State::kDataReturn:
      if (c != '\r') return fail("chunk data is longer than its size");
      state_ = State::kDataFeed;
      return true;
    case State::kDataFeed:
      if (c != '\n') return fail("chunk data does not end in CRLF");
      state_ = State::kSize;
      return true;
    default: return step_extension(c);
  }
}

ChunkedDecoder::Step ChunkedDecoder::decode(std::string_view input, const http::HttpLimits& limits,
                                            http::HeaderMap& trailers) {
  size_t used = 0;
  while (used < input.size()) {
    if (state_ == State::kFailed) return {Step::Kind::kError, used, {}};
    if (state_ == State::kTrailer) return decode_trailer(input, used, limits, trailers);
    if (state_ == State::kData) {
      const auto size = static_cast<size_t>(std::min<uint64_t>(left_, input.size() - used));
      left_ -= size;
      data_total_ += size;
      if (left_ == 0) state_ = State::kDataReturn;
      return {Step::Kind::kData, used + size, input.substr(used, size)};
    }
    if (!step_line(input[used])) return {Step::Kind::kError, used, {}};
    ++used;
  }
  return {state_ == State::kFailed ? Step::Kind::kError : Step::Kind::kNeedMore, used, {}};
}

ChunkedDecoder::Step ChunkedDecoder::decode_trailer(std::string_view input, size_t used,
                                                    const http::HttpLimits& limits, http::HeaderMap& trailers) {
  // The usual end needs no copy.
  if (trailer_size_ == 0 && input.substr(used).starts_with("\r\n")) return {Step::Kind::kEnd, used + 2, {}};
  // Fields must lie in one piece, and `input` may go away: copy line by line, so that what follows stays outside.
  const FieldRules rules{.max_fields = limits.header_fields, .drop_underscore_names = true, .origin = origin_};
  while (used < input.size()) {
    const size_t feed = input.find('\n', used);
    const size_t end = feed == std::string_view::npos ? input.size() : feed + 1;
    const std::string_view piece = input.substr(used, end - used);
    if (trailer_size_ + piece.size() > limits.header_bytes) {
      error_ = {.code = Errc::kHeadTooLarge, .origin = origin_, .detail = "the trailer section is over its limit"};
      state_ = State::kFailed;
      return {Step::Kind::kError, used, {}};
    }
    if (trailer_size_ + piece.size() > trailer_capacity_) {
      trailer_capacity_ = std::max({kFirstTrailerBytes, trailer_capacity_ * 2, trailer_size_ + piece.size()});
      char* const bigger = trailers.arena().allocate_text(trailer_capacity_);
      if (trailer_size_ > 0) {
        std::memcpy(bigger, trailer_, trailer_size_);
        FieldLines::rebase(trailers, trailer_, trailer_size_, bigger);
      }
      trailer_ = bigger;
    }
    std::memcpy(trailer_ + trailer_size_, piece.data(), piece.size());
    trailer_size_ += piece.size();
    used = end;
    if (feed == std::string_view::npos) break;
    http::LengthFields dropped;  // a length in a trailer means nothing (RFC 9110 6.5.1)
    switch (lines_.parse({trailer_, trailer_size_}, rules, trailers, dropped)) {
      case Outcome::kNeedMore: break;
      case Outcome::kDone:
        trailers.remove_if([](const http::Field& field) { return http::is_forbidden_trailer(field.id, field.name); });
        return {Step::Kind::kEnd, used, {}};
      case Outcome::kError:
        error_ = lines_.error();
        state_ = State::kFailed;
        return {Step::Kind::kError, used, {}};
    }
  }
  return {Step::Kind::kNeedMore, used, {}};
}

}  // namespace headgate::http1
