#include "dataplane/upstream/sticky_index.h"

#include <algorithm>

#include "dataplane/tls/crypto.h"

namespace headgate::upstream {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

int hex_value(char c) {
  const auto at = kDigits.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

}  // namespace

StickyIndex::Key StickyIndex::digest(std::string_view text) {
  if (const auto md5 = tls::md5(text)) return *md5;
  const tls::Sha256Digest sha = tls::sha256(text);
  Key key;
  std::copy_n(sha.begin(), key.size(), key.begin());
  return key;
}

std::string StickyIndex::tag_of(std::string_view sticky_name) {
  std::string text = tls::hex_text(digest(sticky_name));
  text += sticky_name;
  return tls::hex_text(digest(text));
}

void StickyIndex::build(std::string_view sticky_name, const std::vector<std::string_view>& texts) {
  entries_.clear();
  entries_.reserve(texts.size());
  for (uint32_t i = 0; i < texts.size(); ++i) {
    entries_.push_back({digest(std::string(sticky_name).append(texts[i])), i});
  }
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.key < b.key; });
}

std::optional<uint32_t> StickyIndex::find(std::string_view key) const {
  if (key.size() != kKeySize) return std::nullopt;
  Key wanted;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const int high = hex_value(key[2 * i]);
    const int low = hex_value(key[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    wanted[i] = static_cast<uint8_t>(high * 16 + low);
  }
  const auto found = std::lower_bound(entries_.begin(), entries_.end(), wanted,
                                      [](const Entry& entry, const Key& one) { return entry.key < one; });
  if (found == entries_.end() || found->key != wanted) return std::nullopt;
  return found->index;
}

void StickyIndex::write_key(uint32_t index, char* into) const {
  // Only when a session begins: a scan is cheap enough, a second table would not be.
  const auto entry =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& one) { return one.index == index; });
  for (size_t i = 0; i < kKeySize / 2; ++i) {
    const uint8_t byte = entry == entries_.end() ? 0 : entry->key[i];
    into[2 * i] = kDigits[byte >> 4];
    into[2 * i + 1] = kDigits[byte & 15];
  }
}

}  // namespace headgate::upstream
