// variant_cache.h -- compressed forms of bodies that have a lasting name (BodySource::content_id), so that a file is
// compressed once and not for every client. Least recently used goes first.
// Thread: one cache per thread.   Unit: bytes.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>

#include "dataplane/base/buffer.h"
#include "dataplane/base/intrusive_list.h"

namespace headgate::filters {

struct VariantKey {
  uint64_t content_id = 0;  // 0: nothing to remember
  uint32_t coding = 0;      // content coding and level
  bool operator==(const VariantKey&) const = default;
};

class VariantCache {
 public:
  static constexpr size_t kMaxBytes = size_t{16} * 1024 * 1024;  // of the process: shared out among its workers
  static constexpr size_t kMaxVariant = size_t{1024} * 1024;     // one compressed body

  explicit VariantCache(size_t max_bytes) : max_bytes_(max_bytes) {}
  VariantCache(const VariantCache&) = delete;
  VariantCache& operator=(const VariantCache&) = delete;

  // This thread's; its size is settled by the first call.
  static VariantCache& of_thread(uint32_t workers);

  // Empty when there is none (a gzip body is never empty).
  Buffer find(const VariantKey& key);
  // The chunks of a whole compressed body, in order.
  void insert(const VariantKey& key, std::span<const Buffer> chunks);

  [[nodiscard]] size_t bytes() const { return bytes_; }
  [[nodiscard]] size_t size() const { return variants_.size(); }

 private:
  struct KeyHash {
    size_t operator()(const VariantKey& key) const { return key.content_id * 0x9e3779b97f4a7c15U + key.coding; }
  };
  struct Variant : ListNode<> {
    VariantKey key;
    Buffer body;
  };

  size_t max_bytes_;
  size_t bytes_ = 0;
  std::unordered_map<VariantKey, Variant, KeyHash> variants_;
  IntrusiveList<Variant> order_;  // the latest used last
};

}  // namespace headgate::filters
