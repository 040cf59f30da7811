// stream_map.h -- from stream ids to the streams of a connection that are open.
//
// One side opens streams by counting up, so the id itself finds the place; those that share one are chained through the
// streams. An empty map holds no memory.
// Thread: worker.   Owner: Session; the streams are those of its role.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dataplane/http2/session_stream.h"

namespace headgate::http2 {

class StreamMap {
 public:
  [[nodiscard]] SessionStream* find(int32_t id) const {
    if (size_ == 0) return nullptr;
    SessionStream* stream = places_[place(id)];
    while (stream != nullptr && stream->id() != id) stream = stream->next_in_map_;
    return stream;
  }
  // Its id is not in the map.
  void insert(SessionStream& stream);
  // Nothing happens to a stream that is not there.
  void erase(SessionStream& stream);
  [[nodiscard]] bool empty() const { return size_ == 0; }
  // Gives the memory of an empty map back.
  void shrink() {
    if (size_ == 0) std::vector<SessionStream*>().swap(places_);
  }
  // fn(SessionStream&) for each; must not change the map.
  template <typename Fn>
  void for_each(Fn&& fn) {
    for (SessionStream* stream : places_) {
      for (; stream != nullptr; stream = stream->next_in_map_) fn(*stream);
    }
  }

 private:
  [[nodiscard]] size_t place(int32_t id) const { return (static_cast<uint32_t>(id) >> 1) & (places_.size() - 1); }
  void grow();

  std::vector<SessionStream*> places_;  // a power of two, as many as there are streams
  size_t size_ = 0;
};

}  // namespace headgate::http2
