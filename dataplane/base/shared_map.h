// shared_map.h -- a sorted map that is a value: copies share everything that did not change.
//
// The entries lie in chunks of a few dozen, which copies share. A change copies its chunk if somebody else holds it;
// copying a map costs one pointer per chunk, and so does freeing it. `changes_between` passes over chunks that both sides
// share: what it costs follows what changed.
// Thread: a map is one thread's; copies of it are independent, each may be another thread's.   Owner: anybody, by value.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "dataplane/base/held_alone.h"

namespace headgate {

// `KeyOf()(entry)` is what entries are sorted by; anything that compares with it by < and == can be looked for. Entries
// are compared by ==.
template <typename Entry, typename KeyOf>
class SharedMap {
 public:
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

  // Null: there is none. Valid until the next change.
  template <typename Key>
  [[nodiscard]] const Entry* find(const Key& key) const {
    if (chunks_.empty()) return nullptr;
    const Chunk& chunk = *chunks_[chunk_of(key)];
    const auto at = position(chunk, key);
    return at != chunk.end() && KeyOf()(*at) == key ? &*at : nullptr;
  }
  template <typename Key>
  [[nodiscard]] bool contains(const Key& key) const {
    return find(key) != nullptr;
  }

  // In the place of the entry with the same key, if there is one. False: an equal one was there already.
  bool set(Entry entry) {
    const auto& key = KeyOf()(entry);
    if (chunks_.empty()) {
      chunks_.push_back(std::make_shared<Chunk>());
      chunks_.back()->push_back(std::move(entry));
      size_ = 1;
      return true;
    }
    const size_t index = chunk_of(key);
    const auto at = position(*chunks_[index], key) - chunks_[index]->begin();
    const bool there = at < static_cast<ptrdiff_t>(chunks_[index]->size()) && KeyOf()(*(chunks_[index]->begin() + at)) == key;
    if (there && *(chunks_[index]->begin() + at) == entry) return false;
    Chunk& chunk = writable(index);
    if (there) {
      *(chunk.begin() + at) = std::move(entry);
      return true;
    }
    chunk.insert(chunk.begin() + at, std::move(entry));
    ++size_;
    if (chunk.size() > kLargestChunk) split(index);
    return true;
  }

  // False: there was none.
  template <typename Key>
  bool erase(const Key& key) {
    if (find(key) == nullptr) return false;
    const size_t index = chunk_of(key);
    Chunk& chunk = writable(index);
    chunk.erase(chunk.begin() + (position(chunk, key) - chunk.begin()));
    --size_;
    if (chunk.empty()) chunks_.erase(chunks_.begin() + static_cast<ptrdiff_t>(index));
    return true;
  }

  void clear() { *this = {}; }

  // In the order of keys, from the first that is not before `from`; ends when `visit(entry)` returns false.
  template <typename Key, typename Visitor>
  void visit_from(const Key& from, const Visitor& visit) const {
    if (chunks_.empty()) return;
    size_t index = chunk_of(from);
    auto at = position(*chunks_[index], from);
    for (;; ++at) {
      if (at == chunks_[index]->end()) {
        if (++index == chunks_.size()) return;
        at = chunks_[index]->begin();
      }
      if (!visit(*at)) return;
    }
  }
  template <typename Visitor>
  void visit_all(const Visitor& visit) const {
    for (const auto& chunk : chunks_) {
      for (const Entry& entry : *chunk) visit(entry);
    }
  }

  class Iterator;
  [[nodiscard]] Iterator begin() const { return Iterator(*this, 0); }
  [[nodiscard]] Iterator end() const { return Iterator(*this, chunks_.size()); }

  bool operator==(const SharedMap& other) const {
    bool same = true;
    changes_between(*this, other, [&](const Entry*, const Entry*) { same = false; });
    return same;
  }

