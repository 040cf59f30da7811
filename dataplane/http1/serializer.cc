#include "dataplane/http1/serializer.h"

#include <cstring>

#include "dataplane/base/check.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "dataplane/http/field_bits.h"
#include "dataplane/http/hop_by_hop.h"
#include "dataplane/http/status.h"
#include "dataplane/http1/scan.h"

namespace headgate::http1 {

using http::BodyFraming;
using http::Field;
using http::FieldId;

namespace {

constexpr size_t kFramingRoom = 160;  // Date, Content-Length, Connection, the names of Upgrade and Host, line ends

constexpr uint64_t kFramingFields =
    bit(FieldId::kContentLength) | bit(FieldId::kTransferEncoding) | bit(FieldId::kConnection);

template <typename Word>
void copy_word(char* into, const char* from) {
  std::memcpy(into, from, sizeof(Word));
}

// memcpy for the short texts of heads: overlapping words instead of a call.
[[gnu::always_inline]] inline char* append(char* into, std::string_view text) {
  const char* const from = text.data();
  const size_t size = text.size();
  char* const end = into + size;
  if (size >= 16) {
    if (size > 64) {
      std::memcpy(into, from, size);
      return end;
    }
    for (size_t at = 0; at + 16 < size; at += 16) std::memcpy(into + at, from + at, 16);
    std::memcpy(end - 16, from + size - 16, 16);
  } else if (size >= 8) {
    copy_word<uint64_t>(into, from);
    copy_word<uint64_t>(end - 8, from + size - 8);
  } else if (size >= 4) {
    copy_word<uint32_t>(into, from);
    copy_word<uint32_t>(end - 4, from + size - 4);
  } else if (size > 0) {
    into[0] = from[0];
    into[size / 2] = from[size / 2];
    end[-1] = from[size - 1];
  }
  return end;
}

bool is_clean(std::string_view value) {
  const char* const end = value.data() + value.size();
  return find_control(value.data(), end, value.data()) == end;
}

// As append(), and says whether the text holds a control byte, while it is in a register anyway. A tab counts as one: it
// is rare, and the caller looks again. `into` has 16 bytes of the head before it.
[[gnu::always_inline]] inline bool append_watched(char*& into, std::string_view text) {
#ifdef __SSE2__
  using namespace scan_sse2;
  char* const start = into;
  const char* const from = text.data();
  const size_t size = text.size();
  into += size;
  if (size < 16) {
    append(start, text);
    return (control_mask(into - 16) >> (16 - size)) != 0;
  }
  const __m128i last = load(from + size - 16);
  __m128i seen = controls(last);
  for (size_t at = 0; at + 16 < size; at += 16) {
    const __m128i bytes = load(from + at);
    seen = _mm_or_si128(seen, controls(bytes));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(start + at), bytes);
  }
  _mm_storeu_si128(reinterpret_cast<__m128i*>(into - 16), last);
  return _mm_movemask_epi8(seen) != 0;
#else
  into = append(into, text);
  return true;
#endif
}

bool is_clean_name(std::string_view name) {
  const char* const end = name.data() + name.size();
  return !name.empty() && (find_name_end(name.data(), end, name.data()) == end || is_token(name));
}

// RFC 9110 5.5; P7: a value that would start a line of its own never leaves. Looked at while it is copied; the start
// line of the head lies before it.
[[gnu::always_inline]] inline char* append_field(char* into, FieldId id, std::string_view name, std::string_view value) {
  char* at = append(into, name);
  *at++ = ':';
  *at++ = ' ';
  const bool suspicious = append_watched(at, value);
  // A name that we know is a token.
  if ((suspicious && !is_clean(value)) || (id == FieldId::kOther && !is_clean_name(name))) [[unlikely]] {
    HG_BUG("a field with a control character in it was about to be sent");
    return into;
  }
  *at++ = '\r';
  *at++ = '\n';
  return at;
}

char* append_fields(char* into, const http::HeaderMap& fields) {
  const bool has_framing = fields.has_any(kFramingFields);
  for (const Field& field : fields.fields()) {
    if (has_framing && (kFramingFields & bit(field.id)) != 0) continue;
    into = append_field(into, field.id, field.name, field.value);
  }
  return into;
}

char* append_content_length(char* into, uint64_t length) {
  into = append(into, "Content-Length: ");
  into = write_decimal(into, length);
  return append(into, "\r\n");
}

char* append_framing(char* into, const HeadOptions& options) {
  switch (options.framing.kind) {
    case BodyFraming::Kind::kChunked: into = append(into, "Transfer-Encoding: chunked\r\n"); break;
    case BodyFraming::Kind::kLength: into = append_content_length(into, options.framing.length); break;
    case BodyFraming::Kind::kNone:
      if (options.described_length) {
        into = append_content_length(into, *options.described_length);
      } else if (options.zero_length) {
        into = append(into, "Content-Length: 0\r\n");
      }
      break;
    case BodyFraming::Kind::kUntilClose: break;
  }
  switch (options.connection) {
    case ConnectionField::kNone: break;
    case ConnectionField::kClose: into = append(into, "Connection: close\r\n"); break;
    case ConnectionField::kKeepAlive: into = append(into, "Connection: keep-alive\r\n"); break;
    case ConnectionField::kUpgrade:
      into = append(into, "Connection: upgrade\r\n");
      if (!options.upgrade.empty()) into = append_field(into, FieldId::kUpgrade, "Upgrade", options.upgrade);
      break;
  }
  return append(into, "\r\n");
}

size_t fields_room(const http::HeaderMap& fields) {
  size_t room = 0;
  for (const Field& field : fields.fields()) room += field.name.size() + field.value.size() + 4;
  return room;
}

// A start-line part that must not break out of its line. The parsers never give such; rewriting filters might.
bool is_clean_target(std::string_view target) {
  const char* const end = target.data() + target.size();
  return !target.empty() && find_target_end(target.data(), end, target.data()) == end;
}

}  // namespace

