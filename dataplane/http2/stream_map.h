// stream_map.h -- from stream ids to the streams of a connection that are open.
//
// One side opens streams by counting up, so the id itself finds the place: open addressing, almost never a second look.
// An empty map holds no memory.
// Thread: worker.   Owner: Session; the streams are those of its role.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace headgate::http2 {

class StreamBase;

class StreamMap {
 public:
  [[nodiscard]] StreamBase* find(int32_t id) const {
    if (places_.empty()) return nullptr;
    for (size_t at = home(id);; at = next(at)) {
      const Place& place = places_[at];
      if (place.id == id) return place.stream;
      if (place.id == 0) return nullptr;
    }
  }
  // `id` is not 0 and not in the map.
  void insert(int32_t id, StreamBase& stream);
  void erase(int32_t id);
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  // Gives the memory of an empty map back.
  void shrink() {
    if (size_ == 0) std::vector<Place>().swap(places_);
  }
  // fn(StreamBase&) for each; must not change the map.
  template <typename Fn>
  void for_each(Fn&& fn) {
    for (const Place& place : places_) {
      if (place.id != 0) fn(*place.stream);
    }
  }

 private:
  struct Place {
    int32_t id = 0;  // 0: free
    StreamBase* stream = nullptr;
  };

  [[nodiscard]] size_t mask() const { return places_.size() - 1; }
  [[nodiscard]] size_t home(int32_t id) const { return (static_cast<uint32_t>(id) >> 1) & mask(); }
  [[nodiscard]] size_t next(size_t at) const { return (at + 1) & mask(); }
  void put(int32_t id, StreamBase& stream);
  void grow();

  std::vector<Place> places_;  // a power of two, at most half full
  size_t size_ = 0;
};

}  // namespace headgate::http2
