#include "dataplane/http/header_map.h"

#include <array>
#include <bit>
#include <cstring>

#include "dataplane/base/check.h"
#include "dataplane/base/text.h"

namespace headgate::http {

namespace {

// A name as words that compare without case: (text | fold) == lower. `fold` has 0x20 under letters only, so that no
// other byte can pass for one of ours.
constexpr size_t kMaxName = 24;
struct alignas(64) Row {
  char lower[kMaxName] = {};
  char fold[kMaxName] = {};
  uint8_t size = 0;
  FieldId id = FieldId::kOther;
};

constexpr size_t kSlots = 256;
constexpr size_t kShortest = 4;  // below: TE and Via, told apart by hand

// First and last four characters, case folded by setting 0x20, and the length tell our names apart.
constexpr size_t slot_of(uint32_t first, uint32_t last, size_t size, uint32_t multiplier) {
  const uint32_t mixed = (first | 0x20202020U) + (last | 0x20202020U) * 0x2545f491U + static_cast<uint32_t>(size);
  return (mixed * multiplier) >> 24;
}
constexpr uint32_t word_at(std::string_view text, size_t at) {
  uint32_t word = 0;
  for (size_t i = 0; i < 4; ++i) {
    const auto byte = static_cast<uint32_t>(static_cast<uint8_t>(text[at + i]));
    word |= byte << (std::endian::native == std::endian::little ? 8 * i : 24 - 8 * i);
  }
  return word;
}
constexpr size_t slot_of(std::string_view name, uint32_t multiplier) {
  return slot_of(word_at(name, 0), word_at(name, name.size() - 4), name.size(), multiplier);
}

// The first odd multiplier that gives every name a slot of its own; found by the compiler.
constexpr uint32_t find_multiplier() {
  for (uint32_t i = 0; i < 2000; ++i) {
    const uint32_t multiplier = 0x9e3779b1U + i * 0x3c6ef372U;
    std::array<bool, kSlots> used{};
    bool clash = false;
    for (size_t id = 1; id < kFieldIds && !clash; ++id) {
      if (kFieldNames[id].size() < kShortest) continue;
      bool& slot = used[slot_of(kFieldNames[id], multiplier)];
      clash = slot;
      slot = true;
    }
    if (!clash) return multiplier;
  }
  return 0;
}
constexpr uint32_t kMultiplier = find_multiplier();
static_assert(kMultiplier != 0, "no perfect hash: change slot_of");

// Plain arrays: an index below 256 needs no check.
struct SlotTable {
  uint8_t ids[kSlots] = {};
};
struct RowTable {
  Row rows[kFieldIds];
};
constexpr auto kRows = [] {
  RowTable table;
  for (size_t id = 1; id < kFieldIds; ++id) {
    Row& row = table.rows[id];
    row.size = static_cast<uint8_t>(kFieldNames[id].size());
    row.id = static_cast<FieldId>(id);
    for (size_t i = 0; i < row.size; ++i) {
      row.lower[i] = to_lower(kFieldNames[id][i]);
      row.fold[i] = is_alpha(kFieldNames[id][i]) ? 0x20 : 0;
    }
  }
  return table;
}();
constexpr auto kSlotToId = [] {
  SlotTable table;
  for (size_t id = 1; id < kFieldIds; ++id) {
    if (kFieldNames[id].size() >= kShortest) table.ids[slot_of(kFieldNames[id], kMultiplier)] = static_cast<uint8_t>(id);
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
  return (load<Word>(text + at) | load<Word>(row.fold + at)) != load<Word>(row.lower + at);
}

bool equals_row(const Row& row, std::string_view name) {
  const char* text = name.data();
  const size_t size = name.size();
  if (size >= 8) {
    if (differs<uint64_t>(row, text, 0) || differs<uint64_t>(row, text, size - 8)) return false;
    return size <= 16 || !differs<uint64_t>(row, text, 8);
  }
  return !differs<uint32_t>(row, text, 0) && !differs<uint32_t>(row, text, size - 4);
}

}  // namespace

FieldId field_id(std::string_view name) {
  const size_t size = name.size();
  if (size < kShortest) {
    if (size == 2 && equals_ignore_case(name, "te")) return FieldId::kTe;
    if (size == 3 && equals_ignore_case(name, "via")) return FieldId::kVia;
    return FieldId::kOther;
  }
  if (size > kMaxName) return FieldId::kOther;
  const size_t slot = slot_of(load<uint32_t>(name.data()), load<uint32_t>(name.data() + size - 4), size, kMultiplier);
  const Row& row = kRows.rows[kSlotToId.ids[slot]];
  return row.size == size && equals_row(row, name) ? row.id : FieldId::kOther;
}

void HeaderMap::grow(uint32_t capacity) {
  auto* bigger = static_cast<Field*>(arena_->allocate(sizeof(Field) * capacity, alignof(Field)));
  for (uint32_t i = 0; i < size_; ++i) new (bigger + i) Field(fields_[i]);
  fields_ = bigger;
  capacity_ = capacity;
}

void HeaderMap::replace(FieldId id, std::string_view value) {
  HG_DCHECK(id != FieldId::kOther);
  if (!has_several(id)) {
    for (Field& field : fields()) {
      if (field.id == id) field.value = value;
    }
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
  repeated_ = other.repeated_;
}

// `id` is there.
const Field* HeaderMap::find_present(FieldId id) const {
  const Field* field = fields_;
  while (field->id != id) ++field;
  return field;
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

std::string_view HeaderMap::get(std::string_view name) const {
  const Field* field = find(name);
  return field == nullptr ? std::string_view() : field->value;
}

size_t HeaderMap::count(FieldId id) const {
  if (!has_several(id)) return has(id) ? 1 : 0;
  size_t count = 0;
  for (uint32_t i = 0; i < size_; ++i) count += fields_[i].id == id ? 1 : 0;
  return count;
}

std::string_view HeaderMap::join(FieldId id) const {
  size_t size = 0;
  for (const Field& field : fields()) {
    if (field.id == id) size += field.value.size() + 2;
  }
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
