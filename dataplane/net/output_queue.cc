#include "dataplane/net/output_queue.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace headgate::net {

namespace {

// No constructor, so that no access has to ask whether the thread has made its own yet.
struct Scratch {
  const OutputQueue* owner = nullptr;
  size_t used = 0;
  std::array<char, 4096> bytes;
};
constinit thread_local Scratch t_scratch{};

}  // namespace

size_t OutputQueue::bytes() const { return (store_ == nullptr ? 0 : store_->bytes) + (scratch_ ? t_scratch.used : 0); }

void OutputQueue::clear() {
  store_.reset();
  if (scratch_ && t_scratch.owner == this) t_scratch.owner = nullptr;
  scratch_ = false;
}

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
  if (!buffer.empty()) append_to_store(std::move(buffer));
}

void OutputQueue::append_to_store(Buffer buffer) {
  Store& into = store();
  if (into.end == kSegments) compact(into);
  HG_CHECK(into.end < kSegments);
  into.bytes += buffer.size();
  std::construct_at(&into.segments[into.end++], std::move(buffer));
}

char* OutputQueue::reserve(size_t size) {
  if (store_ == nullptr) {
    Scratch& scratch = t_scratch;
    if (!scratch_ && scratch.owner == nullptr && size <= scratch.bytes.size()) {
      scratch.owner = this;
      scratch.used = 0;
      scratch_ = true;
    }
    if (scratch_ && size <= scratch.bytes.size() - scratch.used) return scratch.bytes.data() + scratch.used;
  }
  return reserve_in_store(size);
}

char* OutputQueue::reserve_in_store(size_t size) {
  Store& into = store();
  if (!into.copies || into.copies->capacity() - into.copies_used < size) {
    into.copies = BlockRef(Block::allocate(size));
    into.copies_used = 0;
  }
  return into.copies->data() + into.copies_used;
}

void OutputQueue::commit(size_t size) {
  if (store_ == nullptr) {
    t_scratch.used += size;
  } else {
    commit_to_store(size);
  }
}

void OutputQueue::commit_to_store(size_t size) {
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

// The first `written` bytes of the page are gone; the others must outlive this turn.
void OutputQueue::leave_scratch(size_t written) {
  const std::string_view rest(t_scratch.bytes.data() + written, t_scratch.used - written);
  t_scratch.owner = nullptr;
  scratch_ = false;
  if (!rest.empty()) move_to_store(rest);
}

void OutputQueue::move_to_store(std::string_view rest) {
  Store& into = store();
  if (into.end == kSegments) compact(into);
  HG_CHECK(into.end < kSegments);
  // One place further for those that wait behind it.
  if (into.begin > 0) {
    --into.begin;
  } else {
    for (size_t i = into.end++; i > 0; --i) {
      std::construct_at(&into.segments[i], std::move(into.segments[i - 1]));
      std::destroy_at(&into.segments[i - 1]);
    }
  }
  std::construct_at(&into.segments[into.begin], Buffer::copy(rest));
  into.bytes += rest.size();
}

void OutputQueue::append_copy(std::string_view text) {
  if (text.empty()) return;
  std::memcpy(reserve(text.size()), text.data(), text.size());
  commit(text.size());
}

Result<void> OutputQueue::flush(ByteStream& stream, bool more) {
  return store_ == nullptr ? flush_scratch(stream, more) : flush_all(stream, more);
}

// Most messages: one piece, which leaves at once.
Result<void> OutputQueue::flush_scratch(ByteStream& stream, bool more) {
  if (!scratch_) return {};
  if (t_scratch.used == 0) {
    clear();
    return {};
  }
  const iovec piece = as_iovec({t_scratch.bytes.data(), t_scratch.used});
  const auto wrote = more ? stream.write_more({&piece, 1}) : stream.write({&piece, 1});
  if (!wrote) return wrote.error();
  leave_scratch(wrote->state == IoState::kWouldBlock ? 0 : wrote->bytes);
  return {};
}

Result<void> OutputQueue::flush_all(ByteStream& stream, bool more) {
  while (!empty()) {
    std::array<iovec, kSegments + 1> vectors;
    size_t count = 0;
    const size_t in_scratch = scratch_ ? t_scratch.used : 0;
    if (in_scratch > 0) vectors[count++] = as_iovec({t_scratch.bytes.data(), in_scratch});
    if (store_ != nullptr) {
      for (size_t i = store_->begin; i < store_->end; ++i) vectors[count++] = as_iovec(store_->segments[i].view());
    }
    if (count == 0) {
      clear();
      return {};
    }
    const std::span<const iovec> pieces(vectors.data(), count);
    const auto wrote = more ? stream.write_more(pieces) : stream.write(pieces);
    if (!wrote) return wrote.error();
    size_t left = wrote->state == IoState::kWouldBlock ? 0 : wrote->bytes;
    if (scratch_) {
      const size_t from_scratch = std::min(left, in_scratch);
      left -= from_scratch;
      leave_scratch(from_scratch);
      if (from_scratch < in_scratch) return {};
    }
    if (wrote->state == IoState::kWouldBlock || store_ == nullptr) return {};
    Store& from = *store_;
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
