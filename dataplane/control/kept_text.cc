#include "dataplane/control/kept_text.h"

#include <zstd.h>

#include "dataplane/base/check.h"

namespace headgate::control {
namespace {

constexpr size_t kWorthIt = size_t{64} << 10;
constexpr int kLevel = 1;

}  // namespace

void KeptText::set(std::string_view text) {
  compressed_from_ = 0;
  if (text.size() >= kWorthIt) {
    std::string packed(ZSTD_compressBound(text.size()), '\0');
    const size_t size = ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), kLevel);
    if (ZSTD_isError(size) == 0 && size < text.size()) {
      kept_.assign(packed, 0, size);
      kept_.shrink_to_fit();  // of the text before, when that was bigger
      compressed_from_ = text.size();
      return;
    }
  }
  kept_ = std::string(text);
}

std::string KeptText::get() const {
  if (compressed_from_ == 0) return kept_;
  std::string text(compressed_from_, '\0');
  // Nobody but set() wrote it.
  HG_CHECK(ZSTD_decompress(text.data(), text.size(), kept_.data(), kept_.size()) == text.size());
  return text;
}

}  // namespace headgate::control