size_t request_head_room(const http::RequestHead& head, const http::HeaderMap& fields, std::string_view target,
                         const HeadOptions& options) {
  return head.method_text.size() + target.size() + head.authority.size() + options.upgrade.size() +
         fields_room(fields) + kFramingRoom;
}

size_t response_head_room(const http::ResponseHead& head, const HeadOptions& options) {
  return head.reason.size() + options.date.size() + options.upgrade.size() + fields_room(head.headers) + kFramingRoom;
}

char* write_request_head(char* into, const http::RequestHead& head, const http::HeaderMap& fields,
                         std::string_view target, const HeadOptions& options) {
  if (!is_clean_target(target)) [[unlikely]] {
    HG_BUG("a request target with a space or control character in it was about to be sent");
    target = "/";
  }
  into = append(into, head.method_text);
  *into++ = ' ';
  into = append(into, target);
  into = append(into, " HTTP/1.1\r\n");
  // RFC 9110 7.2: Host first, where there is a choice.
  if (!fields.has(FieldId::kHost)) into = append_field(into, FieldId::kHost, "Host", head.authority);
  into = append_fields(into, fields);
  return append_framing(into, options);
}

char* write_response_head(char* into, const http::ResponseHead& head, const HeadOptions& options) {
  into = append(into, "HTTP/1.1 ");
  const uint32_t status = head.status >= 100 && head.status <= 999 ? head.status : 500;
  *into++ = static_cast<char>('0' + status / 100);
  *into++ = static_cast<char>('0' + status / 10 % 10);
  *into++ = static_cast<char>('0' + status % 10);
  *into++ = ' ';
  const bool own_reason = !head.reason.empty() && is_clean(head.reason);
  into = append(into, own_reason ? head.reason : http::reason_phrase(static_cast<uint16_t>(status)));
  into = append(into, "\r\n");
  if (!options.date.empty() && !head.headers.has(FieldId::kDate)) {
    into = append_field(into, FieldId::kDate, "Date", options.date);
  }
  into = append_fields(into, head.headers);
  return append_framing(into, options);
}

char* write_chunk_header(char* into, uint64_t size, bool first) {
  if (!first) into = append(into, "\r\n");
  into = write_hex(into, size);
  return append(into, "\r\n");
}

size_t last_chunk_room(const http::Trailers* trailers) {
  return 8 + (trailers == nullptr ? 0 : fields_room(*trailers));
}

char* write_last_chunk(char* into, bool first, const http::Trailers* trailers) {
  into = append(into, first ? "0\r\n" : "\r\n0\r\n");
  if (trailers != nullptr) {
    for (const Field& field : trailers->fields()) {
      if (http::is_forbidden_trailer(field.id, field.name)) continue;
      // The first one has no 16 bytes before it: judged beforehand.
      if ((field.id == FieldId::kOther && !is_clean_name(field.name)) || !is_clean(field.value)) [[unlikely]] {
        HG_BUG("a trailer with a control character in it was about to be sent");
        continue;
      }
      into = append(append(into, field.name), ": ");
      into = append(append(into, field.value), "\r\n");
    }
  }
  return append(into, "\r\n");
}

}  // namespace headgate::http1
