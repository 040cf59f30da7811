#include "controlplane/world/object_map.h"

#include <algorithm>
#include <atomic>

namespace headgate::world {

namespace {
constexpr size_t kLargestChunk = 64;
}  // namespace

size_t ObjectMap::chunk_of(const ObjectKey& key) const {
  const auto after = std::upper_bound(chunks_.begin(), chunks_.end(), key,
                                      [](const ObjectKey& k, const auto& chunk) { return k < chunk->front().key; });
  return after == chunks_.begin() ? 0 : static_cast<size_t>(after - chunks_.begin()) - 1;
}

ObjectMap::Chunk& ObjectMap::writable(size_t index) {
  if (chunks_[index].use_count() != 1) {
    chunks_[index] = std::make_shared<Chunk>(*chunks_[index]);
  } else {
    std::atomic_thread_fence(std::memory_order_acquire);  // whoever held it last has read all it wanted
  }
  return *chunks_[index];
}

kube::ObjectPtr ObjectMap::find(const ObjectKey& key) const {
  if (chunks_.empty()) return nullptr;
  const Chunk& chunk = *chunks_[chunk_of(key)];
  const auto at = std::lower_bound(chunk.begin(), chunk.end(), key,
                                   [](const Entry& entry, const ObjectKey& k) { return entry.key < k; });
  return at != chunk.end() && at->key == key ? at->object : nullptr;
}

bool ObjectMap::set(const ObjectKey& key, kube::ObjectPtr object) {
  if (chunks_.empty()) {
    chunks_.push_back(std::make_shared<Chunk>(Chunk{{key, std::move(object)}}));
    size_ = 1;
    return true;
  }
  const size_t index = chunk_of(key);
  const auto position = [&](const Chunk& chunk) {
    return std::lower_bound(chunk.begin(), chunk.end(), key,
                            [](const Entry& entry, const ObjectKey& k) { return entry.key < k; }) -
           chunk.begin();
  };
  const auto at = position(*chunks_[index]);
  const bool there =
      at < static_cast<std::ptrdiff_t>(chunks_[index]->size()) && (*chunks_[index])[static_cast<size_t>(at)].key == key;
  if (there && (*chunks_[index])[static_cast<size_t>(at)].object == object) return false;
  Chunk& chunk = writable(index);
  if (there) {
    chunk[static_cast<size_t>(at)].object = std::move(object);
    return true;
  }
  chunk.insert(chunk.begin() + at, Entry{key, std::move(object)});
  ++size_;
  if (chunk.size() > kLargestChunk) {
    const auto half = chunk.begin() + static_cast<std::ptrdiff_t>(chunk.size() / 2);
    auto upper = std::make_shared<Chunk>(std::make_move_iterator(half), std::make_move_iterator(chunk.end()));
    chunk.erase(half, chunk.end());
    chunks_.insert(chunks_.begin() + static_cast<std::ptrdiff_t>(index) + 1, std::move(upper));
  }
  return true;
}

bool ObjectMap::erase(const ObjectKey& key) {
  if (find(key) == nullptr) return false;
  const size_t index = chunk_of(key);
  Chunk& chunk = writable(index);
  chunk.erase(std::lower_bound(chunk.begin(), chunk.end(), key,
                               [](const Entry& entry, const ObjectKey& k) { return entry.key < k; }));
  --size_;
  if (chunk.empty()) chunks_.erase(chunks_.begin() + static_cast<std::ptrdiff_t>(index));
  return true;
}

void ObjectMap::visit_from(const ObjectKey& from,
                           const std::function<bool(const ObjectKey&, const kube::ObjectPtr&)>& visit) const {
  if (chunks_.empty()) return;
  size_t index = chunk_of(from);
  auto at = std::lower_bound(chunks_[index]->begin(), chunks_[index]->end(), from,
                             [](const Entry& entry, const ObjectKey& k) { return entry.key < k; });
  for (;; ++at) {
    if (at == chunks_[index]->end()) {
      if (++index == chunks_.size()) return;
      at = chunks_[index]->begin();
    }
    if (!visit(at->key, at->object)) return;
  }
}

void ObjectMap::visit_all(const std::function<void(const ObjectKey&, const kube::ObjectPtr&)>& visit) const {
  for (const auto& chunk : chunks_) {
    for (const Entry& entry : *chunk) visit(entry.key, entry.object);
  }
}

// A place in a map that can step over a whole chunk.
class ObjectMap::Cursor {
 public:
  explicit Cursor(const ObjectMap& map) : map_(map) {}
  [[nodiscard]] bool at_end() const { return chunk_ == map_.chunks_.size(); }
  [[nodiscard]] const Entry& entry() const { return (*map_.chunks_[chunk_])[entry_]; }
  [[nodiscard]] const Chunk* chunk_start() const { return entry_ == 0 ? map_.chunks_[chunk_].get() : nullptr; }
  void next_chunk() { ++chunk_; }
  void next() {
    if (++entry_ < map_.chunks_[chunk_]->size()) return;
    entry_ = 0;
    ++chunk_;
  }

 private:
  const ObjectMap& map_;
  size_t chunk_ = 0;
  size_t entry_ = 0;
};

void ObjectMap::changes_between(
    const ObjectMap& before, const ObjectMap& after,
    const std::function<void(const ObjectKey&, const kube::ObjectPtr& old, const kube::ObjectPtr& now)>& visit) {
  Cursor old(before);
  Cursor now(after);
  while (!old.at_end() || !now.at_end()) {
    if (old.at_end()) {
      visit(now.entry().key, nullptr, now.entry().object);
      now.next();
      continue;
    }
    if (now.at_end()) {
      visit(old.entry().key, old.entry().object, nullptr);
      old.next();
      continue;
    }
    if (old.chunk_start() != nullptr && old.chunk_start() == now.chunk_start()) {
      old.next_chunk();
      now.next_chunk();
      continue;
    }
    const auto order = old.entry().key <=> now.entry().key;
    if (order == 0) {
      if (old.entry().object != now.entry().object) visit(old.entry().key, old.entry().object, now.entry().object);
      old.next();
      now.next();
    } else if (order < 0) {
      visit(old.entry().key, old.entry().object, nullptr);
      old.next();
    } else {
      visit(now.entry().key, nullptr, now.entry().object);
      now.next();
    }
  }
}

}  // namespace headgate::world
