#include "dataplane/http2/stream_map.h"

#include "dataplane/base/check.h"

namespace headgate::http2 {

namespace {

constexpr size_t kFirstPlaces = 16;

}  // namespace

void StreamMap::put(int32_t id, StreamBase& stream) {
  size_t at = home(id);
  while (places_[at].id != 0) at = next(at);
  places_[at] = {id, &stream};
}

void StreamMap::grow() {
  std::vector<Place> before(places_.empty() ? kFirstPlaces : places_.size() * 2);
  before.swap(places_);
  for (const Place& place : before) {
    if (place.id != 0) put(place.id, *place.stream);
  }
}

void StreamMap::insert(int32_t id, StreamBase& stream) {
  HG_DCHECK(id != 0 && find(id) == nullptr);
  if ((size_ + 1) * 2 > places_.size()) grow();
  put(id, stream);
  ++size_;
}

void StreamMap::erase(int32_t id) {
  if (places_.empty()) return;
  size_t hole = home(id);
  while (places_[hole].id != id) {
    if (places_[hole].id == 0) return;
    hole = next(hole);
  }
  --size_;
  // Whoever could not have its own place moves up, so that no search ends at the hole.
  for (size_t at = next(hole); places_[at].id != 0; at = next(at)) {
    const size_t wanted = home(places_[at].id);
    if (((at - wanted) & mask()) < ((at - hole) & mask())) continue;
    places_[hole] = places_[at];
    hole = at;
  }
  places_[hole] = {};
}

}  // namespace headgate::http2
