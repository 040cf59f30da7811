// kept_text.h -- a text that is seldom read again, kept small: from 64 KiB on compressed (zstd).
// Thread: one.   Owner: ConfigInForce.   Cost: about 10 ns per byte to set, 2 to get; a configuration shrinks to a tenth.
#pragma once

#include <string>
#include <string_view>

namespace headgate::control {

class KeptText {
 public:
  void set(std::string_view text);
  [[nodiscard]] std::string get() const;
  [[nodiscard]] size_t kept_bytes() const { return kept_.size(); }

 private:
  std::string kept_;
  size_t compressed_from_ = 0;  // bytes of the text; 0: kept as it is
};

}  // namespace headgate::control
