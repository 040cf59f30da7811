#include "dataplane/http/uri.h"

#include <cstring>

#include "dataplane/base/host_name.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace headgate::http {

namespace {

Error malformed(const char* detail) {
  return {.code = Errc::kMalformed, .origin = Origin::kDownstream, .detail = detail};
}

constexpr bool is_unreserved(char c) {
  return is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

// The first '?', '#' or '%', or '/' right before a '.', at or after `at`: all that the fast path of a target stops for.
size_t find_target_special(std::string_view text, size_t at) {
#ifdef __SSE2__
  const __m128i query = _mm_set1_epi8('?');
  const __m128i fragment = _mm_set1_epi8('#');
  const __m128i percent = _mm_set1_epi8('%');
  const __m128i slash = _mm_set1_epi8('/');
  const __m128i dot = _mm_set1_epi8('.');
  const auto mask_at = [&](const char* from) {
    const __m128i here = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    const __m128i next = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 1));
    const __m128i dotted = _mm_and_si128(_mm_cmpeq_epi8(here, slash), _mm_cmpeq_epi8(next, dot));
    const __m128i single = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(here, query), _mm_cmpeq_epi8(here, fragment)),
                                        _mm_cmpeq_epi8(here, percent));
    return static_cast<uint32_t>(_mm_movemask_epi8(_mm_or_si128(dotted, single)));
  };
  if (text.size() >= 17 && at < text.size()) {
    // `last` looks at all bytes but the final one, which is left to the loop below.
    const char* const last = text.data() + text.size() - 17;
    const char* from = text.data() + at;
    for (; from <= last; from += 16) {
      if (const uint32_t mask = mask_at(from); mask != 0) {
        return static_cast<size_t>(from - text.data()) + static_cast<size_t>(__builtin_ctz(mask));
      }
    }
    if (from - last < 16) {
      if (const uint32_t mask = mask_at(last) >> (from - last); mask != 0) {
        return static_cast<size_t>(from - text.data()) + static_cast<size_t>(__builtin_ctz(mask));
      }
    }
    at = text.size() - 1;
  }
#endif
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '?' || c == '#' || c == '%') return at;
    if (c == '/' && at + 1 < text.size() && text[at + 1] == '.') return at;
  }
  return text.size();
}

// Writes normalized segments behind each other.
class PathWriter {
 public:
  PathWriter(char* into, size_t offset) : begin_(into), at_(into + offset) {}

  // `segment` as sent, without slashes; a "/" was not yet written for it.
  Result<void> add(std::string_view segment, bool last) {
    if (segment == "." || segment == "..") {
      if (segment.size() == 2) {
        if (at_ == begin_) return malformed("the path leaves the root");
        do {
          --at_;
        } while (*at_ != '/');
      }
      if (last) *at_++ = '/';
      return {};
    }
    *at_++ = '/';
    char* const start = at_;
    bool decoded_dot = false;
    for (size_t i = 0; i < segment.size(); ++i) {
      if (segment[i] != '%') {
        *at_++ = segment[i];
        continue;
      }
      const int high = i + 2 < segment.size() ? hex_digit(segment[i + 1]) : -1;
      const int low = i + 2 < segment.size() ? hex_digit(segment[i + 2]) : -1;
      if (high < 0 || low < 0) return malformed("'%' without two hexadecimal digits in the path");
      const auto byte = static_cast<char>(high * 16 + low);
      if (byte == '\0') return malformed("%00 in the path");
      if (is_unreserved(byte)) {
        decoded_dot |= byte == '.';
        *at_++ = byte;
      } else {
        std::memcpy(at_, segment.data() + i, 3);
        at_ += 3;
      }
      i += 2;
    }
    const std::string_view written(start, static_cast<size_t>(at_ - start));
    if (decoded_dot && (written == "." || written == "..")) return malformed("an encoded dot segment in the path");
    if (written.starts_with("..;")) return malformed("a dot segment with parameters in the path");
    return {};
  }
  [[nodiscard]] std::string_view path() const { return {begin_, static_cast<size_t>(at_ - begin_)}; }

 private:
  char* begin_;
  char* at_;
};

