// stream_map.h -- from stream ids to the streams of a connection that are open.
//
// One side opens streams by counting up, so the id itself finds the place; those that share one are chained through the
// streams. An empty map holds no memory.
// Thread: worker.   Owner: Session; the streams are those of its role.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dataplane/http2/stream_base.h"

namespace headgate::http2 {

class StreamMap {
 public:
  [[nodiscard]] StreamBase* find(int32_t id) const {
    if (size_ == 0) return nullptr;
    StreamBase* stream = places_[place(id)];
    while (stream != nullptr && stream->id() != id) stream = stream->next_in_map_;
    return stream;
  }
  // Its id is not in the map.
  void insert(StreamBase& stream);
  // Nothing happens to a stream that is not there.
  void erase(StreamBase& stream);
  [[nodiscard]] bool empty() const { return size_ == 0; }
  // Gives the memory of an empty map back.
  void shrink() {
    if (size_ == 0) std::vector<StreamBase*>().swap(places_);
  }
  // fn(StreamBase&) for each; must not change the map.
  template <typename Fn>
  void for_each(Fn&& fn) {
    for (StreamBase* stream : places_) {
      for (; stream != nullptr; stream = stream->next_in_map_) fn(*stream);
    }
  }

 private:
  [[nodiscard]] size_t place(int32_t id) const { return (static_cast<uint32_t>(id) >> 1) & (places_.size() - 1); }
  void grow();

  std::vector<StreamBase*> places_;  // a power of two, as many as there are streams
  size_t size_ = 0;
};

}  // namespace headgate::http2
