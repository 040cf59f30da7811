// name.h -- domain names in wire form: parse and print text, compare, read and write with compression.
// Spec: RFC 1035 2.3.4, 3.1, 4.1.4, 5.1; RFC 4343 (case).   Unit: bytes of the uncompressed form, root byte included.
// Thread: any (values and views).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "dataplane/base/bytes.h"
#include "dataplane/base/result.h"

namespace headgate::dns {

inline constexpr size_t kMaxNameBytes = 255;
inline constexpr size_t kMaxLabelBytes = 63;
inline constexpr size_t kMaxLabels = 127;  // the root not counted
inline constexpr size_t kMaxJumps = 16;    // compression pointers followed for one name

// Lower case of every ASCII letter in eight bytes at once. Length bytes (at most 63) are no letters, so whole wire
// names may be folded.
constexpr uint64_t fold_word(uint64_t word) {
  constexpr uint64_t kOnes = 0x0101010101010101U;
  const uint64_t low = word & (0x7f * kOnes);
  const uint64_t above_z = low + (0x7f - 'Z') * kOnes;
  const uint64_t from_a = low + (0x80 - 'A') * kOnes;
  const uint64_t upper = ~word & (0x80 * kOnes) & (from_a ^ above_z);
  return word | (upper >> 2);
}
constexpr uint8_t fold_byte(uint8_t byte) {
  return byte >= 'A' && byte <= 'Z' ? static_cast<uint8_t>(byte + 32) : byte;
}
// Copies `from` in lower case to `into` (at least as long).
void fold_bytes(Bytes from, uint8_t* into);
bool equal_folded(const uint8_t* a, const uint8_t* b, size_t size);

// A valid uncompressed name that somebody else owns.
class NameView {
 public:
  NameView() : NameView(Bytes(&kRootByte, 1)) {}
  // Trusted: `bytes` must be one whole valid name; use check_name() on anything from outside.
  explicit NameView(Bytes bytes) : data_(bytes.data()), size_(bytes.size()) {}

  [[nodiscard]] Bytes bytes() const { return {data_, size_}; }
  [[nodiscard]] const uint8_t* data() const { return data_; }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool is_root() const { return size_ == 1; }
  [[nodiscard]] bool is_wildcard() const { return size_ > 2 && data_[0] == 1 && data_[1] == '*'; }
  [[nodiscard]] size_t labels() const;
  // Without the length byte; empty for the root.
  [[nodiscard]] Bytes first_label() const { return {data_ + 1, data_[0]}; }
  // Undefined for the root.
  [[nodiscard]] NameView parent() const { return NameView(Bytes(data_, size_).subspan(data_[0] + size_t{1})); }
  // The name without its first labels so that `labels` are left; `labels` <= labels().
  [[nodiscard]] NameView suffix(size_t labels) const;
  // Equal to `ancestor` or below it.
  [[nodiscard]] bool is_within(NameView ancestor) const;
  // Case-insensitive (RFC 4343).
  [[nodiscard]] bool equals(NameView other) const {
    return size_ == other.size_ && equal_folded(data_, other.data_, size_);
  }
  // Master file form with a final dot; never fails.
  [[nodiscard]] std::string to_string() const;

 private:
  static constexpr uint8_t kRootByte = 0;
  const uint8_t* data_;
  size_t size_;
};

// A name that holds its bytes; 256 bytes, never allocates.
class Name {
 public:
  Name() { bytes_[0] = 0; }
  explicit Name(NameView view) : size_(static_cast<uint8_t>(view.size())) {
    std::memcpy(bytes_.data(), view.data(), view.size());
  }
  Name(const Name& other) : Name(other.view()) {}
  Name& operator=(const Name& other) {
    size_ = other.size_;
    std::memmove(bytes_.data(), other.bytes_.data(), size_);
    return *this;
  }
  ~Name() = default;

  // Master file text: "\." and "\DDD" escapes; a final dot makes it absolute, else `origin` is appended; "@" is not
  // special here. kInvalid with the reason.
  static Result<Name> parse(std::string_view text, NameView origin = NameView());
  // "10.2.0.192.in-addr.arpa" or ip6.arpa of 4 or 16 address bytes.
  static Name reverse(Bytes address);
  // `label` put before `rest`; kInvalid when the result would be too long or the label empty.
  static Result<Name> join(Bytes label, NameView rest);

  [[nodiscard]] NameView view() const { return NameView(Bytes(bytes_.data(), size_)); }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] std::string to_string() const { return view().to_string(); }
  [[nodiscard]] Name folded() const;
  bool operator==(const Name& other) const { return view().equals(other.view()); }

 private:
  friend bool read_name(ByteReader& message, Name& into);

  std::array<uint8_t, kMaxNameBytes> bytes_;
  uint8_t size_ = 1;
};

// Length of the uncompressed name at the start of `bytes`, or 0 when there is none.
size_t check_name(Bytes bytes);

// Reads the name at the reader's position, following compression pointers within the reader's whole span: each one
// must point before the part it continues, and at most kMaxJumps are followed. False: malformed.
bool read_name(ByteReader& message, Name& into);

// Remembers where names stand in a message being written, and writes later ones as pointers to them.
class NameCompressor {
 public:
  // `name` stands uncompressed at `offset`. Its bytes must outlive the compressor.
  void add(NameView name, size_t offset);
  // Writes `name` (its bytes must outlive the compressor), shortened when `compress`, and returns an offset at which
  // the whole name can be pointed at: 0 when there is none (past 16383).
  size_t write(ByteWriter& out, NameView name, bool compress = true);

  // To forget what was written into a part of the message that is taken back.
  [[nodiscard]] size_t mark() const { return count_; }
  void rewind(size_t mark) { count_ = mark; }

 private:
  struct Entry {
    const uint8_t* suffix;
    uint16_t offset;
    uint8_t size;
  };
  // More names than this are written without making new targets; not initialised, it lives on hot stacks.
  std::array<Entry, 64> entries_;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  size_t count_ = 0;
};

}  // namespace headgate::dns