// `clean` < path.size(): bytes at the front that hold nothing to normalize.
Result<std::string_view> normalize_slow(std::string_view path, size_t clean, Arena& arena) {
  // Nothing grows: segments are dropped or get shorter, and each is written with the slash it came with. The last
  // dot segment may leave one slash more than it read.
  char* const into = arena.allocate_text(path.size() + 1);
  size_t keep = clean;
  while (path[keep] != '/') --keep;  // ends at the front at the latest
  std::memcpy(into, path.data(), keep);
  PathWriter writer(into, keep);
  std::string_view rest = path.substr(keep + 1);
  for (;;) {
    const size_t slash = rest.find('/');
    const bool last = slash == std::string_view::npos;
    HG_TRY(writer.add(rest.substr(0, slash), last));
    if (last) return writer.path();
    rest.remove_prefix(slash + 1);
  }
}

// Cuts "http://host/path" into authority and the rest, which starts with '/', '?', or is empty.
Result<std::string_view> cut_absolute_form(std::string_view target, RequestHead& head) {
  const size_t colon = target.find("://");
  if (colon == std::string_view::npos) return malformed("the request target is neither a path nor a URI");
  const std::string_view scheme = target.substr(0, colon);
  if (!equals_ignore_case(scheme, "http") && !equals_ignore_case(scheme, "https")) {
    return malformed("the scheme of the request target is neither http nor https");
  }
  const std::string_view after = target.substr(colon + 3);
  const size_t end = after.find_first_of("/?#");
  head.authority = after.substr(0, end);
  if (head.authority.empty()) return malformed("an empty host in the request target");
  return end == std::string_view::npos ? std::string_view() : after.substr(end);
}

Result<void> parse_connect_target(std::string_view target, RequestHead& head) {
  // RFC 9112 3.2.3: host and port, both required.
  const auto host = host_of_authority(target);
  if (!host || port_of_authority(target) == 0) return malformed("CONNECT needs host:port");
  head.authority = target;
  head.target = target;
  head.path = {};
  return {};
}

#ifdef __SSE2__
// The host of an authority of the usual kind: up to 32 bytes of lower-case labels, perhaps a port. Empty: look closer.
std::string_view parse_plain_host(std::string_view authority) {
  if (authority.empty() || authority.size() > 32) return {};
  alignas(16) char text[32] = {};
  std::memcpy(text, authority.data(), authority.size());
  const auto mask_of = [&](auto&& test) {
    const auto low = static_cast<uint32_t>(_mm_movemask_epi8(test(_mm_load_si128(reinterpret_cast<__m128i*>(text)))));
    const auto high =
        static_cast<uint32_t>(_mm_movemask_epi8(test(_mm_load_si128(reinterpret_cast<__m128i*>(text + 16)))));
    return uint64_t{low} | (uint64_t{high} << 16);
  };
  const auto range = [](__m128i bytes, char from, char span) {
    const __m128i shifted = _mm_sub_epi8(bytes, _mm_set1_epi8(from));
    return _mm_cmpeq_epi8(_mm_min_epu8(shifted, _mm_set1_epi8(span)), shifted);
  };
  const uint64_t letters = mask_of([&](__m128i bytes) { return _mm_or_si128(range(bytes, 'a', 25), range(bytes, '0', 9)); });
  const uint64_t dots = mask_of([](__m128i bytes) { return _mm_cmpeq_epi8(bytes, _mm_set1_epi8('.')); });
  const uint64_t hyphens = mask_of([](__m128i bytes) { return _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-')); });
  const auto size = static_cast<size_t>(__builtin_ctzll(~(letters | dots | hyphens)));
  if (size == 0) return {};
  // Labels neither begin nor end with a hyphen, nor are they empty: next to a dot or an edge stands a letter or digit.
  const uint64_t inside = (uint64_t{1} << size) - 1;
  const uint64_t edges = ((dots << 1) | (dots >> 1) | 1 | (uint64_t{1} << (size - 1))) & inside;
  if ((edges & ~letters) != 0) return {};
  if (size == authority.size()) return authority;
  if (authority[size] != ':') return {};
  const auto port = parse_decimal<uint16_t>(authority.substr(size + 1));
  return port && *port != 0 ? authority.substr(0, size) : std::string_view();
}
#endif

}  // namespace

Result<std::string_view> normalize_path(std::string_view path, Arena& arena) {
  if (path.empty() || path.front() != '/') return malformed("the path does not start with '/'");
  const size_t special = find_target_special(path, 0);
  if (special == path.size()) return path;
  if (path.find_first_of("?#") != std::string_view::npos) return malformed("'?' or '#' in a path");
  return normalize_slow(path, special, arena);
}

Result<void> parse_target(std::string_view target, RequestHead& head) {
  if (target.empty()) return malformed("empty request target");
  if (head.method == Method::kConnect) return parse_connect_target(target, head);
  if (target.front() != '/') {
    if (target == "*") {
      if (head.method != Method::kOptions) return malformed("'*' is for OPTIONS only");
      head.target = target;
      head.path = target;
      return {};
    }
    const auto rest = cut_absolute_form(target, head);
    if (!rest) return rest.error();
    if (rest->empty()) {
      // RFC 9112 3.2.4: OPTIONS without a path means the server as a whole.
      head.target = head.path = head.method == Method::kOptions ? "*" : "/";
      return {};
    }
    target = rest->front() == '/' ? *rest : head.headers.arena().concat("/", *rest);
  }
  head.target = target;
  const size_t clean = find_target_special(target, 0);
  size_t end = clean;
  bool dirty = false;
  while (end < target.size() && target[end] != '?' && target[end] != '#') {
    dirty = true;
    end = find_target_special(target, end + 1);
  }
  if (end < target.size()) {
    if (target[end] == '#' || target.find('#', end) != std::string_view::npos) {
      return malformed("a fragment in the request target");
    }
    head.has_query = true;
    head.query = target.substr(end + 1);
  }
  head.path = target.substr(0, end);
  if (!dirty) return {};
  auto normal = normalize_slow(head.path, clean, head.headers.arena());
  if (!normal) return normal.error();
  // Equal bytes stay the view of the target, so that forwarding need not build it again.
  if (*normal != head.path) head.path = *normal;
  return {};
}

Result<std::string_view> parse_host(std::string_view authority, Arena& arena) {
#ifdef __SSE2__
  if (const std::string_view plain = parse_plain_host(authority); !plain.empty()) return plain;
#endif
  if (authority.size() > 255 + 6) return malformed("the host is too long");
  const auto found = host_of_authority(authority);
  if (!found) return malformed("the host is not valid");
  std::string_view host = *found;
  // Port 0 reaches nothing; an empty one is legal (RFC 3986 3.2.3).
  if (host.size() + 1 < authority.size() && port_of_authority(authority) == 0) return malformed("port 0");
  if (host.ends_with('.')) host.remove_suffix(1);
  size_t upper = 0;
  while (upper < host.size() && to_lower(host[upper]) == host[upper]) ++upper;
  if (upper == host.size()) return host;
  char* const into = arena.allocate_text(host.size());
  for (size_t i = 0; i < host.size(); ++i) into[i] = to_lower(host[i]);
  return std::string_view(into, host.size());
}

uint16_t port_of_authority(std::string_view authority) {
  const size_t bracket = authority.rfind(']');
  const size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket)) return 0;
  return parse_decimal<uint16_t>(authority.substr(colon + 1)).value_or(0);
}

