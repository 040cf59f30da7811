#include "dataplane/dns/zone.h"

#include <algorithm>

namespace headgate::dns {
namespace {

__extension__ typedef unsigned __int128 Wide;

// Both halves of a 128-bit product: every input bit reaches every output bit.
uint64_t mix(uint64_t value) {
  const Wide product = static_cast<Wide>(value ^ 0x9e3779b97f4a7c15U) * 0xd6e8feb86659fd93U;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t load_word(const uint8_t* from) {
  uint64_t word;
  std::memcpy(&word, from, sizeof(word));
  return word;
}

// Lowest `bytes` bytes of a little-endian load; on big-endian machines hashes differ but stay consistent only if the
// same bytes are kept, so the mask follows the byte order.
uint64_t keep_bytes(uint64_t word, size_t bytes) {
  if (bytes >= 8) return word;
  const uint64_t mask = (uint64_t{1} << (8 * bytes)) - 1;
  return std::endian::native == std::endian::little ? word & mask : word & ~(~uint64_t{0} >> (8 * bytes));
}

// The hash of a name is that of its parent extended by its first label, length byte included.
uint64_t extend_hash(uint64_t parent, const uint8_t* label) {
  uint64_t hash = parent;
  size_t left = label[0] + size_t{1};
  for (; left > 8; left -= 8, label += 8) hash = mix(hash ^ load_word(label));
  return mix(hash ^ keep_bytes(load_word(label), left));
}

}  // namespace

void LookupName::set(NameView name, uint64_t seed) {
  size_ = static_cast<uint16_t>(name.size());
  fold_bytes(name.bytes(), bytes_.data());
  std::memset(bytes_.data() + size_, 0, 8);
  size_t count = 0;
  size_t at = 0;
  for (; bytes_[at] != 0; at += bytes_[at] + size_t{1}) starts_[count++] = static_cast<uint8_t>(at);
  starts_[count] = static_cast<uint8_t>(at);
  labels_ = static_cast<uint8_t>(count);
  hashes_[count] = seed;
  for (size_t i = count; i-- > 0;) hashes_[i] = extend_hash(hashes_[i + 1], bytes_.data() + starts_[i]);
}

const uint8_t* ZoneSet::Node::first_rrset() const { return at_ + padded(sizeof(NodeHead) + head().name_size); }

const uint8_t* ZoneSet::Node::read_rrset(const uint8_t* from, Rrset& into) {
  RrsetHead head;
  std::memcpy(&head, from, sizeof(head));
  into = {head.type, head.count, head.ttl_s, Bytes(from + sizeof(head), head.size)};
  return from + padded(sizeof(head) + head.size);
}

bool ZoneSet::Node::find(uint16_t type, Rrset& into) const {
  const uint8_t* from = first_rrset();
  for (size_t i = rrset_count(); i > 0; --i) {
    from = read_rrset(from, into);
    if (into.type == type) return true;
    if (into.type > type) return false;
  }
  return false;
}

ZoneSet::Node ZoneSet::find(const LookupName& name, size_t first) const {
  if (slots_.empty()) return {};
  const uint64_t hash = name.hash(first);
  const auto tag = static_cast<uint32_t>(hash >> 32);
  const NameView wanted = name.suffix(first);
  const size_t mask = slots_.size() - 1;
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    const Slot slot = slots_[i];
    if (slot.where == 0) return {};
    if (slot.tag != tag) continue;
    const Node node(nodes_.data() + (slot.where - 1) * size_t{4});
    const NameView found = node.name();
    // Both sides are folded.
    if (found.size() == wanted.size() && std::memcmp(found.data(), wanted.data(), wanted.size()) == 0) return node;
  }
}

ZoneSet::Node ZoneSet::find_closest(const LookupName& name, size_t& first) const {
  // Names deeper than any of ours need no look-up: a query of 127 labels costs no more than our deepest name.
  for (first = name.labels() > max_labels_ ? name.labels() - max_labels_ : 0; first <= name.labels(); ++first) {
    if (const Node node = find(name, first)) return node;
  }
  return {};
}

ZoneSet::Node ZoneSet::find_wildcard(const LookupName& name, size_t first) const {
  static constexpr std::array<uint8_t, 10> kLabel = {1, '*'};
  const uint64_t hash = extend_hash(name.hash(first), kLabel.data());
  const auto tag = static_cast<uint32_t>(hash >> 32);
  const NameView parent = name.suffix(first);
  const size_t mask = slots_.size() - 1;
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    const Slot slot = slots_[i];
    if (slot.where == 0) return {};
    if (slot.tag != tag) continue;
    const Node node(nodes_.data() + (slot.where - 1) * size_t{4});
    const NameView found = node.name();
    if (found.size() == parent.size() + 2 && found.is_wildcard() &&
        std::memcmp(found.data() + 2, parent.data(), parent.size()) == 0) {
      return node;
    }
  }
}

}  // namespace headgate::dns
