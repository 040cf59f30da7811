#include "dataplane/net/output_queue.h"

#include <array>
#include <cstring>
#include <utility>

namespace headgate::net {

void OutputQueue::compact(Store& store) {
  if (store.begin == 0) return;
  for (size_t i = store.begin; i < store.end; ++i) {
    std::construct_at(&store.segments[i - store.begin], std::move(store.segments[i]));
    std::destroy_at(&store.segments[i]);
  }
  store.end -= store.begin;
  store.begin = 0;
}

void OutputQueue::append(Buffer buffer) {
  if (buffer.empty()) return;
  Store& into = store();
  if (into.end == kSegments) compact(into);
  HG_CHECK(into.end < kSegments);
  into.bytes += buffer.size();
  std::construct_at(&into.segments[into.end++], std::move(buffer));
}

char* OutputQueue::reserve(size_t size) {
  Store& into = store();
  if (!into.copies || into.copies->capacity() - into.copies_used < size) {
    into.copies = BlockRef(Block::allocate(size));
    into.copies_used = 0;
  }
  return into.copies->data() + into.copies_used;
}

void OutputQueue::commit(size_t size) {
  Store& into = *store_;
  const char* start = into.copies->data() + into.copies_used;
  into.copies_used += size;
  if (into.end > into.begin) {
    // Directly behind the last segment in the same block: one longer segment.
    Buffer& last = into.segments[into.end - 1];
    if (last.block().get() == into.copies.get() && last.data() + last.size() == start) {
      last = Buffer(last.block(), last.data(), last.size() + size);
      into.bytes += size;
      return;
    }
  }
  append(Buffer(into.copies, start, size));
}

void OutputQueue::append_copy(std::string_view text) {
  if (text.empty()) return;
  std::memcpy(reserve(text.size()), text.data(), text.size());
  commit(text.size());
}

Result<void> OutputQueue::flush(ByteStream& stream, bool more) {
  while (store_ != nullptr) {
    Store& from = *store_;
    std::array<iovec, kSegments> vectors;
    size_t count = 0;
    for (size_t i = from.begin; i < from.end; ++i) vectors[count++] = as_iovec(from.segments[i].view());
    if (count == 0) {
      store_.reset();
      return {};
    }
    const std::span<const iovec> pieces(vectors.data(), count);
    const auto wrote = more ? stream.write_more(pieces) : stream.write(pieces);
    if (!wrote) return wrote.error();
    if (wrote->state == net::IoState::kWouldBlock) return {};
    size_t left = wrote->bytes;
    from.bytes -= left;
    while (left > 0) {
      Buffer& first = from.segments[from.begin];
      if (left < first.size()) {
        first.remove_prefix(left);
        // The kernel took less than all: it is full, and says so when that changes.
        return {};
      }
      left -= first.size();
      std::destroy_at(&first);
      ++from.begin;
    }
    if (from.begin == from.end) store_.reset();
  }
  return {};
}

}  // namespace headgate::net
