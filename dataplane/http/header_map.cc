#include "dataplane/http/header_map.h"

#include <array>
#include <cstring>

#include "dataplane/base/check.h"
#include "dataplane/base/text.h"

namespace headgate::http {

namespace {

constexpr size_t kIds = static_cast<size_t>(FieldId::kCount);

constexpr std::array<std::string_view, kIds> kNames = {
    "",
    "Accept",
    "Accept-Encoding",
    "Accept-Ranges",
    "Authorization",
    "Cache-Control",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "Cookie",
    "Date",
    "ETag",
    "Expect",
    "Forwarded",
    "Host",
    "HTTP2-Settings",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Keep-Alive",
    "Last-Modified",
    "Location",
    "Origin",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Range",
    "Referer",
    "Server",
    "Set-Cookie",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "User-Agent",
    "Vary",
    "Via",
    "WWW-Authenticate",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
    "X-Real-IP",
    "X-Request-Id",
};
static_assert(!kNames.back().empty(), "one name per FieldId");

// A name as words that compare without case: (text | fold) == lower. `fold` has 0x20 under letters only, so that no
// other byte can pass for one of ours.
constexpr size_t kMaxName = 24;
struct Row {
  std::array<char, kMaxName> lower{};
  std::array<char, kMaxName> fold{};
  uint8_t size = 0;
  FieldId id = FieldId::kOther;
};

constexpr size_t kSlots = 256;

// Four characters and the length tell our names apart; case is folded by setting 0x20.
constexpr size_t slot_of(const char* text, size_t size, uint32_t multiplier) {
  const auto folded = [text](size_t at) { return static_cast<uint32_t>(static_cast<uint8_t>(text[at] | 0x20)); };
  const uint32_t mixed = folded(0) | (folded(size / 2) << 8) | (folded(size - 1) << 16) |
                         (folded(size >= 4 ? size - 4 : 0) << 24);
  return ((mixed + static_cast<uint32_t>(size) * 0x2545f491U) * multiplier) >> 24;
}

// The first odd multiplier that gives every name a slot of its own; found by the compiler.
constexpr uint32_t find_multiplier() {
  for (uint32_t i = 0; i < 2000; ++i) {
    const uint32_t multiplier = 0x9e3779b1U + i * 0x3c6ef372U;
    std::array<bool, kSlots> used{};
    bool clash = false;
    for (size_t id = 1; id < kIds && !clash; ++id) {
      bool& slot = used[slot_of(kNames[id].data(), kNames[id].size(), multiplier)];
      clash = slot;
      slot = true;
    }
    if (!clash) return multiplier;
  }
  return 0;
}
constexpr uint32_t kMultiplier = find_multiplier();
static_assert(kMultiplier != 0, "no perfect hash: change slot_of");

constexpr auto kRows = [] {
  std::array<Row, kIds> rows{};
  for (size_t id = 1; id < kIds; ++id) {
    Row& row = rows[id];
    row.size = static_cast<uint8_t>(kNames[id].size());
    row.id = static_cast<FieldId>(id);
    for (size_t i = 0; i < row.size; ++i) {
      row.lower[i] = to_lower(kNames[id][i]);
      row.fold[i] = is_alpha(kNames[id][i]) ? 0x20 : 0;
    }
  }
  return rows;
}();
constexpr auto kSlotToId = [] {
  std::array<uint8_t, kSlots> table{};
  for (size_t id = 1; id < kIds; ++id) {
    table[slot_of(kNames[id].data(), kNames[id].size(), kMultiplier)] = static_cast<uint8_t>(id);
  }
  return table;
}();

template <typename Word>
Word load(const char* from) {
  Word word;
  std::memcpy(&word, from, sizeof(word));
  return word;
}
template <typename Word>
bool differs(const Row& row, const char* text, size_t at) {
  return (load<Word>(text + at) | load<Word>(row.fold.data() + at)) != load<Word>(row.lower.data() + at);
}

bool equals_row(const Row& row, std::string_view name) {
  const char* text = name.data();
  const size_t size = name.size();
  if (size >= 8) {
    if (differs<uint64_t>(row, text, 0) || differs<uint64_t>(row, text, size - 8)) return false;
    return size <= 16 || !differs<uint64_t>(row, text, 8);
  }
  if (size >= 4) return !differs<uint32_t>(row, text, 0) && !differs<uint32_t>(row, text, size - 4);
  return !differs<uint16_t>(row, text, 0) && !differs<uint16_t>(row, text, size - 2);
}

}  // namespace

FieldId field_id(std::string_view name) {
  if (name.size() < 2 || name.size() > kMaxName) return FieldId::kOther;
  const Row& row = kRows[kSlotToId[slot_of(name.data(), name.size(), kMultiplier)]];
  return row.size == name.size() && equals_row(row, name) ? row.id : FieldId::kOther;
}

std::string_view field_name(FieldId id) { return kNames[static_cast<size_t>(id)]; }

void HeaderMap::grow(uint32_t capacity) {
  auto* bigger = static_cast<Field*>(arena_->allocate(sizeof(Field) * capacity, alignof(Field)));
  for (uint32_t i = 0; i < size_; ++i) new (bigger + i) Field(fields_[i]);
  fields_ = bigger;
  capacity_ = capacity;
}

void HeaderMap::add(FieldId id, std::string_view name, std::string_view value) {
  // 20 fields hold a browser's request.
  if (size_ == capacity_) grow(capacity_ == 0 ? 20 : capacity_ * 2);
  new (fields_ + size_++) Field{name, value, id};
  present_ |= uint64_t{1} << static_cast<int>(id);
}

void HeaderMap::set(FieldId id, std::string_view value) {
  HG_DCHECK(id != FieldId::kOther);
  if (!has(id)) {
    add(id, value);
    return;
  }
  bool first = true;
  remove_if([&](Field& field) {
    if (field.id != id) return false;
    if (!first) return true;
    first = false;
    field.value = value;
    return false;
  });
}

void HeaderMap::set(std::string_view name, std::string_view value) {
  const FieldId id = field_id(name);
  if (id != FieldId::kOther) {
    set(id, value);
    return;
  }
  bool first = true;
  remove_if([&](Field& field) {
    if (field.id != FieldId::kOther || !equals_ignore_case(field.name, name)) return false;
    if (!first) return true;
    first = false;
    field.value = value;
    return false;
  });
  if (first) add(FieldId::kOther, name, value);
}

void HeaderMap::remove(FieldId id) {
  if (!has(id)) return;
  remove_if([id](const Field& field) { return field.id == id; });
}

void HeaderMap::remove(std::string_view name) {
  const FieldId id = field_id(name);
  if (id != FieldId::kOther) {
    remove(id);
    return;
  }
  if (!has(FieldId::kOther)) return;
  remove_if([name](const Field& field) {
    return field.id == FieldId::kOther && equals_ignore_case(field.name, name);
  });
}

void HeaderMap::assign(const HeaderMap& other) {
  if (this == &other) return;
  size_ = 0;
  // A few more than now: most copies get fields added.
  if (capacity_ < other.size_ + 8) grow(other.size_ + 8);
  for (uint32_t i = 0; i < other.size_; ++i) new (fields_ + i) Field(other.fields_[i]);
  size_ = other.size_;
  present_ = other.present_;
}

const Field* HeaderMap::find(FieldId id) const {
  if (!has(id)) return nullptr;
  for (uint32_t i = 0; i < size_; ++i) {
    if (fields_[i].id == id) return fields_ + i;
  }
  return nullptr;
}

const Field* HeaderMap::find(std::string_view name) const {
  const FieldId id = field_id(name);
  if (id != FieldId::kOther) return find(id);
  if (!has(FieldId::kOther)) return nullptr;
  for (uint32_t i = 0; i < size_; ++i) {
    if (fields_[i].id == FieldId::kOther && equals_ignore_case(fields_[i].name, name)) return fields_ + i;
  }
  return nullptr;
}

std::string_view HeaderMap::get(FieldId id) const {
  const Field* field = find(id);
  return field == nullptr ? std::string_view() : field->value;
}

std::string_view HeaderMap::get(std::string_view name) const {
  const Field* field = find(name);
  return field == nullptr ? std::string_view() : field->value;
}

size_t HeaderMap::count(FieldId id) const {
  if (!has(id)) return 0;
  size_t count = 0;
  for (uint32_t i = 0; i < size_; ++i) count += fields_[i].id == id ? 1 : 0;
  return count;
}

std::string_view HeaderMap::combined(FieldId id) const {
  size_t count = 0;
  size_t size = 0;
  const Field* only = nullptr;
  if (!has(id)) return {};
  for (const Field& field : fields()) {
    if (field.id != id) continue;
    only = &field;
    ++count;
    size += field.value.size() + 2;
  }
  if (count <= 1) return only == nullptr ? std::string_view() : only->value;
  char* const text = arena_->allocate_text(size);
  char* at = text;
  for (const Field& field : fields()) {
    if (field.id != id) continue;
    if (at != text) {
      *at++ = ',';
      *at++ = ' ';
    }
    if (!field.value.empty()) std::memcpy(at, field.value.data(), field.value.size());
    at += field.value.size();
  }
  return {text, static_cast<size_t>(at - text)};
}

}  // namespace headgate::http
