#include "dataplane/http2/stream_map.h"

namespace headgate::http2 {

namespace {

constexpr size_t kFirstPlaces = 16;

}  // namespace

void StreamMap::grow() {
  std::vector<SessionStream*> before(places_.empty() ? kFirstPlaces : places_.size() * 2);
  before.swap(places_);
  size_ = 0;
  for (SessionStream* stream : before) {
    while (stream != nullptr) {
      SessionStream* const next = stream->next_in_map_;
      insert(*stream);
      stream = next;
    }
  }
}

void StreamMap::insert(SessionStream& stream) {
  if (size_ >= places_.size()) grow();
  SessionStream*& first = places_[place(stream.id())];
  stream.next_in_map_ = first;
  first = &stream;
  ++size_;
}

void StreamMap::erase(SessionStream& stream) {
  if (size_ == 0) return;
  for (SessionStream** at = &places_[place(stream.id())]; *at != nullptr; at = &(*at)->next_in_map_) {
    if (*at != &stream) continue;
    *at = stream.next_in_map_;
    --size_;
    return;
  }
}

}  // namespace headgate::http2
