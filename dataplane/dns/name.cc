#include "dataplane/dns/name.h"

#include <algorithm>

#include "dataplane/base/text.h"
#include "dataplane/dns/errors.h"

namespace headgate::dns {
namespace {


uint64_t load_word(const uint8_t* from) {
  uint64_t word;
  std::memcpy(&word, from, sizeof(word));
  return word;
}

// Characters that mean something in a master file and are printed with a backslash.
bool is_special(uint8_t byte) {
  return byte == '.' || byte == '\\' || byte == '"' || byte == ';' || byte == '(' || byte == ')' || byte == '@' ||
         byte == '$';
}

void append_escaped(std::string& into, uint8_t byte) {
  if (is_special(byte)) {
    into += '\\';
    into += static_cast<char>(byte);
  } else if (byte > 0x20 && byte < 0x7f) {
    into += static_cast<char>(byte);
  } else {
    into += '\\';
    into += static_cast<char>('0' + byte / 100);
    into += static_cast<char>('0' + byte / 10 % 10);
    into += static_cast<char>('0' + byte % 10);
  }
}

// The byte after a backslash at text[at]; moves `at` past it. False: "\" at the end, or "\DDD" over 255.
bool take_escape(std::string_view text, size_t& at, uint8_t& byte) {
  if (at >= text.size()) return false;
  if (!is_digit(text[at])) {
    byte = static_cast<uint8_t>(text[at++]);
    return true;
  }
  if (at + 3 > text.size() || !is_digit(text[at + 1]) || !is_digit(text[at + 2])) return false;
  const int value = (text[at] - '0') * 100 + (text[at + 1] - '0') * 10 + (text[at + 2] - '0');
  if (value > 255) return false;
  at += 3;
  byte = static_cast<uint8_t>(value);
  return true;
}

}  // namespace

void fold_bytes(Bytes from, uint8_t* into) {
  size_t at = 0;
  for (; at + 8 <= from.size(); at += 8) {
    const uint64_t word = fold_word(load_word(from.data() + at));
    std::memcpy(into + at, &word, sizeof(word));
  }
  for (; at < from.size(); ++at) into[at] = fold_byte(from[at]);
}

bool equal_folded(const uint8_t* a, const uint8_t* b, size_t size) {
  size_t at = 0;
  for (; at + 8 <= size; at += 8) {
    if (fold_word(load_word(a + at)) != fold_word(load_word(b + at))) return false;
  }
  for (; at < size; ++at) {
    if (fold_byte(a[at]) != fold_byte(b[at])) return false;
  }
  return true;
}

size_t NameView::labels() const {
  size_t count = 0;
  for (size_t at = 0; data_[at] != 0; at += data_[at] + size_t{1}) ++count;
  return count;
}

NameView NameView::suffix(size_t labels) const {
  NameView rest = *this;
  for (size_t drop = this->labels() - labels; drop > 0; --drop) rest = rest.parent();
  return rest;
}

bool NameView::is_within(NameView ancestor) const {
  if (size_ < ancestor.size_) return false;
  const size_t cut = size_ - ancestor.size_;
  size_t at = 0;
  while (at < cut) at += data_[at] + size_t{1};
  return at == cut && equal_folded(data_ + cut, ancestor.data_, ancestor.size_);
}

std::string NameView::to_string() const {
  if (is_root()) return ".";
  std::string text;
  text.reserve(size_);
  for (NameView rest = *this; !rest.is_root(); rest = rest.parent()) {
    for (const uint8_t byte : rest.first_label()) append_escaped(text, byte);
    text += '.';
  }
  return text;
}

Result<Name> Name::parse(std::string_view text, NameView origin) {
  Name name;
  if (text.empty()) return invalid("empty name");
  if (text == ".") return name;
  size_t length_at = 0;  // of the label being written
  size_t end = 1;
  size_t at = 0;
  bool absolute = false;
  while (at < text.size()) {
    const char c = text[at++];
    if (c == '.') {
      if (end == length_at + 1) return invalid("empty label in a name");
      name.bytes_[length_at] = static_cast<uint8_t>(end - length_at - 1);
      length_at = end;
      if (end == kMaxNameBytes) return invalid("name over 255 bytes");
      ++end;
      absolute = at == text.size();
      continue;
    }
    auto byte = static_cast<uint8_t>(c);
    if (c == '\\' && !take_escape(text, at, byte)) return invalid("bad escape in a name");
    if (end - length_at - 1 == kMaxLabelBytes) return invalid("label over 63 bytes");
    if (end >= kMaxNameBytes - 1) return invalid("name over 255 bytes");
    name.bytes_[end++] = byte;
  }
  if (absolute) {
    name.bytes_[length_at] = 0;
    name.size_ = static_cast<uint8_t>(length_at + 1);
    return name;
  }
  name.bytes_[length_at] = static_cast<uint8_t>(end - length_at - 1);
  if (end + origin.size() > kMaxNameBytes) return invalid("name over 255 bytes");
  std::memcpy(name.bytes_.data() + end, origin.data(), origin.size());
  name.size_ = static_cast<uint8_t>(end + origin.size());
  return name;
}

Name Name::reverse(Bytes address) {
  static constexpr char kHex[] = "0123456789abcdef";
  static constexpr char kV4[] = "\7in-addr\4arpa";
  static constexpr char kV6[] = "\3ip6\4arpa";
  Name name;
  size_t end = 0;
  for (size_t i = address.size(); i-- > 0;) {
    const uint8_t byte = address[i];
    if (address.size() != 4) {
      for (const int nibble : {byte & 15, byte >> 4}) {
        name.bytes_[end++] = 1;
        name.bytes_[end++] = static_cast<uint8_t>(kHex[nibble]);
      }
      continue;
    }
    const size_t digits = byte >= 100 ? 3 : byte >= 10 ? 2 : 1;
    name.bytes_[end++] = static_cast<uint8_t>(digits);
    if (digits > 2) name.bytes_[end++] = static_cast<uint8_t>('0' + byte / 100);
    if (digits > 1) name.bytes_[end++] = static_cast<uint8_t>('0' + byte / 10 % 10);
    name.bytes_[end++] = static_cast<uint8_t>('0' + byte % 10);
  }
  const bool v4 = address.size() == 4;
  const size_t tail = v4 ? sizeof(kV4) : sizeof(kV6);
  std::memcpy(name.bytes_.data() + end, v4 ? kV4 : kV6, tail);
  name.size_ = static_cast<uint8_t>(end + tail);
  return name;
}

Result<Name> Name::join(Bytes label, NameView rest) {
  if (label.empty() || label.size() > kMaxLabelBytes) return invalid("label of 0 or over 63 bytes");
  if (label.size() + 1 + rest.size() > kMaxNameBytes) return invalid("name over 255 bytes");
  Name name;
  name.bytes_[0] = static_cast<uint8_t>(label.size());
  std::memcpy(name.bytes_.data() + 1, label.data(), label.size());
  std::memcpy(name.bytes_.data() + 1 + label.size(), rest.data(), rest.size());
  name.size_ = static_cast<uint8_t>(1 + label.size() + rest.size());
  return name;
}

Name Name::folded() const {
  Name copy;
  fold_bytes(Bytes(bytes_.data(), size_), copy.bytes_.data());
  copy.size_ = size_;
  return copy;
}

size_t check_name(Bytes bytes) {
  size_t at = 0;
  while (at < bytes.size() && at < kMaxNameBytes) {
    const uint8_t length = bytes[at];
    if (length == 0) return at + 1;
    if (length > kMaxLabelBytes) return 0;
    at += length + size_t{1};
  }
  return 0;
}

bool read_name(ByteReader& message, Name& into) {
  const Bytes all = message.all();
  size_t at = message.position();
  size_t part = at;  // where the part being read began: a pointer must go before it, so no loop is possible
  size_t after = 0;  // where reading goes on after the name; known at the first pointer
  size_t size = 0;
  for (size_t jumps = 0;;) {
    if (at >= all.size()) break;
    const uint8_t length = all[at];
    if (length <= kMaxLabelBytes) {
      const size_t whole = length + size_t{1};
      if (at + whole > all.size() || size + whole > kMaxNameBytes) break;
      std::memcpy(into.bytes_.data() + size, all.data() + at, whole);
      size += whole;
      at += whole;
      if (length != 0) continue;
      into.size_ = static_cast<uint8_t>(size);
      message.seek(after != 0 ? after : at);
      return message.ok();
    }
    // RFC 1035 4.1.4; the other two prefixes (RFC 2673, RFC 6891 5) are not names.
    if (length < 0xc0 || at + 2 > all.size()) break;
    const size_t target = static_cast<size_t>(length & 0x3f) << 8 | all[at + 1];
    if (target >= part || ++jumps > kMaxJumps) break;
    if (after == 0) after = at + 2;
    at = part = target;
  }
  message.fail();
  into = Name();
  return false;
}

void NameCompressor::add(NameView name, size_t offset) {
  for (; !name.is_root() && offset <= 0x3fff && count_ < entries_.size(); name = name.parent()) {
    entries_[count_++] = {name.data(), static_cast<uint16_t>(offset), static_cast<uint8_t>(name.size())};
    offset += name.data()[0] + size_t{1};
  }
}

size_t NameCompressor::write(ByteWriter& out, NameView name, bool compress) {
  const size_t start = out.size();
  const auto find = [this](NameView suffix) -> const Entry* {
    for (size_t i = 0; i < count_; ++i) {
      if (entries_[i].size == suffix.size() && equal_folded(entries_[i].suffix, suffix.data(), suffix.size())) {
        return &entries_[i];
      }
    }
    return nullptr;
  };
  const Entry* known = nullptr;
  NameView rest = name;
  for (; compress && !rest.is_root(); rest = rest.parent()) {
    known = find(rest);
    if (known != nullptr) break;
  }
  if (known == nullptr) {
    out.bytes(name.bytes());
  } else {
    out.bytes(name.bytes().first(name.size() - rest.size()));
    out.u16(static_cast<uint16_t>(0xc000 | known->offset));
    if (rest.size() == name.size()) return known->offset;
  }
  if (!out.ok()) return 0;
  // Suffixes already known need no second entry.
  size_t offset = start;
  for (NameView part = name; part.size() > (known != nullptr ? rest.size() : 1); part = part.parent()) {
    if (offset > 0x3fff || count_ == entries_.size()) break;
    entries_[count_++] = {part.data(), static_cast<uint16_t>(offset), static_cast<uint8_t>(part.size())};
    offset += part.data()[0] + size_t{1};
  }
  return start <= 0x3fff ? start : 0;
}

}  // namespace headgate::dns