std::string_view forward_target(const RequestHead& head, Arena& arena) {
  if (head.method == Method::kConnect || head.path.data() == head.target.data()) return head.target;
  return head.has_query ? arena.concat(head.path, "?", head.query) : head.path;
}

Result<std::string_view> decode_path(std::string_view path, Arena& arena) {
  if (path.find('%') == std::string_view::npos) return path;
  char* const into = arena.allocate_text(path.size());
  char* at = into;
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      *at++ = path[i];
      continue;
    }
    const int high = i + 2 < path.size() ? hex_digit(path[i + 1]) : -1;
    const int low = i + 2 < path.size() ? hex_digit(path[i + 2]) : -1;
    if (high < 0 || low < 0) return malformed("'%' without two hexadecimal digits in the path");
    const auto byte = static_cast<char>(high * 16 + low);
    if (byte == '\0' || byte == '/') return malformed("%00 or %2f in a file name");
    *at++ = byte;
    i += 2;
  }
  return std::string_view(into, static_cast<size_t>(at - into));
}

std::string_view encode_path(std::string_view text, std::string_view keep, Arena& arena) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  const auto stays = [keep](char c) { return is_unreserved(c) || keep.find(c) != std::string_view::npos; };
  size_t extra = 0;
  for (const char c : text) extra += stays(c) ? 0 : 2;
  if (extra == 0) return text;
  char* const into = arena.allocate_text(text.size() + extra);
  char* at = into;
  for (const char c : text) {
    if (stays(c)) {
      *at++ = c;
      continue;
    }
    const auto byte = static_cast<uint8_t>(c);
    *at++ = '%';
    *at++ = kHex[byte >> 4];
    *at++ = kHex[byte & 15];
  }
  return {into, static_cast<size_t>(at - into)};
}

}  // namespace headgate::http
