#include "dataplane/filters/variant_cache.h"

#include <algorithm>
#include <cstring>

namespace headgate::filters {

VariantCache& VariantCache::of_thread(uint32_t workers) {
  // What a thread makes after its first block goes before the pool of blocks does: there is somewhere to give ours back to.
  BlockRef(Block::allocate(1)).reset();
  thread_local VariantCache cache(std::max(kMaxBytes / std::max<size_t>(workers, 1), kMaxVariant));
  return cache;
}

Buffer VariantCache::find(const VariantKey& key) {
  const auto found = variants_.find(key);
  if (found == variants_.end()) return {};
  order_.push_back(found->second);
  return found->second.body;
}

void VariantCache::insert(const VariantKey& key, std::span<const Buffer> chunks) {
  size_t size = 0;
  for (const Buffer& chunk : chunks) size += chunk.size();
  if (size == 0 || size > kMaxVariant || key.content_id == 0) return;
  // One block of its own: the chunks lie in blocks that are larger than what they hold.
  BlockRef block(Block::allocate(size));
  if (block->capacity() > max_bytes_) return;
  char* at = block->data();
  for (const Buffer& chunk : chunks) {
    std::memcpy(at, chunk.data(), chunk.size());
    at += chunk.size();
  }
  const auto [entry, is_new] = variants_.try_emplace(key);
  Variant& variant = entry->second;
  if (!is_new) return;  // another client was faster
  const char* data = block->data();
  bytes_ += block->capacity();
  variant.key = key;
  variant.body = Buffer(std::move(block), data, size);
  order_.push_back(variant);
  while (bytes_ > max_bytes_) {
    const Variant* oldest = order_.front();
    const VariantKey oldest_key = oldest->key;
    bytes_ -= oldest->body.block()->capacity();
    variants_.erase(oldest_key);
  }
}

}  // namespace headgate::filters
