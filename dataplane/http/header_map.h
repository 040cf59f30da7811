// header_map.h -- ordered header fields whose names and values are views; storage is an Arena.
//
// Names keep the case they came with and compare without case. Fields we act on have a FieldId, found once when added,
// so that asking for one is a bit test and a scan of small integers, never of text.
// Thread: worker.   Owner: the Exchange (its arena); views point into the head block or the arena.
// Spec: RFC 9110 5.
#pragma once

#include <cstdint>
#include <new>
#include <span>
#include <string_view>

#include "dataplane/base/arena.h"
#include "dataplane/http/field_id.h"

namespace headgate::http {

struct Field {
  std::string_view name;
  std::string_view value;
  FieldId id = FieldId::kOther;
};

class HeaderMap {
 public:
  explicit HeaderMap(Arena& arena) : arena_(&arena) {}

  // Views must outlive the map: texts of the head block, of the arena, or static.
  void add(std::string_view name, std::string_view value) { add(field_id(name), name, value); }
  void add(FieldId id, std::string_view value) { add(id, field_name(id), value); }
  void add(FieldId id, std::string_view name, std::string_view value) {
    if (size_ == capacity_) [[unlikely]] grow(capacity_ == 0 ? kFirstCapacity : capacity_ * 2);
    new (fields_ + size_++) Field{name, value, id};
    note(id);
  }
  // Replaces every field of that name by one.
  void set(FieldId id, std::string_view value) {
    if (has(id)) {
      replace(id, value);
    } else {
      add(id, value);
    }
  }
  void set(std::string_view name, std::string_view value);
  void remove(FieldId id);
  void remove(std::string_view name);
  template <typename Predicate>
  void remove_if(Predicate&& predicate) {
    uint32_t kept = 0;
    present_ = repeated_ = 0;
    for (uint32_t i = 0; i < size_; ++i) {
      if (predicate(fields_[i])) continue;
      note(fields_[i].id);
      if (kept != i) fields_[kept] = fields_[i];
      ++kept;
    }
    size_ = kept;
  }
  void clear() {
    size_ = 0;
    present_ = repeated_ = 0;
  }
  // A copy of the list (not of the texts) that may change on its own: for one attempt of a request.
  void assign(const HeaderMap& other);

  [[nodiscard]] bool has(FieldId id) const { return (present_ >> static_cast<int>(id)) & 1; }
  // Is there a field of any of these names? One bit per FieldId.
  [[nodiscard]] bool has_any(uint64_t ids) const { return (present_ & ids) != 0; }
  // More than one field of that name?
  [[nodiscard]] bool has_several(FieldId id) const { return (repeated_ >> static_cast<int>(id)) & 1; }
  // The first field of that name, or null.
  [[nodiscard]] const Field* find(FieldId id) const { return has(id) ? find_present(id) : nullptr; }
  [[nodiscard]] const Field* find(std::string_view name) const;
  // Its value, or empty.
  [[nodiscard]] std::string_view get(FieldId id) const {
    return has(id) ? find_present(id)->value : std::string_view();
  }
  [[nodiscard]] std::string_view get(std::string_view name) const;
  [[nodiscard]] size_t count(FieldId id) const;
  // All values of that name joined by ", " in the arena when there are several (RFC 9110 5.3).
  [[nodiscard]] std::string_view combined(FieldId id) const { return has_several(id) ? join(id) : get(id); }

  [[nodiscard]] std::span<const Field> fields() const { return {fields_, size_}; }
  [[nodiscard]] std::span<Field> fields() { return {fields_, size_}; }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] Arena& arena() const { return *arena_; }

 private:
  static constexpr uint32_t kFirstCapacity = 8;  // four lists of a request have room in one block of the arena

  void grow(uint32_t capacity);
  [[nodiscard]] const Field* find_present(FieldId id) const;
  [[nodiscard]] std::string_view join(FieldId id) const;
  void replace(FieldId id, std::string_view value);
  void note(FieldId id) {
    const uint64_t bit = uint64_t{1} << static_cast<int>(id);
    repeated_ |= present_ & bit;
    present_ |= bit;
  }

  Arena* arena_;
  Field* fields_ = nullptr;
  uint32_t size_ = 0;
  uint32_t capacity_ = 0;
  uint64_t present_ = 0;   // one bit for each FieldId there is
  uint64_t repeated_ = 0;  // and for each there is more than once
};

}  // namespace headgate::http
