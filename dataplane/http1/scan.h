// scan.h -- find the end of a name, a value or a target, 16 or 32 bytes at a time where the machine has the registers.
// None of these reads outside [floor, end); bytes before `at`, when there are enough, spare the slow loop at the end.   Thread: any (pure).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/base/text.h"

#ifdef __AVX2__
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace headgate::http1 {

namespace scan_tables {
enum : uint8_t { kCommonName = 1, kTargetChar = 2, kControl = 4, kMethodChar = 8, kColon = 16 };
constexpr std::array<uint8_t, 256> make_classes() {
  std::array<uint8_t, 256> table{};
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    uint8_t classes = 0;
    if (is_alpha(c) || is_digit(c) || c == '-') classes |= kCommonName;
    if (byte > 0x20 && byte < 0x7f) classes |= kTargetChar;
    if (byte < 0x20 || byte == 0x7f) classes |= kControl;
    // Methods are case-sensitive, and every registered one is upper case: "get" is a client that got it wrong.
    if (is_token_char(c) && !(c >= 'a' && c <= 'z')) classes |= kMethodChar;
    if (c == ':') classes |= kColon;
    table[static_cast<size_t>(byte)] = classes;
  }
  return table;
}
inline constexpr auto kClasses = make_classes();
}  // namespace scan_tables

inline bool has_class(char c, uint8_t classes) {
  return (scan_tables::kClasses[static_cast<uint8_t>(c)] & classes) != 0;
}

#ifdef __SSE2__
namespace scan_sse2 {
inline __m128i load(const char* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }
// Bytes from `low` to `low + span`, unsigned.
inline __m128i in_range(__m128i bytes, char low, char span) {
  const __m128i shifted = _mm_sub_epi8(bytes, _mm_set1_epi8(low));
  return _mm_cmpeq_epi8(_mm_min_epu8(shifted, _mm_set1_epi8(span)), shifted);
}
inline __m128i controls(__m128i bytes) {
  const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
  return _mm_or_si128(low, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f)));
}
inline uint32_t control_mask(const char* at) { return static_cast<uint32_t>(_mm_movemask_epi8(controls(load(at)))); }
inline uint32_t name_stop_mask(const char* at) {
  const __m128i bytes = load(at);
  const __m128i alpha = in_range(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), 'a', 25);
  const __m128i digit = in_range(bytes, '0', 9);
  const __m128i hyphen = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-'));
  return static_cast<uint32_t>(_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(alpha, digit), hyphen))) ^ 0xffffU;
}
inline uint32_t colon_mask(const char* at) {
  return static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(load(at), _mm_set1_epi8(':'))));
}
inline uint32_t target_stop_mask(const char* at) {
  return static_cast<uint32_t>(_mm_movemask_epi8(in_range(load(at), 0x21, 0x7e - 0x21))) ^ 0xffffU;
}
// Whole registers, then one that overlaps what was looked at already.
template <uint32_t (*mask_at)(const char*)>
inline const char* find(const char* at, const char* end, const char* floor, uint8_t stop_classes, bool stop_if) {
  if (end - floor >= 16) [[likely]] {
    const char* const last = end - 16;
    for (; at <= last; at += 16) {
      if (const uint32_t mask = mask_at(at); mask != 0) return at + __builtin_ctz(mask);
    }
    if (at == end) return end;
    const uint32_t mask = mask_at(last) >> (at - last);
    return mask != 0 ? at + __builtin_ctz(mask) : end;
  }
  while (at != end && has_class(*at, stop_classes) != stop_if) ++at;
  return at;
}
}  // namespace scan_sse2
#endif

// The first control byte, tab included, or DEL: where a field value ends, unless it is a tab.
inline const char* find_control_or_tab(const char* at, const char* end, const char* floor) {
#ifdef __AVX2__
  for (; end - at >= 32; at += 32) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    const __m256i low = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1f)), bytes);
    const __m256i del = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(0x7f));
    const auto mask = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_or_si256(low, del)));
    if (mask != 0) return at + __builtin_ctz(mask);
  }
#endif
#ifdef __SSE2__
  return scan_sse2::find<scan_sse2::control_mask>(at, end, floor, scan_tables::kControl, true);
#else
  static_cast<void>(floor);
  while (at != end && !has_class(*at, scan_tables::kControl)) ++at;
  return at;
#endif
}

// The first control byte but tab, or DEL.
inline const char* find_control(const char* at, const char* end, const char* floor) {
  at = find_control_or_tab(at, end, floor);
  while (at != end && *at == '\t') [[unlikely]] at = find_control_or_tab(at + 1, end, floor);
  return at;
}

inline const char* find_colon(const char* at, const char* end, const char* floor) {
#ifdef __SSE2__
  return scan_sse2::find<scan_sse2::colon_mask>(at, end, floor, scan_tables::kColon, true);
#else
  static_cast<void>(floor);
  while (at != end && !has_class(*at, scan_tables::kColon)) ++at;
  return at;
#endif
}

// The first byte that is no letter, digit or hyphen: the end of nearly every name.
inline const char* find_name_end(const char* at, const char* end, const char* floor) {
#ifdef __SSE2__
  return scan_sse2::find<scan_sse2::name_stop_mask>(at, end, floor, scan_tables::kCommonName, false);
#else
  static_cast<void>(floor);
  while (at != end && has_class(*at, scan_tables::kCommonName)) ++at;
  return at;
#endif
}

// The first byte that cannot stand in a request target: space, control, DEL, or above ASCII.
inline const char* find_target_end(const char* at, const char* end, const char* floor) {
#ifdef __SSE2__
  return scan_sse2::find<scan_sse2::target_stop_mask>(at, end, floor, scan_tables::kTargetChar, false);
#else
  static_cast<void>(floor);
  while (at != end && has_class(*at, scan_tables::kTargetChar)) ++at;
  return at;
#endif
}

}  // namespace headgate::http1
