// host_table.h -- name -> VirtualHost, for tables that change a few hosts of many.
//
// A hash table whose buckets are shared by its copies: a change copies the bucket it falls into, copying a table costs one
// pointer per bucket.
// Thread: one thread's while it is changed; const copies any.   Owner: RouteTable (by value).
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "dataplane/base/hash.h"

namespace headgate::routing {

class VirtualHost;

class HostTable {
 public:
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] size_t size() const { return size_; }
  // Null: nobody has this name.
  [[nodiscard]] const VirtualHost* find(std::string_view name) const {
    if (buckets_.empty()) return nullptr;
    const uint64_t hash = keyed_hash(name);
    for (const Entry& entry : *buckets_[hash & (buckets_.size() - 1)]) {
      if (entry.hash == hash && entry.name == name) return entry.host.get();
    }
    return nullptr;
  }

  // `name` is a text of `host`. False: the name is taken.
  bool insert(std::string_view name, const std::shared_ptr<const VirtualHost>& host);
  // False: `name` is not, or another one's.
  bool erase(std::string_view name, const VirtualHost& host);

 private:
  static constexpr size_t kPerBucket = 8;  // on the average, at most

  struct Entry {
    uint64_t hash;
    std::string_view name;
    std::shared_ptr<const VirtualHost> host;
  };
  using Bucket = std::vector<Entry>;

  Bucket& writable(uint64_t hash);
  void grow();

  std::vector<std::shared_ptr<Bucket>> buckets_;  // none, or a power of two; never null
  size_t size_ = 0;
};

}  // namespace headgate::routing
