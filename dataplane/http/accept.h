// accept.h -- which content coding does the client prefer?
// Spec: RFC 9110 12.5.3, 12.4.2.   Unit: weights in thousandths (q=0.5 is 500).   Thread: any (pure).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "dataplane/http/header_map.h"

namespace headgate::http {

enum class Coding : uint8_t { kIdentity, kGzip, kBrotli, kZstd };
inline constexpr size_t kCodings = 4;

// "gzip"; empty for kIdentity, which is never sent as a Content-Encoding.
std::string_view coding_name(Coding coding);

class AcceptEncoding {
 public:
  // Of the Accept-Encoding fields. Without one only identity is taken for acceptable: the RFC allows any coding then,
  // but programs that send none cannot decode. Malformed elements are skipped.
  static AcceptEncoding parse(const HeaderMap& headers);

  // 0: not acceptable.
  [[nodiscard]] uint16_t weight(Coding coding) const { return weights_[static_cast<size_t>(coding)]; }
  // The acceptable one of highest weight, the earlier in `available` on a tie; identity when none of them beats it by
  // weight or equals it.
  [[nodiscard]] Coding choose(std::span<const Coding> available) const;

 private:
  std::array<uint16_t, kCodings> weights_{};
};

// "1", "0.5", "0.123": thousandths, or nullopt.
std::optional<uint16_t> parse_weight(std::string_view text);

}  // namespace headgate::http