  // visit(old, now) for each key whose entries differ, in order; null where there is none.
  template <typename Visitor>
  static void changes_between(const SharedMap& before, const SharedMap& after, const Visitor& visit) {
    constexpr const Entry* kNone = nullptr;
    Iterator old = before.begin();
    Iterator now = after.begin();
    while (old != before.end() || now != after.end()) {
      if (old == before.end()) {
        visit(kNone, &*now++);
        continue;
      }
      if (now == after.end()) {
        visit(&*old++, kNone);
        continue;
      }
      if (old.chunk_start() != nullptr && old.chunk_start() == now.chunk_start()) {
        old.next_chunk();
        now.next_chunk();
        continue;
      }
      const auto& old_key = KeyOf()(*old);
      const auto& now_key = KeyOf()(*now);
      if (old_key == now_key) {
        if (!(*old == *now)) visit(&*old, &*now);
        ++old;
        ++now;
      } else if (old_key < now_key) {
        visit(&*old++, kNone);
      } else {
        visit(kNone, &*now++);
      }
    }
  }

 private:
  static constexpr size_t kLargestChunk = 64;
  using Chunk = std::vector<Entry>;  // never empty

  // Index of the chunk in which `key` is or would be.
  template <typename Key>
  [[nodiscard]] size_t chunk_of(const Key& key) const {
    const auto after = std::upper_bound(chunks_.begin(), chunks_.end(), key,
                                        [](const Key& k, const auto& chunk) { return k < KeyOf()(chunk->front()); });
    return after == chunks_.begin() ? 0 : static_cast<size_t>(after - chunks_.begin()) - 1;
  }
  template <typename Key>
  static auto position(const Chunk& chunk, const Key& key) {
    return std::lower_bound(chunk.begin(), chunk.end(), key,
                            [](const Entry& entry, const Key& k) { return KeyOf()(entry) < k; });
  }
  Chunk& writable(size_t index) {
    if (!held_alone(chunks_[index])) chunks_[index] = std::make_shared<Chunk>(*chunks_[index]);
    return *chunks_[index];
  }
  // What is filled in order, as when everything is read at once, leaves full chunks behind.
  void split(size_t index) {
    Chunk& chunk = *chunks_[index];
    const bool grows_at_end = index + 1 == chunks_.size();
    const auto cut = chunk.begin() + static_cast<ptrdiff_t>(grows_at_end ? chunk.size() - 1 : chunk.size() / 2);
    auto upper = std::make_shared<Chunk>(std::make_move_iterator(cut), std::make_move_iterator(chunk.end()));
    chunk.erase(cut, chunk.end());
    chunk.shrink_to_fit();
    chunks_.insert(chunks_.begin() + static_cast<ptrdiff_t>(index) + 1, std::move(upper));
  }

  std::vector<std::shared_ptr<Chunk>> chunks_;
  size_t size_ = 0;
};

// A place in a map, valid until the map changes; it can step over a whole chunk.
template <typename Entry, typename KeyOf>
class SharedMap<Entry, KeyOf>::Iterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = Entry;
  using difference_type = ptrdiff_t;
  using pointer = const Entry*;
  using reference = const Entry&;

  const Entry& operator*() const { return (*map_->chunks_[chunk_])[entry_]; }
  const Entry* operator->() const { return &**this; }
  Iterator& operator++() {
    if (++entry_ == map_->chunks_[chunk_]->size()) next_chunk();
    return *this;
  }
  Iterator operator++(int) {
    const Iterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const Iterator& other) const { return chunk_ == other.chunk_ && entry_ == other.entry_; }

 private:
  friend class SharedMap;
  Iterator(const SharedMap& map, size_t chunk) : map_(&map), chunk_(chunk) {}
  // The chunk whose first entry this is; null: it is a later one.
  [[nodiscard]] const Chunk* chunk_start() const { return entry_ == 0 ? map_->chunks_[chunk_].get() : nullptr; }
  void next_chunk() {
    entry_ = 0;
    ++chunk_;
  }

  const SharedMap* map_;
  size_t chunk_;
  size_t entry_ = 0;
};

}  // namespace headgate
