#include "dataplane/base/arena.h"

#include <algorithm>

namespace headgate {

void* Arena::allocate_slow(size_t size, size_t alignment) {
  BlockRef block(Block::allocate(std::max(size + alignment + sizeof(Chunk) + alignof(Chunk), Block::kSmall)));
  char* start = block->data();
  end_ = start + block->capacity();
  // The chunk record sits at the start of its own block: the arena needs no other memory.
  auto* chunk = new (start) Chunk{std::move(block), newest_};
  newest_ = chunk;
  cursor_ = start + sizeof(Chunk);
  return allocate(size, alignment);
}

void Arena::clear() {
  while (cleanups_ != nullptr) {
    Cleanup* cleanup = cleanups_;
    cleanups_ = cleanup->next;
    cleanup->destroy(cleanup);
  }
  while (newest_ != nullptr) {
    Chunk* chunk = newest_;
    newest_ = chunk->previous;
    const BlockRef keep = std::move(chunk->block);
    chunk->~Chunk();
  }
  cursor_ = nullptr;
  end_ = nullptr;
}

}  // namespace headgate
